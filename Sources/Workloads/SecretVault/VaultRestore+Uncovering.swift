// What a vault does not show of a secret as it stands: looked at before anything is put.

import Primitives
import SecretVaults

extension VaultRestore {
    /// Looks at a secret that its vault shows only once it is recovered, undeleted or enabled, and leaves it as it was.
    ///
    /// Until all such secrets were looked at nothing is put: a restore that is refused has changed nothing that stays.
    /// - Throws: what fails, with the word that the secret is left recovered or undeleted where it is.
    func uncover(_ secret: SecretRecord, value open: Values) throws(HoldfastError) {
        guard isCovered(secret.name) else { return }
        try context.cancellation.check()
        let wasRemoved = try comparison.there(secret.name)?.removal != nil
        if wasRemoved { try vault.change(secret.name, .recover) }
        let relation: SecretRelation
        do throws(HoldfastError) {
            relation = try relationInside(secret, nil, open)
        } catch {
            if wasRemoved { try removeAgain(secret.name, after: error) }
            throw error
        }
        if wasRemoved {
            do throws(HoldfastError) {
                try vault.change(secret.name, .remove(.recoverable))
            } catch {
                throw Self.isLeft("the secret \(secret.name), which was removed before, is left recovered", error)
            }
        }
        if case .conflict(_, let why) = relation { noteConflict(secret.name, why) }
    }

    /// How a secret that is not removed stands, also by the values of versions that are deleted or disabled and that a
    /// restore would give back: each is made readable, read, and made as it was.
    ///
    /// - Parameter known: How it stands as far as nothing has to be changed for that; nil when that is to be looked at.
    func relationInside(
        _ secret: SecretRecord, _ known: SecretRelation?, _ open: Values
    ) throws(HoldfastError) -> SecretRelation {
        let relation: SecretRelation
        if let known { relation = known } else { relation = try comparison.relation(secret, value: open) }
        guard case .fits(let match) = relation, match.there.removal == nil else { return relation }
        for pair in comparison.coveredVersions(secret, match) {
            guard let wanted = try comparison.whole(pair.wanted, open),
                let found = try valueInside(secret.name, pair.found)
            else { continue }
            guard fit.isHeld(found, for: wanted) else {
                return .conflict(match.there, SecretComparison.isAnother(pair.found))
            }
        }
        return relation
    }

    /// Nil where one change does not make it readable.
    private func valueInside(_ name: SecretName, _ version: SecretVersion) throws(HoldfastError) -> SecretValue? {
        let isDisabled = version.state == .disabled
        try vault.announce(.compare, [SecretAccess(name, version.id)])
        try vault.change(name, .state(isDisabled ? .enable : .undelete, of: version.id))
        var value: SecretValue?
        var failure: HoldfastError?
        do throws(HoldfastError) {
            value = try vault.read(name, version.id).value
        } catch {
            if ![.secretDisabled, .secretDeleted].contains(error.code) { failure = error }
        }
        do throws(HoldfastError) {
            try vault.change(name, .state(isDisabled ? .disable : .softDelete, of: version.id))
        } catch {
            let word = isDisabled ? "disabled before, is left enabled" : "deleted before, is left undeleted"
            throw Self.isLeft("version \(version.id) of the secret \(name), \(word)", error)
        }
        if let failure { throw failure }
        return value
    }

    /// Lets a secret be removed as it was before the restore, which failed.
    ///
    /// - Throws: `error`, with a word more, when that fails as well.
    func removeAgain(_ name: SecretName, after error: HoldfastError) throws(HoldfastError) {
        do throws(HoldfastError) {
            try vault.change(name, .remove(.recoverable))
        } catch {
            throw Self.isLeft("the secret \(name), which was removed before, is left recovered", error)
        }
    }

    private static func isLeft(_ words: String, _ error: HoldfastError) -> HoldfastError {
        HoldfastError(
            error.code, "\(error.message); \(words)",
            hint: "Set it back in the vault if it is to be so. \(error.hint)", retry: error.retry)
    }

    /// Recovers a removed secret of which not all can be told as it stands: what it has would be put again, or taken
    /// for what it is not.
    func recoverCovered(_ secret: SecretRecord, _ relation: SecretRelation) throws(HoldfastError) -> Bool {
        guard let there = relation.there, there.removal != nil,
            comparison.isHidden(secret, there) || comparison.isCovered(secret, relation)
        else { return false }
        try vault.change(secret.name, .recover)
        return true
    }
}
