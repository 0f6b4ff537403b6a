// Secrets of a snapshot back into a vault.

import Primitives
import Repository
import SecretVaults
import Synchronization

/// Restores secrets into a vault.
///
/// It gives back and takes nothing away: a version that was in the vault before is enabled, undeleted or put on top
/// where the snapshot has it so, and never disabled, deleted or destroyed. What the vault cannot take back is counted
/// and told. Retry: safe; what is there already is compared and left, so that a restore that broke off goes on where
/// it was.
final class VaultRestore: SecretReceiver {
    private struct State: Sendable {
        var conflicts = 0
        var conflicting: [String] = []
        /// Could not be looked at as they stand.
        var covered: Set<SecretName> = []
        var left = LeftLiveAccount()
        var found: Set<SecretName> = []
        var restored = 0
        /// Of these, secrets that were not there.
        var made = 0
        var unchanged = 0
        var versions = 0
    }

    let vault: any SecretVault
    private let selection: SecretSelection
    let context: WorkloadContext
    let comparison: SecretComparison
    let fit: SecretFit
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
        let relation = try comparison.relation(secret, value: value)
        // Where conflicts are no reason to refuse, it is looked at when its turn comes.
        if selection.newer == .refuse, comparison.isCovered(secret, relation) {
            state.withLock { _ = $0.covered.insert(secret.name) }
        } else if case .conflict(_, let why) = relation {
            noteConflict(secret.name, why)
        }
    }

    func noteConflict(_ name: SecretName, _ why: String) {
        state.withLock { state in
            state.conflicts += 1
            if state.conflicting.count < 10 { state.conflicting.append("\(name) (\(why))") }
        }
    }

    var isCovered: Bool { state.withLock { !$0.covered.isEmpty } }

    func isCovered(_ name: SecretName) -> Bool { state.withLock { $0.covered.contains(name) } }

    var leftLive: UInt64 { state.withLock { UInt64($0.left.count) } }

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
            "\(state.conflicts) secrets of the vault have versions that the snapshot has not, or other ones: "
                + state.conflicting.joined(separator: ", "),
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
            return try putOnTop(version, of: secret.name, try comparison.there(secret.name), value)
        }
        let first = try comparison.relation(secret, value: open)
        let wasUncovered = try recoverCovered(secret, first)
        let isLeft: Bool
        do throws(HoldfastError) {
            let relation = try relationInside(secret, wasUncovered ? nil : first, open)
            isLeft = try restore(secret, relation, isRecovered: wasUncovered, opening, value)
        } catch {
            // It is to be there, though not all of it could be given back.
            guard wasUncovered, secret.removal != nil || error.code != .objectMissing else { throw error }
            try removeAgain(secret.name, after: error)
            throw error
        }
        if wasUncovered, isLeft || secret.removal != nil { try vault.change(secret.name, .remove(.recoverable)) }
    }

    /// - Returns: true where a conflict is left as it is.
    private func restore(
        _ secret: SecretRecord, _ relation: SecretRelation, isRecovered: Bool, _ opening: SecretOpening, _ value: Values
    ) throws(HoldfastError) -> Bool {
        let isBack = isRecovered && secret.removal == nil
        switch relation {
        case .absent: try restoreAll(secret, nil, opening, value)
        case .fits(let match):
            try restoreAll(secret, match, isRecovered: isRecovered, isBack: isBack, opening, value)
        case .conflict(let there, let why):
            switch selection.newer {
            case .refuse: throw HoldfastError.secretConflict(secret.name, why)
            case .keep:
                state.withLock { $0.unchanged += 1 }
                return true
            case .append:
                guard let version = secret.current.flatMap({ secret[$0] }) else {
                    fit.lose("secrets without a current version, which were not put on top")
                    return true
                }
                try putOnTop(version, of: secret.name, there, value)
            }
        }
        return false
    }

    private func restoreAll(
        _ secret: SecretRecord, _ match: SecretMatch?,
        isRecovered: Bool = false, isBack: Bool = false, _ opening: SecretOpening, _ value: Values
    ) throws(HoldfastError) {
        var writer = SecretWriter(vault, fit, secret, match, defaults: defaults)
        writer.removalFollows = isRecovered
        defer {
            let left = writer.left
            state.withLock { $0.left.add(left) }
        }
        writer.noteLeft()
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
            try putOnTop(lost, of: secret.name, try comparison.there(secret.name), value)
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
        _ version: SecretVersion, of name: SecretName, _ there: SecretRecord?, _ value: Values
    ) throws(HoldfastError) {
        guard let plain = try value(version) else {
            throw HoldfastError(
                .objectMissing, "the snapshot has no value of version \(version.id) of the secret \(name)",
                hint: "It was destroyed, deleted or out of reach when the snapshot was taken; choose another one.")
        }
        let fitting = try fit.value(plain, of: name)
        if there?.removal != nil { try vault.change(name, .recover) }
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

    /// What came of it, and what could not be taken back.
    func findings() -> [WorkloadFinding] {
        let state = self.state.withLock { $0 }
        var findings = [
            WorkloadFinding(
                .good, "secrets",
                "\(state.restored) secrets restored with \(state.versions) new versions, \(state.unchanged) left as "
                    + "they were")
        ]
        findings += state.left.findings(vault.capabilities, url)
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
