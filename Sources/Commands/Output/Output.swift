// What a verb says: results on standard output, remarks on standard error.

import FoundationEssentials
import Glibc
import Primitives
import Synchronization

/// The two ways in which a verb speaks: text, or one JSON object.
///
/// Thread: may be used from any thread; lines are not mixed.
final class Output: Sendable {
    let isJSON: Bool
    let isQuiet: Bool
    let console: Console
    private let descriptor: Int32
    private let pending = Mutex<[UInt8]>([])
    /// What the store took back, for `--json` and the exit status.
    private let rung = Mutex<[String]>([])
    private let closed = Atomic<Bool>(false)
    /// Text is handed to the system in pieces of this size.
    private static let pieceSize = 64 << 10

    init(isJSON: Bool, isQuiet: Bool, descriptor: Int32 = 1, console: Console = Console()) {
        self.isJSON = isJSON
        self.isQuiet = isQuiet
        self.descriptor = descriptor
        self.console = console
    }

    /// Whether the reader of standard output went away, as `head` does; no message is due then.
    var isClosed: Bool { closed.load(ordering: .relaxed) }

    /// One line of a result; nothing with `--json`.
    func line(_ text: String) throws(HoldfastError) {
        if !isJSON { try append(Array(text.utf8) + [UInt8(ascii: "\n")]) }
    }

    /// A part of a result that is no text of lines, as it is.
    func raw(_ bytes: [UInt8]) throws(HoldfastError) { try append(bytes) }

    /// A remark on standard error; nothing with `--quiet`.
    func remark(_ text: String) {
        if !isQuiet { console.line(text) }
    }

    /// Something is wrong that does not stop the verb.
    func warning(_ text: String) { console.line("holdfast: warning: " + text) }

    var alarms: [String] { rung.withLock { $0 } }

    /// The store shows less than before: shown also with `--quiet`, and part of the object of `--json`.
    func alarm(_ text: String) {
        rung.withLock { $0.append(text) }
        console.line("holdfast: ALARM: " + ShownText.line(text))
        console.line(
            "hint: See \"When the alarm rings\" in docs/guide.md before you trust or write to this repository.")
    }

    /// The one object of `--json`; nothing without it. Keys are in alphabetical order.
    func json(_ value: some Encodable) throws(HoldfastError) {
        guard isJSON else { return }
        let alarms = alarms
        let bytes = alarms.isEmpty ? try JSONText.encode(value) : try JSONText.encode(Alarmed(value, alarms))
        try append(bytes + [UInt8(ascii: "\n")])
    }

    /// Hands everything over to the system.
    func flush() throws(HoldfastError) {
        try pending.withLock { (bytes) throws(HoldfastError) in try writeOut(&bytes) }
    }

    private func append(_ bytes: [UInt8]) throws(HoldfastError) {
        try pending.withLock { (pending) throws(HoldfastError) in
            pending += bytes
            if pending.count >= Self.pieceSize { try writeOut(&pending) }
        }
    }

    private func writeOut(_ bytes: inout [UInt8]) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            let (count, number) = bytes.withUnsafeBytes { raw in
                retryingInterrupts {
                    Glibc.write(descriptor, raw.baseAddress.map { $0 + start }, raw.count - start)
                }
            }
            guard count >= 0 else {
                bytes = []
                if number == EPIPE { closed.store(true, ordering: .relaxed) }
                throw HoldfastError.systemCall("write", number, on: "standard output")
            }
            start += count
        }
        bytes = []
    }

    // MARK: Failures

    /// Prints a failure with its hint on standard error, and with `--json` as an object on standard output.
    func report(_ error: HoldfastError, verbose: Bool) {
        for line in ErrorText.lines(error, verbose: verbose) { console.line(line) }
        if isJSON { reportAsJSON(error) }
    }

    func reportAsJSON(_ error: HoldfastError) {
        // What a verb had begun to say gives way: the output is one object.
        pending.withLock { $0 = [] }
        do throws(HoldfastError) {
            try append(try JSONText.encode(ErrorReport(error)) + [UInt8(ascii: "\n")])
            try flush()
        } catch {
            console.line("holdfast: " + error.message)
        }
    }
}

/// JSON in the one style of the program.
enum JSONText {
    static func encode(_ value: some Encodable) throws(HoldfastError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw HoldfastError(
                .inputOutput, "the result cannot be written as JSON", hint: "Run the command without --json.",
                cause: error)
        }
    }
}

/// A report with the field `alarms`.
private struct Alarmed<Report: Encodable>: Encodable {
    private let report: Report
    private let alarms: [String]

    init(_ report: Report, _ alarms: [String]) {
        self.report = report
        self.alarms = alarms
    }

    private enum CodingKeys: String, CodingKey { case alarms }

    func encode(to encoder: any Encoder) throws {
        try report.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(alarms, forKey: .alarms)
    }
}
