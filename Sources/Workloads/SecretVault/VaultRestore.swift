// Secrets of a snapshot back into a vault.

import Primitives
import Repository
import SecretVaults
import Synchronization

/// Restores secrets into a vault.
///
/// It gives back and takes nothing away: a version that was in the vault before is enabled, undeleted or put on top
/// where the snapshot has it so, and never disabled, deleted or destroyed. What a vault does not show as it stands is
/// the snapshot's only where ids and dates prove it. What the vault cannot take back is counted and told. Retry: safe;
/// what is there already is compared and left, so that a restore that broke off goes on where it was.
final class VaultRestore: SecretReceiver {
    /// Why a secret was made live that was removed, or not there.
    private enum Opened: Sendable {
        /// It has to be, for a while: the snapshot has it removed.
        case forAWhile
        /// A version goes on top of what is not the snapshot's.
        case toPutOnTop
    }

    private struct State: Sendable {
        var conflicts = 0
        var conflicting: [String] = []
        var left = LeftLiveAccount()
        /// What else may be live and could not be looked at.
        var unseen: [WorkloadFinding] = []
        /// Of the secret at hand: this restore made it live.
        var opened: Opened?
        var found: Set<SecretName> = []
        var restored = 0
        /// Of these, secrets that were not there.
        var made = 0
        var unchanged = 0
        var versions = 0
    }

    private let vault: any SecretVault
    private let selection: SecretSelection
    private let context: WorkloadContext
    private let comparison: SecretComparison
    private let fit: SecretFit
    /// Of the vault, as verbs take it.
    private let url: String
    private let defaults: SecretLimits
    private let state = Mutex(State())

    /// - Parameters:
    ///   - source: The kind of vault that the snapshot is of; nil when that is not known.
    ///   - defaults: What the vault's preflight said of its own limits.
    ///   - url: Of the vault, as verbs take it.
    init(
        _ vault: any SecretVault, _ selection: SecretSelection, _ context: WorkloadContext,
        from source: VaultKind? = nil, defaults: SecretLimits = SecretLimits(), url: String? = nil
    ) {
        self.url = url ?? vault.location
        self.defaults = defaults
        self.vault = vault
        self.selection = selection
        self.context = context
        fit = SecretFit(vault.capabilities, from: source, textField: selection.textField)
        comparison = SecretComparison(vault: vault, fit: fit)
    }

    // MARK: Planning

    func consider(_ secret: SecretRecord, value: Values) throws(HoldfastError) {
        guard selection.contains(secret.name) else { return }
        try context.cancellation.check()
        state.withLock { _ = $0.found.insert(secret.name) }
        // A name that the vault cannot hold fails by itself, and the others go on.
        guard vault.capabilities.refusal(of: secret.name) == nil, selection.version == nil else { return }
        guard case .conflict(_, let why) = try comparison.relation(secret, value: value) else { return }
        state.withLock { state in
            state.conflicts += 1
            if state.conflicting.count < 10 { state.conflicting.append("\(secret.name) (\(why))") }
        }
    }

    func begin() throws(HoldfastError) {
        let state = self.state.withLock { $0 }
        if let missing = selection.names.first(where: { !state.found.contains($0) }) {
            throw HoldfastError(
                .secretNotFound, "the snapshot has no secret named \(missing)",
                hint: "`holdfast ls` lists what it has.")
        }
        guard state.conflicts > 0, selection.newer == .refuse, selection.version == nil else { return }
        throw HoldfastError(
            .secretConflict,
            "\(state.conflicts) secrets of the vault have versions that the snapshot has not, other ones, or such as "
                + "can't be compared: " + state.conflicting.joined(separator: ", "),
            hint:
                "Nothing was changed. Keep them with --newer keep, put the snapshot's on top with --newer append, "
                + "or restore into a fresh vault.")
    }

    // MARK: Restoring

