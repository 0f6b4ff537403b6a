// Each run in a process of this program, by the way that an operator would take.

import Primitives
import Scheduling
import Synchronization

/// Starts `holdfast schedule run JOB --scheduled-for INSTANT`.
package struct ProcessLauncher: RunLauncher {
    /// Longer than a run takes to end its own children and to write its end.
    private static let grace = Duration.seconds(45)

    private let program: String
    private let options: @Sendable () -> [String]
    private let password: HandedSecret?
    private let runner: any ProcessRunner

    /// - Parameter options: Asked for anew for each run: the configuration and the jobs that hold when it starts.
    package init(
        program: String, options: @escaping @Sendable () -> [String], password: SecretBytes?, runner: any ProcessRunner
    ) throws(HoldfastError) {
        self.program = program
        self.options = options
        self.runner = runner
        var handed: HandedSecret?
        if let password { handed = try HandedSecret(password) }
        self.password = handed
    }

    package func launch(_ key: RunKey) throws(HoldfastError) -> any RunningProcess {
        var request = ProcessRequest(
            [program, "schedule", "run", "--by-schedule", "--scheduled-for", key.scheduled.description] + options()
                + ["--", key.job.description])
        request.passesErrors = true
        request.grace = Self.grace
        if let password {
            request.environment = ProcessEnvironment.lines(setting: ["HOLDFAST_PASSWORD_FILE": password.path])
        }
        return try runner.start(request, cancellation: Cancellation())
    }
}

/// Signs of life for the service manager, no more often than it needs them.
package final class Heartbeats: Sendable {
    private let manager: ServiceManager?
    private let clock: any Clock
    private let last = Mutex<Duration?>(nil)

    package init(_ manager: ServiceManager?, clock: any Clock) {
        self.manager = manager
        self.clock = clock
    }

    package func beat() {
        guard let manager, let interval = manager.watchdog else { return }
        let now = clock.uptime()
        let isDue = last.withLock { last in
            if let last, now - last < interval / 3 { return false }
            last = now
            return true
        }
        if isDue { manager.tell("WATCHDOG=1") }
    }
}
