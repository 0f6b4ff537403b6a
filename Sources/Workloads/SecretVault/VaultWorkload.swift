// vault: all versions of all secrets of a vault, as a source and as a target.

import Primitives
import Repository
import SecretVaults

/// A vault of secrets.
package struct VaultWorkload: Workload {
    package static let kind = "vault"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRestoredTo = true
        return capabilities
    }

    let address: VaultAddress
    let opener: any VaultOpener
    let selection: SecretSelection

    /// - Parameter rest: What stands behind `vault:`; nil for what can't be meant.
    package init?(rest: String, options: WorkloadOptions = WorkloadOptions()) {
        guard let address = VaultAddress(rest) else { return nil }
        self.address = address
        opener = options.vaultOpener
        selection = options.secrets
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: "vault:\(address.text)") }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    private func open(_ context: WorkloadContext) throws(HoldfastError) -> any SecretVault {
        try opener.open(
            address, clock: context.clock, entropy: context.entropy, cancellation: context.cancellation)
    }

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        let found: VaultPreflight
        do throws(HoldfastError) {
            found = try open(context).preflight([.list, .describe, .read], under: "")
        } catch {
            guard error.code != .interrupted else { throw error }
            return [WorkloadFinding(.error, "vault", error.message, hint: error.hint, code: error.code)]
        }
        let who = [found.server, found.identity.map { "as \($0)" }].compactMap { $0 }.joined(separator: ", ")
        var findings = [WorkloadFinding(.good, "vault", "\(address.text) answers: \(who)")]
        // The rest is taken without it, and the snapshot is partial.
        for missing in found.missing {
            findings.append(
                WorkloadFinding(
                    .warning, "rights", "the login may not \(missing.right.rawValue) \(missing.path)",
                    hint: "Give its policy this right; docs/VAULTS.md has the whole policy."))
        }
        for note in found.notes { findings.append(WorkloadFinding(.warning, "vault", note)) }
        return findings
    }

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        guard let sink = sink as? any SecretSink else {
            throw HoldfastError(
                .usage, "secrets go into snapshots alone", hint: "Back the vault up with `holdfast backup`.")
        }
        let vault = try open(context)
        let found = try vault.preflight([.list, .describe, .read], under: "")
        var root = EntryMetadata(name: [], kind: .directory)
        root.mode = 0o700
        try sink.beginRoot(Array(address.text.utf8), root, order: .unordered)
        var reading = VaultReading(vault, into: sink, under: "", context)
        let instant = try reading.run(found)
        try sink.endRoot()
        var outcome = outcome(reading, vault.capabilities, found, instant)
        outcome.facts.merge(vault.testimony) { known, _ in known }
        return outcome
    }

    private func outcome(
        _ reading: VaultReading, _ capabilities: VaultCapabilities, _ found: VaultPreflight, _ instant: Timestamp?
    ) -> ReadOutcome {
        var outcome = ReadOutcome()
        outcome.consistentAsOf = instant
        outcome.facts = [
            "vault.kind": capabilities.kind.rawValue, "vault.secrets": "\(reading.secrets)",
            "vault.versions": "\(reading.versions)", "vault.valuesRead": "\(reading.read)",
            "vault.atOneInstant": instant == nil ? "no" : "yes",
        ]
        outcome.facts["vault.server"] = found.server
        if instant == nil {
            let why =
                capabilities.keepsVersions
                ? "the vault changed during each of \(VaultReading.rounds + 1) looks at it"
                : "the vault has no versions by which a change could be seen"
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "instant", "\(why): its secrets may not be as of one instant",
                    hint: "Back it up when it is quieter."))
        }
        if reading.isEmptied {
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "empty",
                    "the vault shows no secret any more, where an earlier look or the snapshot before had some",
                    hint: "If they were not removed, look at the login's policy and at what stands before the vault, "
                        + "and keep the snapshots before this one."))
        }
        if reading.withoutValue > 0 {
            outcome.facts["vault.withoutValue"] = "\(reading.withoutValue)"
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "values",
                    "\(reading.withoutValue) versions that are disabled, deleted or out of reach have no value in this "
                        + "snapshot, since no earlier one had read it",
                    hint: "Back a vault up before versions are deleted; enabled or undeleted ones are read next time."))
        }
        if !reading.full.isEmpty {
            let names = reading.full.prefix(10).map(\.text).joined(separator: ", ")
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "versions",
                    "\(reading.full.count) secrets have as many versions as they may, so that the next one pushes out "
                        + "a version that this snapshot has: \(names); "
                        + "`holdfast vault guard vault:\(address.text)` says what goes",
                    hint: "Raise limits with `--raise`, if older versions open data that may have to be restored."))
        }
        return outcome
    }

    // MARK: Restoring

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        guard record.workload == Self.kind else {
            throw HoldfastError(
                .usage, "the snapshot is of \(record.workload):, which is no vault",
                hint: "Choose a snapshot of a vault; `holdfast snapshots` lists them.")
        }
        let vault = try open(context)
        if selection.textField != nil, vault.capabilities.forms.isSuperset(of: [.text, .fields]) {
            throw HoldfastError(
                .usage, "--text-field is for vaults that have fields alone, or texts and no fields",
                hint: "Leave it out: \(vault.location) takes both as they are.")
        }
        // Where secrets were chosen the login needs no right beside theirs.
        let beginnings = selection.names.isEmpty ? [""] : selection.names.map(\.text)
        var defaults = SecretLimits()
        for beginning in beginnings {
            try context.cancellation.check()
            let found = try vault.preflight(Self.restoring, under: beginning)
            if let missing = found.missing.first(where: { Self.restoring.contains($0.right) }) {
                throw HoldfastError(
                    .vaultAccessDenied, "the login may not \(missing.right.rawValue) \(missing.path)",
                    hint: "Restore with a login that may; docs/VAULTS.md has the policy.")
            }
            defaults = found.defaults
        }
        let source = record.facts["vault.kind"].flatMap { VaultKind(rawValue: $0) }
        return RestoreStage(secrets: VaultRestore(vault, selection, context, from: source, defaults: defaults))
    }

    /// What a restore does: it goes to names that it knows, and removes nothing for good.
    private static let restoring: Set<VaultRight> = [.describe, .read, .write, .change]

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        (stage.secrets as? VaultRestore)?.findings() ?? []
    }
}

/// Which secrets of a snapshot are restored, and over what.
package struct SecretSelection: Sendable, Hashable {
    /// What becomes of a secret whose versions in the target are not those of the snapshot.
    package enum Newer: String, Sendable, Hashable, CaseIterable {
        /// Nothing is restored at all.
        case refuse
        /// The secret stays as it is.
        case keep
        /// The snapshot's current value is put on top, as a new version.
        case append
    }

    /// Empty for all of them.
    package var names: [SecretName] = []
    /// This version alone, of the one secret that is named; it becomes the current one.
    package var version: SecretVersionID?
    package var newer = Newer.refuse
    /// The field that a text which is no JSON object goes into, where the vault has fields alone; and out of which one
    /// comes, where it has texts and no fields.
    package var textField: String?

    package init() {}

    func contains(_ name: SecretName) -> Bool { names.isEmpty || names.contains(name) }
}