    func receive(_ given: SecretRecord, value open: Values) throws(HoldfastError) {
        guard selection.contains(given.name) else { return }
        try context.cancellation.check()
        let secret = fit.record(given)
        let opening = SecretOpening(vault, secret.name)
        func value(_ version: SecretVersion) throws(HoldfastError) -> SecretValue? {
            try opening.open(version) { () throws(HoldfastError) in try open(version) }
        }
        if let refusal = vault.capabilities.refusal(of: secret.name) {
            throw HoldfastError(
                .targetFailed, "the vault takes no secret named \(secret.name): \(refusal)",
                hint: "Restore it into a vault of another kind.")
        }
        if let wanted = selection.version {
            guard let version = secret[wanted] else {
                throw HoldfastError(
                    .secretNotFound, "the snapshot has no version \(wanted) of the secret \(secret.name)",
                    hint: "`holdfast ls` lists the versions.")
            }
            return try closing(secret) { () throws(HoldfastError) in
                let there = try comparison.there(secret.name)
                // No value but the one that is asked for is opened. What is removed in the snapshot is to be live.
                if let there, secret.removal == nil { note(LeftLive.found(secret, comparison.proved(secret, there))) }
                try putOnTop(version, of: secret, there, value)
            }
        }
        try closing(secret) { () throws(HoldfastError) in try restore(secret, open, opening, value) }
    }

    private func restore(
        _ secret: SecretRecord, _ open: Values, _ opening: SecretOpening, _ value: Values
    ) throws(HoldfastError) {
        var relation = try comparison.relation(secret, value: open)
        var isBack = false
        if case .fits(let match) = relation, match.isToBeRecovered {
            isBack = secret.removal == nil
            relation = try recover(secret, match, open)
        }
        switch relation {
        case .absent: try restoreAll(secret, nil, opening, value)
        case .fits(let match): try restoreAll(secret, match, isBack: isBack, opening, value)
        case .conflict(let match, let why):
            guard selection.newer != .refuse else { throw HoldfastError.secretConflict(secret.name, why) }
            try noteKnown(secret, match, open)
            guard selection.newer == .append else { return state.withLock { $0.unchanged += 1 } }
            guard let version = secret.current.flatMap({ secret[$0] }) else {
                return fit.lose("secrets without a current version, which were not put on top")
            }
            try putOnTop(version, of: secret, match.there, value)
        }
    }

    /// Recovers what ids and dates have proved to be the snapshot's, and looks at it again: only now all of it is told.
    private func recover(
        _ secret: SecretRecord, _ match: SecretMatch, _ open: Values
    ) throws(HoldfastError) -> SecretRelation {
        if secret.removal != nil { state.withLock { $0.opened = .forAWhile } }
        var isRecovered = false
        do throws(HoldfastError) {
            try vault.change(secret.name, .recover)
            isRecovered = true
            return try comparison.relation(secret, value: open)
        } catch {
            if secret.removal == nil, isRecovered || error.code == .writeUnknown {
                note(LeftLive.inside(secret, match))
            }
            throw error
        }
    }

    private func restoreAll(
        _ secret: SecretRecord, _ match: SecretMatch?, isBack: Bool = false, _ opening: SecretOpening, _ value: Values
    ) throws(HoldfastError) {
        var writer = SecretWriter(vault, fit, secret, match, defaults: defaults)
        defer {
            note(writer.left)
            if match == nil, secret.removal != nil, writer.hasBegun { state.withLock { $0.opened = .forAWhile } }
        }
        // First of all, so that it is told whatever follows.
        if let match, state.withLock({ $0.opened }) == nil { note(LeftLive.found(secret, match)) }
        try opening.announce(writer.wanted)
        try writer.putMissing(value, context.cancellation)
        try writer.settle()
        let outcome = writer
        state.withLock { state in
            state.versions += outcome.put
            if outcome.isChanged || isBack { state.restored += 1 } else { state.unchanged += 1 }
            if outcome.isChanged, match == nil { state.made += 1 }
        }
        if let lost = outcome.destroyedCurrent {
            // Its place cannot be filled again, and the secret is to work.
            try putOnTop(lost, of: secret, try comparison.there(secret.name), value)
        }
        if let version = outcome.withoutValue.first {
            throw HoldfastError(
                .objectMissing,
                "\(outcome.withoutValue.count) live versions of the secret \(secret.name) have no whole value in the "
                    + "snapshot, \(version) among them; they were left out",
                hint: "Restore them from another snapshot, or once `holdfast check --read-data` finds no damage.")
        }
    }

