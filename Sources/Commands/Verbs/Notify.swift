// holdfast notify: whom alerts are told to.

import ArgumentParser
import Configuring
import Primitives
import Scheduling
import Telemetry

struct NotifyVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notify", abstract: "Try the notifiers.",
        discussion: """
            Notifiers stand in the configuration, each a webhook or a command. They are told when an alert fires and \
            when it is resolved; one that fails or hangs delays no job.
            """,
        subcommands: [NotifyTest.self])

    @OptionGroup(title: "Global Options") var global: GlobalOptions
}

struct NotifyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Tell a test alert to notifiers of the configuration.",
        discussion: """
            The alert has the key `test`, fires, and is resolved at once. The exit status is 1 when a notifier could \
            not be told.

            Examples:

              holdfast notify test

              holdfast notify test chat --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("Notifiers; all of them where none is named.", valueName: "name"))
    var names: [String] = []

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let all = try context.configuration()?.notifiers ?? []
            for name in names where !all.contains(where: { $0.name == name }) {
                throw HoldfastError(
                    .usage, "the configuration has no notifier `\(name)`",
                    hint: "Add it below `notifiers`, or name one that is there.")
            }
            let wanted = all.filter { names.isEmpty || names.contains($0.name) }
            guard !wanted.isEmpty else {
                throw HoldfastError(.usage, "the configuration has no notifiers", hint: "Add one below `notifiers`.")
            }
            let now = context.clock.now()
            var alert = AlertRecord(
                key: "test", severity: .critical, state: .firing, summary: "this is a test; nothing is wrong",
                since: now,
                changed: now)
            var results: [NotifyReport.Result] = []
            for notifier in wanted {
                var failure: HoldfastError?
                do throws(HoldfastError) {
                    let route = try context.route(notifier)
                    for state in [AlertRecord.State.firing, .resolved] {
                        alert.state = state
                        alert.changed = state == .firing ? now : now + .nanoseconds(1)
                        try route.notifier.tell(AlertNote(alert, host: Host.name), unless: context.cancellation)
                    }
                } catch {
                    failure = error
                }
                let text = failure.map { "failed: \(ShownText.line($0.message))" } ?? "told"
                try context.output.line("\(notifier.name): \(text)")
                results.append(.init(name: notifier.name, error: failure.map { ErrorReport($0) }))
            }
            try context.output.json(NotifyReport(notifiers: results))
            return results.contains { $0.error != nil } ? .failed : .success
        }
    }
}

/// `holdfast.notify/1`.
struct NotifyReport: Encodable {
    let schema = "holdfast.notify/1"
    let notifiers: [Result]

    struct Result: Encodable {
        let name: String
        let error: ErrorReport?
    }

    private enum CodingKeys: String, CodingKey { case schema, notifiers }
}
