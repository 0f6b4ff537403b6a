// A target that the operator's programs know how to change.

import Primitives
import SecretVaults

/// Programs that get a value on their standard input. How they end is told by the statuses of sysexits.h:
///
/// | status | meaning |
/// |---|---|
/// | 0 | done; of `verify`: the value is accepted |
/// | 65 (EX_DATAERR) | the target's rules refuse this value: another one is made; of `verify`: it is not accepted |
/// | 77 (EX_NOPERM), 78 (EX_CONFIG) | an operator is needed |
/// | any other | it may pass: tried again later |
package struct CommandRotationTarget: RotationTarget {
    private static let dataError: Int32 = 65
    private static let noPermission: Int32 = 77
    private static let configuration: Int32 = 78

    private let commands: RotationCommands
    private let place: ValuePlace
    private let secret: String
    private let programs: SecretPrograms

    package init(_ commands: RotationCommands, place: ValuePlace, secret: String, _ programs: SecretPrograms) {
        self.commands = commands
        self.place = place
        self.secret = secret
        self.programs = programs
    }

    package var name: String { "the programs of the policy" }

    /// Nobody can tell; the rotation treats the old value as one that may work still.
    package var keepsOld: Bool { commands.retire != nil }

    package var effects: TargetEffects {
        func words(_ words: [String]?) -> [String] {
            words.map { ["run `\($0.joined(separator: " "))` with the value on its standard input"] } ?? []
        }
        return TargetEffects(
            apply: words(commands.apply), verify: words(commands.verify), retire: words(commands.retire))
    }

    package func preflight(_ current: SecretValue) throws(HoldfastError) -> [String: String] {
        guard commands.verify != nil, try accepts(current) == .refused else { return [:] }
        throw HoldfastError(
            .secretConflict, "the target does not accept the current value of \(secret)",
            hint: "Run `holdfast secrets reconcile`: the vault and the target are not together.")
    }

    package func compose(
        _ current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>, notes: inout [String: String]
    ) throws(HoldfastError) -> SecretValue {
        try ValueDocument.replacing(place, of: current, with: fresh, forms: forms)
    }

    package func accepts(_ value: SecretValue) throws(HoldfastError) -> TargetAnswer {
        guard let words = commands.verify else { return .unknown }
        switch try run(words, value, "verify") {
        case .exited(0): return .accepted
        case .exited(Self.dataError): return .refused
        case let other: throw Self.failure(words, other)
        }
    }

    package func apply(_ value: SecretValue, over current: SecretValue) throws(HoldfastError) {
        guard let words = commands.apply else { return }
        try check(words, try run(words, value, "apply"))
    }

    package func verify(_ value: SecretValue, notes: inout [String: String]) throws(HoldfastError) {
        switch try accepts(value) {
        case .accepted: notes["verified"] = "accepted by `\(commands.verify?.first ?? "")`"
        case .unknown: notes["verified"] = "no program says whether the value is accepted"
        case .refused: throw Self.refused(commands.verify ?? [])
        }
    }

    package func retire(
        _ old: SecretValue, keeping new: SecretValue, urgent: Bool, notes: inout [String: String]
    ) throws(HoldfastError) {
        guard let words = commands.retire else { return }
        try check(words, try run(words, old, "retire"))
        switch try accepts(old) {
        case .refused: notes["oldRefused"] = "yes"
        case .unknown: notes["oldRefused"] = "not asked: no program says so"
        case .accepted:
            throw HoldfastError(
                .targetFailed, "the target accepts the old value of \(secret) still",
                hint: "Look at what `\(words.first ?? "")` did.", retry: .later)
        }
    }

    private func run(_ words: [String], _ value: SecretValue, _ step: String) throws(HoldfastError) -> ProcessResult {
        try programs.run(
            words, input: value.bytes,
            variables: ["HOLDFAST_ROTATION_SECRET": secret, "HOLDFAST_ROTATION_STEP": step], named: "the program"
        ).result
    }

    private func check(_ words: [String], _ result: ProcessResult) throws(HoldfastError) {
        switch result {
        case .exited(0): return
        case .exited(Self.dataError): throw Self.refused(words)
        default: throw Self.failure(words, result)
        }
    }

    private static func refused(_ words: [String]) -> HoldfastError {
        HoldfastError(
            .usage, "`\(words.first ?? "")` says that the target refuses the new value",
            hint: "Let the generator make values that the target's rules allow.")
    }

    private static func failure(_ words: [String], _ result: ProcessResult) -> HoldfastError {
        let isForOperator = result == .exited(noPermission) || result == .exited(configuration)
        return HoldfastError(
            isForOperator ? .notPermitted : .targetFailed, "`\(words.first ?? "")` failed: \(result)",
            hint: "Look at what it wrote on standard error.", retry: isForOperator ? .never : .later)
    }
}