    /// Puts one version as the newest, unless the current value is that already.
    private func putOnTop(
        _ version: SecretVersion, of secret: SecretRecord, _ known: SecretRecord?, _ value: Values
    ) throws(HoldfastError) {
        let name = secret.name
        guard let plain = try value(version) else {
            throw HoldfastError(
                .objectMissing, "the snapshot has no value of version \(version.id) of the secret \(name)",
                hint: "It was destroyed, deleted or out of reach when the snapshot was taken; choose another one.")
        }
        let fitting = try fit.value(plain, of: name)
        var there = known
        if there?.removal != nil {
            let isForAWhile = secret.removal != nil && selection.version == nil
            state.withLock { $0.opened = isForAWhile ? .forAWhile : .toPutOnTop }
            try vault.change(name, .recover)
            there = try comparison.there(name)
        }
        if let current = there?.current, there?[current]?.state == .live,
            fit.isHeld(try vault.read(name, current).value, for: plain)
        {
            return state.withLock { $0.unchanged += 1 }
        }
        var put = SecretPut(name, fitting, expected: SecretWriter.expectation(there))
        put.attributes = fit.attributes(version.attributes)
        _ = try vault.put(put)
        state.withLock { state in
            state.restored += 1
            state.versions += 1
        }
    }

    // MARK: What is left live

    var leftLive: UInt64 { state.withLock { UInt64($0.left.count) } }

    private func note(_ left: [LeftLive]) {
        state.withLock { $0.left.add(left, vault.capabilities) }
    }

    /// Names what values tell of a secret that is not the snapshot's. That it can't be looked at is told, and keeps
    /// nothing from being restored.
    private func noteKnown(_ secret: SecretRecord, _ match: SecretMatch, _ open: Values) throws(HoldfastError) {
        guard state.withLock({ $0.opened }) == nil else { return }
        do throws(HoldfastError) {
            note(LeftLive.found(secret, try comparison.known(secret, match, value: open)))
        } catch {
            try noteUnseen(secret.name, error)
        }
    }

    private func noteUnseen(_ name: SecretName, _ error: HoldfastError) throws(HoldfastError) {
        guard Self.isOfOneSecret(error.code) else { throw error }
        state.withLock { state in
            guard state.unseen.count < 100 else { return }
            state.unseen.append(
                WorkloadFinding(
                    .warning, "left-live",
                    "what is live of the secret \(name) could not be compared: \(error.message)", hint: error.hint))
        }
    }

    /// Leaves nothing live that `body` made live only for a while, or names it.
    private func closing(
        _ secret: SecretRecord, _ body: () throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        state.withLock { $0.opened = nil }
        do throws(HoldfastError) {
            try body()
        } catch {
            let isUnknown = error.code == .writeUnknown
            switch state.withLock({ $0.opened }) {
            case nil: break
            case .forAWhile: _ = removeAgain(secret.name, isUnknown: isUnknown)
            case .toPutOnTop: if isLive(secret.name) || isUnknown { note([LeftLive(secret.name, .recovered)]) }
            }
            throw error
        }
        guard case .forAWhile = state.withLock({ $0.opened }) else { return }
        if let failure = removeAgain(secret.name, isUnknown: false) { throw failure }
    }

    /// Whether it is live as far as can be told: what can't be looked at counts as that.
    private func isLive(_ name: SecretName) -> Bool {
        do throws(HoldfastError) {
            guard let there = try comparison.there(name) else { return false }
            return there.removal == nil
        } catch {
            return true
        }
    }

    /// Removes a secret that the snapshot has removed and this restore made live, or names it.
    ///
    /// - Parameter isUnknown: It may become live yet, by a call that got no answer.
    /// - Returns: Why it could not be removed.
    private func removeAgain(_ name: SecretName, isUnknown: Bool) -> HoldfastError? {
        guard isLive(name) else {
            if isUnknown { note([LeftLive(name, .unsureSecret)]) }
            return nil
        }
        var failure: HoldfastError?
        if vault.capabilities.removals.contains(.recoverable) {
            do throws(HoldfastError) {
                try vault.change(name, .remove(.recoverable))
                return nil
            } catch {
                failure = error
            }
        }
        if failure == nil || isLive(name) { note([LeftLive(name, .secret)]) }
        return failure
    }

    /// What came of it, and what could not be taken back.
    func findings() -> [WorkloadFinding] {
        let state = self.state.withLock { $0 }
        var findings = [
            WorkloadFinding(
                .good, "secrets",
                "\(state.restored) secrets restored with \(state.versions) new versions, \(state.unchanged) left as "
                    + "they were")
        ]
        findings += state.left.findings(vault.capabilities, url) + state.unseen
        for loss in fit.losses(of: vault.location) { findings.append(WorkloadFinding(.warning, "fidelity", loss)) }
        if fit.source == .aws, state.made > 0 {
            findings.append(
                WorkloadFinding(
                    .warning, "fidelity",
                    "\(state.made) secrets were made anew without a policy of their own: snapshots of AWS have none",
                    hint: "Set such policies again where there were any."))
        }
        return findings
    }
}
