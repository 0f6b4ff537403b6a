// Standard error: whole lines, and below them one line that is drawn again and again.

import Glibc
import Logging
import Primitives
import Synchronization

/// Writes lines to standard error around a status line.
final class Console: Sendable {
    private let descriptor: Int32
    let isTerminal: Bool
    private let status = Mutex("")

    init(descriptor: Int32 = 2, isTerminal: Bool? = nil) {
        self.descriptor = descriptor
        self.isTerminal = isTerminal ?? Terminal.isTerminal(descriptor)
    }

    var width: Int { Terminal.width(of: descriptor) }

    /// A whole line, above the status line.
    func line(_ text: String) {
        status.withLock { status in
            let erase = status.isEmpty ? "" : "\r\u{1B}[K"
            put(erase + text + "\n" + status)
        }
    }

    /// Draws the status line; empty takes it away.
    func show(_ text: String) {
        status.withLock { status in
            guard text != status else { return }
            put("\r\u{1B}[K" + text)
            status = text
        }
    }

    /// Best effort: there is nowhere to tell that standard error is gone.
    private func put(_ text: String) {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let (count, _) = bytes.withUnsafeBytes { raw in
                retryingInterrupts { Glibc.write(descriptor, raw.baseAddress.map { $0 + start }, raw.count - start) }
            }
            guard count > 0 else { return }
            start += count
        }
    }
}

/// Log lines of the engine on the console.
struct ConsoleLog: LogHandler {
    let console: Console
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(console: Console, logLevel: Logger.Level) {
        self.console = console
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, own in own }
        let details = all.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        let text = "holdfast: \(event.level): \(event.message)" + (details.isEmpty ? "" : " (\(details))")
        console.line(ShownText.line(text))
    }
}
