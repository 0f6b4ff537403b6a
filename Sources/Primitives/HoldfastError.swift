// The one outward error type.

/// Whether trying the same operation again can help.
package enum RetryClass: String, Sendable {
    /// The same call gives the same failure.
    case never
    /// A passing fault: wait, then call again.
    case later
    /// The call may be repeated at once.
    case now
}

/// A failure that a person can act upon: what failed, on which thing, and what to do about it.
///
/// Messages are lower-case without a full stop; the hint is a sentence. Context is added once, where it is known.
package struct HoldfastError: Error, Sendable {
    /// One reference, so that a typed throw moves one word whatever the failure carries.
    private final class Storage: Sendable {
        let code: ErrorCode
        let message: String
        let hint: String
        let context: [(key: String, value: String)]
        let cause: (any Error)?
        let retry: RetryClass

        init(
            _ code: ErrorCode, _ message: String, _ hint: String, _ context: [(key: String, value: String)],
            _ cause: (any Error)?, _ retry: RetryClass
        ) {
            self.code = code
            self.message = message
            self.hint = hint
            self.context = context
            self.cause = cause
            self.retry = retry
        }
    }

    private let storage: Storage

    package var code: ErrorCode { storage.code }
    package var message: String { storage.message }
    package var hint: String { storage.hint }
    package var context: [(key: String, value: String)] { storage.context }
    package var cause: (any Error)? { storage.cause }
    package var retry: RetryClass { storage.retry }

    package init(
        _ code: ErrorCode, _ message: String, hint: String = "", context: [(String, String)] = [],
        cause: (any Error)? = nil, retry: RetryClass = .never
    ) {
        storage = Storage(code, message, hint, context.map { (key: $0.0, value: $0.1) }, cause, retry)
    }

    /// The same failure with one more named value, for the level that knows it.
    package func with(_ key: String, _ value: some CustomStringConvertible) -> HoldfastError {
        HoldfastError(
            code, message, hint: hint, context: context.map { ($0.key, $0.value) } + [(key, value.description)],
            cause: cause, retry: retry)
    }

    /// A failed system call, with `errno` read by the caller right after it.
    ///
    /// Full disks, missing rights and the rest become codes of their own, since their remedies differ.
    package static func systemCall(
        _ call: String, _ errorNumber: Int32, on thing: String, code: ErrorCode = .inputOutput
    ) -> HoldfastError {
        let text = describeErrno(errorNumber)
        let message = "\(call) \(thing): \(text)"
        switch errorNumber {
        case SystemErrno.noSpace, SystemErrno.quota:
            return HoldfastError(
                .noSpace, message, hint: "Free some space on that file system, or run `holdfast prune --exclusive`.")
        case SystemErrno.accessDenied, SystemErrno.notPermitted, SystemErrno.readOnly:
            return HoldfastError(
                .accessDenied, message, hint: "Check the owner and the mode, and the user that holdfast runs as.")
        case SystemErrno.noEntry where code == .inputOutput:
            return HoldfastError(.objectMissing, message, hint: "Check the path.")
        case SystemErrno.again, SystemErrno.tooManyFiles, SystemErrno.noMemory:
            return HoldfastError(code, message, hint: "Try again when the machine is less busy.", retry: .later)
        default:
            return HoldfastError(code, message, hint: "Check the disk and the kernel log.")
        }
    }
}

extension HoldfastError: CustomStringConvertible {
    package var description: String {
        var text = message
        if !context.isEmpty {
            text += " (" + context.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + ")"
        }
        if let cause { text += ": \(cause)" }
        return text
    }
}
