// The run ledger: what ran and did not run, day by day, as signed links of the repository's evidence.

import Primitives
import Repository
import Scheduling
import State

/// Seals the lines of a state's history into a repository, and reads them there.
///
/// A segment covers a period of one state and begins where the one before it ends. Where the sealed part ends is known
/// from the repository alone, by the number of the state: a state that was made anew begins with its own first line.
struct RunLedger {
    /// Lines that a run wrote down shortly before the end of a day may be committed a little after it.
    static let settling = Duration.seconds(600)
    /// A fact of a record: which state it is about.
    static let stateFact = "state"
    private static let day: Int64 = 86_400
    /// The most lines that one turn of a scheduler writes down: every job that there may be, with some to spare.
    private static let linesOfInstant = 65_536

    let repository: Repository
    let history: any RunHistory
    /// Of the run store, and of whatever it was moved to.
    let identity: Int64
    let host: String
    /// The directory of the state.
    let state: String
    /// With the longest messages a record is still below its limit of 8 MiB.
    var linesInSegment = 4096
    /// Of the state's audit log: what is signed here finds it when its end is cut off there.
    var audit: AuditHead?

    /// Seals what was written down on days (UTC) that are over.
    ///
    /// - Parameter until: Where to stop in place of the end of the last day; what is written down with an earlier time
    ///   later is in the history alone.
    /// - Durability: on return every segment is on stable storage. Retry: safe; what was sealed is not sealed again.
    /// - Throws: `.notPermitted` for a key without the right to attest; what store and repository throw.
    func seal(at now: Timestamp, until: Timestamp? = nil) throws(HoldfastError) -> [Evidence] {
        guard repository.keyring.mayAttest else {
            throw HoldfastError(
                .notPermitted, "this key (role \(repository.keyring.role)) may not sign the run ledger",
                hint: "Have an admin give it the right: `holdfast keys grant SLOT --attest`.")
        }
        let end = until ?? Self.end(at: now)
        let oldest = end + (.zero - HistoryLimits.age)
        // A segment of a clock that was ahead says nothing of the days that have come since.
        let sealed = try Self.segments(of: repository).compactMap(\.record)
            .filter { $0.facts[Self.stateFact] == "\(identity)" && $0.finished <= end }.map(\.finished).max()
        // Nothing is claimed of the time before the first line.
        var begin = sealed.flatMap { $0 < oldest ? nil : $0 }
        var made: [Evidence] = []
        var next = min(end, Timestamp(seconds: (Self.dayNumber(begin ?? oldest) + 1) * Self.day))
        while next <= end, begin.map({ $0 < next }) ?? true {
            // Days on which nothing was written down are covered by the segment after them.
            let from = begin ?? Timestamp(seconds: Self.dayNumber(next + .nanoseconds(-1)) * Self.day)
            if try seal(from, from: from, until: next, at: now, &made) { begin = made.last?.record?.finished ?? next }
            guard next < end else { break }
            next = min(end, Timestamp(seconds: (Self.dayNumber(next) + 1) * Self.day))
        }
        return made
    }

    /// Up to where there is nothing left to seal at `now` once that was done.
    static func end(at now: Timestamp) -> Timestamp {
        Timestamp(seconds: dayNumber(now + (.zero - settling)) * day)
    }

    private static func dayNumber(_ time: Timestamp) -> Int64 { time.seconds.floorDivided(by: day) }

    /// Says whether there was anything to seal. What is too much for one segment is divided by time.
    ///
    /// - Parameters:
    ///   - begin: Where the period of the segment begins; between it and `from` nothing was written down.
    private func seal(
        _ begin: Timestamp, from: Timestamp, until end: Timestamp, at now: Timestamp, _ made: inout [Evidence]
    ) throws(HoldfastError) -> Bool {
        let found = try history.history(HistoryQuery(from: from, until: end, limit: linesInSegment + 1))
        if found.count > linesInSegment {
            let half = from + end.since(from) / 2
            guard half > from, half < end else { return try sealInstant(begin, from: from, until: end, at: now, &made) }
            let first = try seal(begin, from: from, until: half, at: now, &made)
            let second = try seal(first ? half : begin, from: half, until: end, at: now, &made)
            return first || second
        }
        let lines = found.reversed().compactMap { EvidenceRun($0) }
        guard !lines.isEmpty else { return false }
        try add(lines, from: begin, until: end, at: now, &made)
        return true
    }

