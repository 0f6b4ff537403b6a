// The terminal: is there one, how wide is it, and a line typed with or without echo.

import CLinux
import Glibc

/// Calls about the terminal of this process.
package enum Terminal {
    package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal at `descriptor`; 80 when it does not say.
    package static func width(of descriptor: Int32) -> Int {
        let width = Int(holdfast_terminal_width(descriptor))
        return width > 0 ? width : 80
    }

    /// Asks for a line on the controlling terminal without showing what is typed; nil when there is no terminal.
    ///
    /// The echo is on again when this returns or throws.
    /// - Throws: `.interrupted` when the cancellation is raised; `.usage` at end of file or over `limit` bytes.
    package static func ask(
        _ question: String, limit: Int, cancellation: Cancellation
    ) throws(HoldfastError) -> SecretBytes? {
        guard let terminal = openControlling() else { return nil }
        defer { close(terminal) }
        var before = holdfast_terminal_settings()
        guard holdfast_echo_off(terminal, &before) == 0 else {
            throw HoldfastError.systemCall("tcsetattr", errno, on: "the terminal")
        }
        defer { _ = holdfast_restore_terminal(terminal, &before) }
        let text = Array(question.utf8)
        _ = text.withUnsafeBytes { write(terminal, $0.baseAddress, $0.count) }
        return try readLine(terminal, limit: limit, "Type the password and press Enter.", cancellation)
    }

    /// Whether somebody is there to be asked.
    package static var canAsk: Bool {
        guard let terminal = openControlling() else { return false }
        close(terminal)
        return true
    }

    /// Asks for a line on the controlling terminal, which shows what is typed; nil when there is no terminal.
    ///
    /// - Throws: `.interrupted` when the cancellation is raised; `.usage` at end of file, over `limit` bytes, and for
    ///   what is not text.
    package static func askOpenly(
        _ question: String, limit: Int, cancellation: Cancellation
    ) throws(HoldfastError) -> String? {
        guard let terminal = openControlling() else { return nil }
        defer { close(terminal) }
        let text = Array(question.utf8)
        _ = text.withUnsafeBytes { write(terminal, $0.baseAddress, $0.count) }
        let line = try readLine(terminal, limit: limit, "Type an answer and press Enter.", cancellation)
        let answer = line.withBytes { raw in String(validating: raw, as: UTF8.self) }
        guard let answer else {
            throw HoldfastError(.usage, "the answer is no text", hint: "Type it again in UTF-8.")
        }
        return answer
    }

    private static func openControlling() -> Int32? {
        guard isTerminal(0) || isTerminal(2) else { return nil }
        let (terminal, _) = retryingInterrupts { open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) }
        return terminal >= 0 ? terminal : nil
    }

    private static func readLine(
        _ terminal: Int32, limit: Int, _ hint: String, _ cancellation: Cancellation
    ) throws(HoldfastError) -> SecretBytes {
        // Room for the whole line at once: a growing array would leave copies behind.
        var line: [UInt8] = []
        line.reserveCapacity(limit)
        defer { wipe(&line) }
        while true {
            try cancellation.check()
            var byte: UInt8 = 0
            let count = read(terminal, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw HoldfastError(.usage, "nothing was typed", hint: hint)
            }
            if byte == UInt8(ascii: "\n") { return SecretBytes(wiping: &line) }
            guard line.count < limit else {
                throw HoldfastError(.usage, "what was typed is over \(limit) bytes", hint: "Type less.")
            }
            line.append(byte)
        }
    }
}
