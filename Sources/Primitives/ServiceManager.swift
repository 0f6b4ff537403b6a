// What a service manager is told: sd_notify(3), without its library.

import CLinux
import Glibc

/// The service manager that started this process, when one listens.
package struct ServiceManager: Sendable {
    private let socket: String
    /// How often it wants a sign of life; nil when it does not watch.
    package let watchdog: Duration?

    /// Nil when nobody listens. The variables are taken away, so that no child speaks in our name.
    package init?() {
        guard let socket = ProcessEnvironment.value("NOTIFY_SOCKET") else { return nil }
        self.socket = socket
        let isOurs = ProcessEnvironment.value("WATCHDOG_PID").map { $0 == "\(getpid())" } ?? true
        let limit = ProcessEnvironment.value("WATCHDOG_USEC").flatMap { Int64($0) }
        watchdog = isOurs ? limit.flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] { unsetenv(name) }
    }

    /// - Returns: Why it could not be told; nil when it was.
    @discardableResult
    package func tell(_ text: String) -> HoldfastError? {
        let number = holdfast_notify(socket, text)
        return number == 0 ? nil : HoldfastError.systemCall("send to", number, on: "the service manager")
    }
}
