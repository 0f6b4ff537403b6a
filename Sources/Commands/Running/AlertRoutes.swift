// The notifiers of the configuration, made.

import Configuring
import ControlPlane
import Primitives
import Scheduling
import State
import Telemetry

extension CommandContext {
    private static let maximumSecret = 4096

    /// The notifiers of the configuration, with what each is told.
    ///
    /// - Throws: `.configuration` when the secret of one cannot be read.
    func alertRoutes() throws(HoldfastError) -> [AlertRoute] {
        guard let configuration = try configuration() else { return [] }
        return try configuration.notifiers.map { (notifier) throws(HoldfastError) in try route(notifier) }
    }

    func route(_ notifier: ConfiguredNotifier) throws(HoldfastError) -> AlertRoute {
        switch notifier.way {
        case .command(let words):
            return AlertRoute(
                CommandNotifier(name: notifier.name, words: words, timeout: notifier.timeout, runner: runner),
                from: notifier.severity)
        case .webhook(let address, let reference):
            return AlertRoute(
                WebhookNotifier(
                    name: notifier.name, address: address, secret: try notifierSecret(reference, of: notifier.name),
                    timeout: notifier.timeout, userAgent: "holdfast/\(ToolVersion.current)", clock: clock),
                from: notifier.severity)
        }
    }

    private func notifierSecret(
        _ reference: SecretReference?, of notifier: String
    ) throws(HoldfastError) -> SecretBytes? {
        guard let reference else { return nil }
        let found: SecretBytes?
        switch reference {
        case .environment(let name): found = variables.secret(name)
        case .file(let path):
            let file = try SecretFile.read(path, limit: Self.maximumSecret)
            let line = file.bytes.withBytes { raw in raw.firstIndex { $0 == 10 || $0 == 13 } ?? raw.count }
            found = file.bytes.withBytes { raw in
                var bytes = Array(raw.prefix(line))
                return SecretBytes(wiping: &bytes)
            }
        }
        guard let found, found.count > 0 else {
            throw HoldfastError(
                .configuration, "the secret of the notifier \(notifier) is empty",
                hint: "Put it where \(reference) says.")
        }
        return found
    }

    /// Tells what is to be told now, after the jobs.
    ///
    /// - Parameter jobs: All that there are.
    func tellAlerts(_ store: any RunStore & RunHistory & AlertStore, _ jobs: [Job]) {
        do throws(HoldfastError) {
            let routes = try alertRoutes()
            try PauseAlerts.keep(jobs, in: store, at: clock.now())
            try StarvedAlerts.keep(jobs, in: store, host: Host.name, at: clock.now())
            try OverlongAlerts.tell(jobs, in: store, at: clock.now())
            let dispatcher = AlertDispatcher(
                store, routes, host: Host.name, clock: clock, logger: serviceLogger(scrubber))
            try dispatcher.resolveGone()
            dispatcher.round(abort: cancellation)
        } catch {
            output.warning("alerts are not told: \(ShownText.line(error.message))")
        }
    }
}
