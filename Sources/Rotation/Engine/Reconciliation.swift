// Whether the vault, the target and the journal are together, as after a restore of one of them.

import Primitives
import SecretVaults
import State

/// What was found about one secret. Nothing was changed.
package struct SecretReconciliation: Sendable {
    package enum Verdict: String, Sendable, Hashable {
        /// The current value is the one of the newest rotation, and the target accepts it where that can be told.
        case together
        /// Nothing was rotated here yet, and nothing speaks against the current value.
        case unknown
        /// The vault has an earlier value again.
        case vaultWentBack = "vault-went-back"
        /// The current value is none that a rotation made.
        case foreignValue = "foreign-value"
        /// The target refuses the current value, and accepts an earlier one.
        case targetWentBack = "target-went-back"
        /// The target accepts the value of a rotation that is under way.
        case targetIsAhead = "target-is-ahead"
        /// The target accepts none of the values that are known.
        case targetRefusesAll = "target-refuses-all"
    }

    package var secret: RotatedSecret
    package var verdict: Verdict
    package var current: String?
    /// What the target said of each value, by `current`, `previous` and `pending`.
    package var answers: [String: String] = [:]

    package var isDrift: Bool { verdict != .together && verdict != .unknown }

    /// What an operator can do about it.
    package var advice: String? {
        let name = secret.name
        return switch verdict {
        case .together, .unknown: nil
        case .vaultWentBack, .foreignValue:
            "Look at `holdfast secrets history \(name)`; rotate it, or put the right value into the vault."
        case .targetWentBack:
            "Run `holdfast secrets rollback \(name)` for the value that the target accepts, or rotate it."
        case .targetIsAhead: "Run `holdfast rotate \(name) --now`: the rotation under way goes on from there."
        case .targetRefusesAll: "Set the target to the current value by hand, or restore both to one instant."
        }
    }
}

extension RotationEngine {
    /// Asks the target of each secret for the current value, then for the one before, then for the candidate. Rotates
    /// nothing.
    package func reconcile(
        _ secrets: [(secret: RotatedSecret, target: (any RotationTarget)?)]
    ) throws(HoldfastError) -> [Result<SecretReconciliation, HoldfastError>] {
        let standings = try tools.journal.standings()
        var open: [RotatedSecret: RotationRecord] = [:]
        for record in try tools.journal.unfinished() { open[record.secret] = record }
        var results: [Result<SecretReconciliation, HoldfastError>] = []
        for (secret, target) in secrets {
            try tools.cancellation.check()
            do throws(HoldfastError) {
                results.append(.success(try reconcile(secret, target, standings[secret], open[secret])))
            } catch {
                if error.code == .interrupted { throw error }
                results.append(.failure(error))
            }
        }
        return results
    }

    private func reconcile(
        _ secret: RotatedSecret, _ target: (any RotationTarget)?, _ standing: SecretStanding?,
        _ open: RotationRecord?
    ) throws(HoldfastError) -> SecretReconciliation {
        let name = try SecretName(secret.name)
        let reading = try vault.read(name, nil)
        let fingerprint = tools.key.fingerprint(reading.value)
        var found = SecretReconciliation(
            secret: secret, verdict: Self.verdict(fingerprint, standing, open), current: reading.version.text)
        guard let target else { return found }
        var answer = try target.accepts(reading.value)
        found.answers["current"] = "\(answer)"
        guard answer == .refused else { return found }
        found.verdict = .targetRefusesAll
        if let previous = try previous(name, reading.version, standing) {
            answer = try target.accepts(previous)
            found.answers["previous"] = "\(answer)"
            if answer == .accepted { found.verdict = .targetWentBack }
        }
        if let open, let sealed = try tools.journal.candidate(of: open.id) {
            let candidate = try tools.key.open(sealed, for: open.id, of: secret.name, at: secret.vault)
            answer = try target.accepts(candidate)
            found.answers["pending"] = "\(answer)"
            if answer == .accepted { found.verdict = .targetIsAhead }
        }
        return found
    }

    private static func verdict(
        _ fingerprint: String, _ standing: SecretStanding?, _ open: RotationRecord?
    ) -> SecretReconciliation.Verdict {
        if let open, fingerprint == open.fromFingerprint || fingerprint == open.toFingerprint { return .together }
        guard let standing, let known = standing.fingerprint else { return .unknown }
        if known == fingerprint { return .together }
        return standing.previousFingerprint == fingerprint ? .vaultWentBack : .foreignValue
    }

    /// The value before the current one; nil when it can't be had any more.
    private func previous(
        _ name: SecretName, _ current: SecretVersionID, _ standing: SecretStanding?
    ) throws(HoldfastError) -> SecretValue? {
        guard vault.capabilities.keepsVersions else { return nil }
        let record = try vault.describe(name)
        let known = standing?.previousVersion.flatMap { id in record.versions.first { $0.id.text == id } }
        let before = record.versions.last { $0.id != current && $0.state == .live }
        guard let version = known ?? before, version.id != current, version.state == .live else { return nil }
        return try vault.read(name, version.id).value
    }
}
