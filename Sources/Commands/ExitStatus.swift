// How a verb that ran to its end says how it went.

/// The exit status of a verb that did not fail; failures take theirs from their code.
package enum ExitStatus: Int32, Sendable {
    case success = 0
    /// Something is wrong and was reported; the rest was done.
    case failed = 1
    /// Some sources or files failed; the rest is committed.
    case partial = 3
    /// A check failed.
    case checkFailed = 4
    /// What was to be looked at is not as it must be, and was reported in full.
    case usage = 64
}
