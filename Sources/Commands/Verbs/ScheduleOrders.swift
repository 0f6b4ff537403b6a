// holdfast schedule pause, resume and skip: orders that hold beside the files of jobs.

import ArgumentParser
import Configuring
import ControlPlane
import Primitives
import Scheduling
import State

/// `holdfast.schedule-order/1`.
struct OrderReport: Encodable {
    let schema = "holdfast.schedule-order/1"
    let job: String
    /// `paused`, `resumed`, `skipped` or `unskipped`.
    let order: String
    let reason, actor, until: String?
    /// Whether it changed anything.
    let hadOrder: Bool

    private enum CodingKeys: String, CodingKey { case schema, job, order, reason, actor, until, hadOrder }
}

struct SchedulePause: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Let a job not run for a while, and say why.",
        discussion: """
            What is due in the meantime is remembered as not run, with the reason `paused`. A pause has an end: give \
            --until, as a time or a length of time from now. Whoever ordered it is remembered.

            Examples:

              holdfast schedule pause nightly --reason 'disk is being replaced' --until 2d

              holdfast schedule pause nightly --reason 'migration' --until 2026-12-01T06:00:00Z
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Argument(help: ArgumentHelp("The job.", valueName: "job"))
    var job: String

    @Option(name: .long, help: ArgumentHelp("Why.", valueName: "text"))
    var reason: String

    @Option(name: .long, help: ArgumentHelp("The end: a time, or a length of time from now.", valueName: "time"))
    var until: String

    private static let maximumReason = 500

    func validate() throws {
        guard !reason.isEmpty, reason.utf8.count <= Self.maximumReason else {
            throw ValidationError("--reason takes 1 to \(Self.maximumReason) bytes.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            guard let end = Duration(lengthOfTime: until).map({ now + $0 }) ?? Timestamp(text: until) else {
                throw HoldfastError(
                    .usage, "`\(until)` is neither a time nor a length of time",
                    hint: "Write 2026-12-01T06:00:00Z or 2d12h.")
            }
            guard end > now else {
                throw HoldfastError(.usage, "\(end) is in the past", hint: "A pause ends in the future.")
            }
            let name = try jobs.load([job], context)[0].job.name
            let order = StandingOrder(reason: reason, actor: Actor.name, since: now, until: end)
            let store = try context.existingRunStore()
            let had = try store.pause(name, order, at: now)
            _ = try store.fire(
                PauseAlerts.key(name), .warning, "job \(name) is paused until \(end) by \(order.actor): \(reason)",
                at: now)
            try context.output.line("\(name) is paused until \(end)")
            try context.output.json(
                OrderReport(
                    job: "\(name)", order: "paused", reason: reason, actor: order.actor, until: "\(end)", hadOrder: had)
            )
            return .success
        }
    }
}

struct ScheduleResume: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a paused job run again.",
        discussion: """
            A pause in the job's file is taken away there.

            Examples:

              holdfast schedule resume nightly
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Argument(help: ArgumentHelp("The job.", valueName: "job"))
    var job: String

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let all = try jobs.load(context).map(\.job)
            let found = try jobs.load([job], context)[0].job
            let name = found.name
            let store = try context.existingRunStore()
            let had = try store.pause(name, nil, at: now)
            if let pause = found.pause, pause.holds(at: now) {
                try PauseAlerts.keep(all, in: store, at: now)
                context.output.warning("\(name) stays paused \(ShownText.line(pause.text))")
            } else {
                _ = try store.resolve(PauseAlerts.key(name), at: now)
            }
            try context.output.line(had ? "\(name) runs again" : "\(name) was not paused")
            try context.output.json(
                OrderReport(job: "\(name)", order: "resumed", reason: nil, actor: Actor.name, until: nil, hadOrder: had)
            )
            return .success
        }
    }
}

struct ScheduleSkip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Leave out the next run of a job.",
        discussion: """
            The run that is due next is remembered as not run, with the reason `skipped`; the one after it takes place.

            Examples:

              holdfast schedule skip nightly --reason 'load test tonight'

              holdfast schedule skip nightly --undo
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Argument(help: ArgumentHelp("The job.", valueName: "job"))
    var job: String

    @Option(name: .long, help: ArgumentHelp("Why.", valueName: "text"))
    var reason = "no reason was given"

    @Flag(name: .long, help: "Let it run after all.")
    var undo = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let name = try jobs.load([job], context)[0].job.name
            let order = undo ? nil : StandingOrder(reason: reason, actor: Actor.name, since: now)
            let had = try context.existingRunStore().skip(name, order, at: now)
            try context.output.line(
                undo
                    ? (had ? "\(name) runs when it is due next" : "nothing was to be left out")
                    : "the next run of \(name) is left out")
            try context.output.json(
                OrderReport(
                    job: "\(name)", order: undo ? "unskipped" : "skipped", reason: order?.reason, actor: Actor.name,
                    until: nil, hadOrder: had))
            return .success
        }
    }
}
