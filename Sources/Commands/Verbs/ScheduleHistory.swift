// holdfast schedule history: what ran, what did not, and why.

import ArgumentParser
import Primitives
import Repository
import Scheduling
import State

struct ScheduleHistory: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List runs and what did not run, newest first, with the reasons.",
        discussion: """
            Examples:

              holdfast schedule history

              holdfast schedule history nightly --count 400 --json

              holdfast schedule history --sealed
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The job; all jobs where none is given.", valueName: "job"))
    var job: String?

    @Option(name: .long, help: ArgumentHelp("How many lines at most.", valueName: "n"))
    var count = 50

    @Option(
        name: .long,
        help: ArgumentHelp("From when on: a date, a time, or a length of time ago.", valueName: "time"))
    var since: InstantArgument?

    @Flag(
        name: .long,
        help: ArgumentHelp(
            "List what was sealed into the repository, of all hosts.",
            discussion: "It needs no state: this is what is left of a host that is gone."))
    var sealed = false

    static let maximumLines = 100_000

    func validate() throws {
        guard (1...Self.maximumLines).contains(count) else {
            throw ValidationError("--count takes 1 to \(Self.maximumLines).")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let from = since?.instant(now: context.clock.now())
            let lines = try sealed ? sealedLines(context, from) : lines(context, from)
            var table = Table([
                ("JOB", .left), ("DUE", .left), ("STATE", .left), ("TOOK", .right), ("ATTEMPT", .right), ("WHY", .left),
            ])
            for line in lines {
                table.add([
                    ShownText.name(line.job), line.scheduled, line.outcome ?? line.state,
                    line.seconds.map { Duration.seconds($0).lengthOfTime } ?? "",
                    line.attempt == 0 ? "" : "\(line.attempt)",
                    ShownText.line(line.why),
                ])
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(HistoryReport(runs: lines))
            return .success
        }
    }

    private func lines(_ context: CommandContext, _ from: Timestamp?) throws(HoldfastError) -> [HistoryLine] {
        try context.existingRunStore().history(HistoryQuery(job: job.map { JobName($0) }, from: from, limit: count))
            .map { HistoryLine($0) }
    }

    private func sealedLines(_ context: CommandContext, _ from: Timestamp?) throws(HoldfastError) -> [HistoryLine] {
        var lines: [HistoryLine] = []
        for segment in try RunLedger.segments(of: try context.openRepository()).reversed() {
            guard let record = segment.record, lines.count < count else { break }
            if let from, record.finished <= from { continue }
            lines += record.runs.reversed().filter { run in
                (job == nil || run.job == job) && (from.map { (run.ended ?? run.due) >= $0 } ?? true)
            }.map { HistoryLine($0, host: record.environment.host) }
        }
        return Array(lines.prefix(count))
    }
}

/// `holdfast.schedule-history/1`.
struct HistoryReport: Encodable {
    let schema = "holdfast.schedule-history/1"
    let runs: [HistoryLine]

    private enum CodingKeys: String, CodingKey { case schema, runs }
}

/// A line of the history.
struct HistoryLine: Encodable {
    let job, scheduled, trigger: String
    /// `running`, `waiting`, `ended` or `not-run`.
    let state: String
    /// Of a run that has ended.
    let outcome: String?
    /// Of runs that did not take place: why, the last of them, and how many; nil for more than were counted.
    let reason, through: String?
    let count: Int?
    let attempt: Int
    let fence: Int64
    let host: String
    let began, ended, retryAt, code, message: String?
    let seconds: Int64?

    init(_ record: RunRecord) {
        job = record.key.job.description
        scheduled = record.key.scheduled.description
        trigger = record.trigger.rawValue
        var (outcome, reason, through, count, retry): (String?, String?, String?, Int?, String?)
        switch record.state {
        case .running: state = "running"
        case .waiting(let until):
            state = "waiting"
            retry = until.description
        case .ended(let own):
            state = "ended"
            outcome = own.rawValue
        case .notRun(let own, let last, let number):
            state = "not-run"
            reason = own.rawValue
            through = last.description
            count = number
        }
        (self.outcome, self.reason, self.through, self.count, retryAt) = (outcome, reason, through, count, retry)
        attempt = record.attempt
        fence = record.fence
        host = record.host
        began = record.began?.description
        ended = record.ended?.description
        code = record.code
        message = record.message
        seconds = record.began.flatMap { began in record.ended.map { max(0, $0.seconds - began.seconds) } }
    }

    /// - Parameter host: Where the scheduler was; runs that did not take place have no host of their own.
    init(_ run: EvidenceRun, host: String) {
        job = run.job
        scheduled = run.due.description
        trigger = run.trigger
        state = run.reason.isEmpty ? "ended" : "not-run"
        outcome = run.outcome.isEmpty ? nil : run.outcome
        reason = run.reason.isEmpty ? nil : run.reason
        through = run.last?.description
        count = run.count.map { Int(clamping: $0) }
        attempt = Int(clamping: run.attempt)
        fence = Int64(clamping: run.fence)
        self.host = run.host.isEmpty ? host : run.host
        began = run.began?.description
        ended = run.ended?.description
        retryAt = nil
        code = run.code
        message = run.message
        seconds = run.began.flatMap { began in run.ended.map { max(0, $0.seconds - began.seconds) } }
    }

    var why: String {
        if let reason {
            return reason + (count == 1 ? "" : " (\(count.map { "\($0)" } ?? "many") through \(through ?? ""))")
        }
        if let retryAt { return "again at \(retryAt): \(message ?? "")" }
        return outcome == "succeeded" ? "" : message ?? ""
    }
}