    /// Seals the many lines of one instant, as of a turn that found a thousand jobs late: several segments, of which
    /// the last one alone ends the period. After a crash between two of them the lines of the first stand twice, and
    /// none is missing.
    private func sealInstant(
        _ begin: Timestamp, from: Timestamp, until end: Timestamp, at now: Timestamp, _ made: inout [Evidence]
    ) throws(HoldfastError) -> Bool {
        let limit = Self.linesOfInstant
        let found = try history.history(HistoryQuery(from: from, until: end, limit: limit + 1))
        guard found.count <= limit else {
            throw HoldfastError(
                .limitExceeded, "more than \(limit) lines of the history are of one instant (\(from))",
                hint: "Look at them with `holdfast schedule history`: a clock that stood still wrote them.")
        }
        let lines = found.reversed().compactMap { EvidenceRun($0) }
        var rest = lines[...]
        while !rest.isEmpty {
            let part = rest.prefix(linesInSegment)
            rest = rest.dropFirst(part.count)
            try add(Array(part), from: begin, until: rest.isEmpty ? end : begin, at: now, &made)
        }
        return !lines.isEmpty
    }

    private func add(
        _ lines: [EvidenceRun], from begin: Timestamp, until end: Timestamp, at now: Timestamp,
        _ made: inout [Evidence]
    ) throws(HoldfastError) {
        let id = try ULID(at: now, entropy: repository.entropy)
        var record = EvidenceRecord(
            id: id, kind: .runs, occasion: .automatic, verdict: .passed, operator: Operator.name,
            toolVersion: ToolVersion.current, runID: id, started: begin, finished: end,
            environment: EvidenceEnvironment(
                host: host, target: state, network: "", account: Operator.name, isSegregated: false))
        record.facts = AuditHead.facts(of: audit)
        record.facts[Self.stateFact] = "\(identity)"
        record.runs = lines
        made.append(try repository.attest(record))
    }

    /// The segments that are in the repository, oldest period first. What was imported is not from a state.
    static func segments(of repository: Repository) throws(HoldfastError) -> [Evidence] {
        try repository.evidence().evidence
            .filter { $0.record?.kind == .runs && $0.object.origin == .witnessed }
            .sorted {
                ($0.record?.started ?? $0.object.stored, $0.id) < ($1.record?.started ?? $1.object.stored, $1.id)
            }
    }
}

extension EvidenceRun {
    /// Nil for a run that has not ended: it is written down anew when it does.
    init?(_ record: RunRecord) {
        let (job, due) = (record.key.job.description, record.key.scheduled)
        switch record.state {
        case .running, .waiting: return nil
        case .ended(let outcome):
            self.init(
                job: job, due: due, trigger: record.trigger.rawValue, outcome: outcome.rawValue, reason: "")
            attempt = UInt64(max(0, record.attempt))
            fence = UInt64(max(0, record.fence))
            host = record.host
            began = record.began
            ended = record.ended
            code = record.code
            message = record.message.map { Self.shortened($0) }
        case .notRun(let why, let last, let number):
            self.init(job: job, due: due, trigger: record.trigger.rawValue, outcome: "", reason: why.rawValue)
            self.last = last
            count = number.map { UInt64(max(0, $0)) }
        }
    }
    /// Whole characters of the beginning.
    private static func shortened(_ message: String) -> String {
        var (short, size) = ("", 0)
        for character in message {
            size += character.utf8.count
            guard size <= maximumMessage else { break }
            short.append(character)
        }
        return short
    }
}
