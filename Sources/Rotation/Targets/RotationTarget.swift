// What uses a secret, and must accept its new value before readers get it.

import Primitives
import SecretVaults

/// What a target says of a value.
package enum TargetAnswer: Sendable, Hashable {
    case accepted
    case refused
    /// It can't be told.
    case unknown
}

/// Something that accepts or refuses values.
///
/// Every method may be called again: after a crash it is not known whether a call before took place. Calls block.
/// Failures say by their codes what becomes of the rotation: `.usage` for a value that the target's rules refuse, where
/// another one may do; `.accessDenied`, `.notPermitted`, `.vaultAccessDenied`, `.configuration` for what an operator
/// must put right; others by their retry class. No failure holds a value.
package protocol RotationTarget: Sendable {
    /// In words, such as `the programs of the policy`.
    var name: String { get }

    /// Looks whether `current` works and the target could be changed; changes nothing.
    ///
    /// - Returns: What is known of it from now on, for ``RotationRecord/notes``.
    func preflight(_ current: SecretValue) throws(HoldfastError) -> [String: String]

    /// What a new value is, such as one with another user's name.
    func compose(
        _ current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>, notes: inout [String: String]
    ) throws(HoldfastError) -> SecretValue

    /// Asks whether `value` is accepted, by a login of its own.
    func accepts(_ value: SecretValue) throws(HoldfastError) -> TargetAnswer

    /// Makes the target accept `value`. What readers have keeps working where ``keepsOld`` says so.
    func apply(_ value: SecretValue, over current: SecretValue) throws(HoldfastError)

    /// Proves that `value` works wherever it is used; what was asked and answered goes into the notes.
    func verify(_ value: SecretValue, notes: inout [String: String]) throws(HoldfastError)

    /// Makes the target refuse `old`, and proves it; what was seen goes into the notes.
    ///
    /// - Parameter urgent: Somebody else knows `old`: whoever uses it is not waited for.
    func retire(
        _ old: SecretValue, keeping new: SecretValue, urgent: Bool, notes: inout [String: String]
    ) throws(HoldfastError)

    /// The old value works until ``retire(_:keeping:urgent:notes:)``; else it stops with ``apply(_:over:)``.
    var keepsOld: Bool { get }

    /// What is going to be done, for a dry run.
    var effects: TargetEffects { get }
}

/// The effects of a target in words.
package struct TargetEffects: Sendable, Hashable {
    package var apply: [String] = []
    package var verify: [String] = []
    package var retire: [String] = []

    package init(apply: [String] = [], verify: [String] = [], retire: [String] = []) {
        self.apply = apply
        self.verify = verify
        self.retire = retire
    }
}
