// Raising the limits of a vault, as a guard's plan says.

import Primitives
import SecretVaults
import Workloads

/// What became of a change that a guard asked for.
package struct GuardedChange: Sendable {
    package enum Outcome: Sendable {
        /// A look afterwards shows so many versions that it keeps; nil for no limit.
        case done(Int?)
        case failed(HoldfastError)
    }

    package var name: SecretName
    package var outcome: Outcome

    package init(_ name: SecretName, _ outcome: Outcome) {
        self.name = name
        self.outcome = outcome
    }
}

extension VersionGuard {
    /// Raises the limits that the plan wants raised, each followed by a look at the secret.
    ///
    /// Repeatable: limits are never lowered, and one that is high enough already is left. The secrets are independent
    /// of one another, so that what breaks off is run again.
    ///
    /// - Returns: What became of each; a failure costs that secret alone.
    /// - Throws: `.interrupted`, and what keeps all secrets from being changed.
    package func raiseLimits(
        in vault: any SecretVault, _ look: VersionLook, cancellation: Cancellation
    ) throws(HoldfastError) -> [GuardedChange] {
        var changes: [GuardedChange] = []
        for finding in findings {
            guard let wanted = finding.wanted else { continue }
            try cancellation.check()
            do throws(HoldfastError) {
                try vault.change(finding.name, .keepVersions(atLeast: wanted))
                changes.append(GuardedChange(finding.name, .done(try verify(finding, look, in: vault))))
            } catch {
                guard VersionLook.isOfOne(error) else { throw error }
                changes.append(GuardedChange(finding.name, .failed(error)))
            }
        }
        return changes
    }

    /// - Returns: The limit as it is now.
    /// - Throws: `.secretConflict` when what is needed went in between, or goes with the next puts all the same.
    private func verify(
        _ finding: Finding, _ look: VersionLook, in vault: any SecretVault
    ) throws(HoldfastError) -> Int? {
        let now = try vault.describe(finding.name)
        let needed = Set(finding.drops.filter(\.isToBeKept).map(\.version.id))
        if let gone = needed.first(where: { now[$0] == nil }) {
            throw .secretConflict(finding.name, "version \(gone) was pushed out before its limit was raised")
        }
        let still = look.look(now)?.dropped.first { needed.contains($0.id) }
        guard let still else { return look.limit(of: now) }
        throw .secretConflict(
            finding.name, "its limit was not raised as asked, or others were put: version \(still.id) is still to go")
    }
}
