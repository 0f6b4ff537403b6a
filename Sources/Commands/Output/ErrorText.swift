// A failure as a person and as a program reads it.

import Primitives

/// The lines that standard error gets.
enum ErrorText {
    static func lines(_ error: HoldfastError, verbose: Bool) -> [String] {
        var lines = ["holdfast: " + ShownText.line(headline(error))]
        if error.code == .configuration {
            lines += error.context.map { "holdfast: " + ShownText.line("\($0.key): \($0.value)") }
        }
        if !error.hint.isEmpty { lines.append("hint: " + ShownText.line(error.hint)) }
        guard verbose else { return lines }
        var cause = error.cause
        // The chain is made by code, not by data; the bound is for cycles that cannot be.
        for _ in 0..<16 {
            guard let current = cause else { break }
            let own = current as? HoldfastError
            lines.append("cause: " + ShownText.line(own.map(headline) ?? "\(current)"))
            cause = own?.cause
        }
        return lines
    }

    private static func headline(_ error: HoldfastError) -> String {
        // Those of a configuration are places in its file, which have lines of their own.
        if error.context.isEmpty || error.code == .configuration { return error.message }
        return error.message + " (" + error.context.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + ")"
    }
}

/// `holdfast.error/1`.
struct ErrorReport: Encodable {
    let schema = "holdfast.error/1"
    let code: String
    let message: String
    let hint: String
    /// Whether trying again can help: `never`, `later` or `now`.
    let retry: String
    let context: [String: String]
    /// Of a restore that had begun.
    let unfinished: UnfinishedRestoreReport?

    init(_ error: HoldfastError, unfinished: UnfinishedRestoreReport? = nil) {
        self.unfinished = unfinished
        code = error.code.rawValue
        message = error.message
        hint = error.hint
        retry = error.retry.rawValue
        context = Dictionary(error.context.map { ($0.key, $0.value) }) { first, _ in first }
    }

    private enum CodingKeys: String, CodingKey { case schema, code, message, hint, retry, context, unfinished }
}
