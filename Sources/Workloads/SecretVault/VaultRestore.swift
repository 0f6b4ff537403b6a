// Secrets of a snapshot back into a vault, version by version in their order.

import Primitives
import Repository
import SecretVaults
import Synchronization

/// Takes the secrets of a snapshot, one after the other.
///
/// The engine shows it all of them twice: first without values, so that a conflict is found before anything is
/// written, then to be restored. Thread: one call at a time.
package protocol SecretReceiver: AnyObject, Sendable {
    /// Looks at what would become of a secret; changes nothing.
    func consider(_ secret: SecretRecord) throws(HoldfastError)

    /// Called when all were considered.
    ///
    /// - Throws: `.secretConflict` when the target has versions that the snapshot knows nothing of.
    func begin() throws(HoldfastError)

    /// Restores a secret.
    ///
    /// - Parameter value: Gives the value of one of its versions; nil for one that the snapshot has no value of.
    /// - Throws: `.targetFailed` and what the vault throws; the others go on after `.secretConflict` and
    ///   `.vaultAccessDenied`.
    func receive(
        _ secret: SecretRecord, value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError)
}

/// Restores secrets into a vault.
///
/// Fidelity: what the vault cannot take back is counted and told, never dropped without a word. Retry: safe; what is
/// there already is compared and left, so that a restore that broke off goes on where it was.
final class VaultRestore: SecretReceiver {
    private struct State: Sendable {
        var considered = 0
        var conflicts = 0
        var conflicting: [SecretName] = []
        var found: Set<SecretName> = []
        var restored = 0
        var unchanged = 0
        var versions = 0
        /// How often something could not be taken back, by what it is.
        var lost: [String: Int] = [:]
    }

    private let vault: any SecretVault
    private let selection: SecretSelection
    private let context: WorkloadContext
    private let state = Mutex(State())

    init(_ vault: any SecretVault, _ selection: SecretSelection, _ context: WorkloadContext) {
        self.vault = vault
        self.selection = selection
        self.context = context
    }

    // MARK: Planning

    func consider(_ secret: SecretRecord) throws(HoldfastError) {
        guard selection.contains(secret.name) else { return }
        if let refusal = vault.capabilities.refusal(of: secret.name) {
            throw HoldfastError(
                .targetFailed, "the vault takes no secret named \(secret.name): \(refusal)",
                hint: "Restore into a vault of another kind, or leave this secret out.")
        }
        let conflicts = try there(secret.name).map { isConflict(secret, $0) } ?? false
        state.withLock { state in
            state.considered += 1
            state.found.insert(secret.name)
            guard conflicts else { return }
            state.conflicts += 1
            if state.conflicting.count < 10 { state.conflicting.append(secret.name) }
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
            "\(state.conflicts) secrets of the vault have versions that the snapshot has not: "
                + state.conflicting.map(\.text).joined(separator: ", "),
            hint:
                "Nothing was changed. Keep them with --newer keep, put the snapshot's on top with --newer append, "
                + "or restore into a fresh vault.")
    }

    /// The secret as it is in the target; nil when it is not there.
    private func there(_ name: SecretName) throws(HoldfastError) -> SecretRecord? {
        do throws(HoldfastError) {
            return try vault.describe(name)
        } catch {
            guard error.code == .secretNotFound else { throw error }
            return nil
        }
    }

    /// Whether the target has versions that are not the snapshot's. Where ids are kept they tell; else the number
    /// of versions, and the values when they are compared later.
    private func isConflict(_ secret: SecretRecord, _ there: SecretRecord) -> Bool {
        if keepsIDs { return there.versions.contains { secret[$0.id] == nil } }
        return there.versions.count > secret.versions.count
    }

    private var keepsIDs: Bool { vault.capabilities.fields.contains(.versionID) }

    private func lose(_ what: String, _ count: Int = 1) { state.withLock { $0.lost[what, default: 0] += count } }

    // MARK: Restoring

    func receive(
        _ secret: SecretRecord, value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) {
        guard selection.contains(secret.name) else { return }
        try context.cancellation.check()
        let there = try there(secret.name)
        if let wanted = selection.version {
            guard let version = secret[wanted] else {
                throw HoldfastError(
                    .secretNotFound, "the snapshot has no version \(wanted) of the secret \(secret.name)",
                    hint: "`holdfast ls` lists the versions.")
            }
            return try putOnTop(secret, version, there, value)
        }
        if let there, isConflict(secret, there) {
            guard selection.newer == .append else { return state.withLock { $0.unchanged += 1 } }
            guard let id = secret.current, let version = secret[id] else {
                return lose("secrets without a current version, which were not put on top")
            }
            return try putOnTop(secret, version, there, value)
        }
        try restoreAll(secret, there, value)
    }

    /// Puts one version as the newest, unless the current value is that already.
    private func putOnTop(
        _ secret: SecretRecord, _ version: SecretVersion, _ there: SecretRecord?,
        _ value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) {
        guard let plain = try value(version) else {
            throw HoldfastError(
                .secretNotFound, "the snapshot has no value of version \(version.id) of the secret \(secret.name)",
                hint: "It was destroyed or deleted before the snapshot; choose another version.")
        }
        if there?.removal != nil { try vault.change(secret.name, .recover) }
        if let current = there?.current, there?[current]?.state == .live,
            try vault.read(secret.name, current).value.equals(plain)
        {
            return state.withLock { $0.unchanged += 1 }
        }
        let expected = there?.current.map { SecretExpectation.current($0) } ?? .absent
        var put = SecretPut(secret.name, try fitting(plain, secret.name), expected: expected)
        put.attributes = fitting(version.attributes)
        _ = try vault.put(put)
        state.withLock { state in
            state.restored += 1
            state.versions += 1
        }
    }

    private func restoreAll(
        _ secret: SecretRecord, _ there: SecretRecord?, _ value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) {
        if there?.removal != nil, secret.removal == nil { try vault.change(secret.name, .recover) }
        // Limits last: one of them would push out or delete what is being put.
        var ids: [SecretVersionID: SecretVersionID] = [:]
        var last = there?.versions.last?.id
        var put = 0
        for (place, version) in secret.versions.enumerated() {
            try context.cancellation.check()
            if let there, let same = try counterpart(of: version, at: place, in: there, secret.name, value) {
                ids[version.id] = same
                continue
            }
            guard let made = try self.put(version, of: secret, after: last, value) else { continue }
            ids[version.id] = made
            last = made
            put += 1
        }
        try settle(secret, ids)
        state.withLock { state in
            state.versions += put
            if put == 0, there != nil { state.unchanged += 1 } else { state.restored += 1 }
        }
    }

    /// The version of the target that is `version` already.
    private func counterpart(
        of version: SecretVersion, at place: Int, in there: SecretRecord, _ name: SecretName,
        _ value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) -> SecretVersionID? {
        if keepsIDs { return there[version.id]?.id }
        guard place < there.versions.count else { return nil }
        let found = there.versions[place]
        guard found.state == .live, let plain = try value(version) else { return found.id }
        guard try vault.read(name, found.id).value.equals(plain) else {
            throw HoldfastError(
                .secretConflict,
                "version \(found.id) of the secret \(name) in the vault is another than the snapshot's",
                hint: "Keep it with --newer keep, or put the snapshot's value on top with --newer append.")
        }
        return found.id
    }

    /// Puts one version; nil for one that cannot be, which is counted.
    private func put(
        _ version: SecretVersion, of secret: SecretRecord, after last: SecretVersionID?,
        _ value: (SecretVersion) throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) -> SecretVersionID? {
        let capabilities = vault.capabilities
        let plain: SecretValue
        if let found = try value(version) {
            plain = found
        } else if capabilities.stateChanges.contains(.destroy) {
            // Its place is kept by a version that is destroyed afterwards.
            let form: SecretForm = capabilities.forms.contains(.text) ? .text : .fields
            let bytes = form == .fields ? Array("{}".utf8) : []
            plain = SecretValue(form, SecretBytes(copying: bytes.span.bytes))
        } else {
            lose("versions without a value, whose places the vault cannot keep")
            return nil
        }
        var put = SecretPut(
            secret.name, try fitting(plain, secret.name), expected: last.map { .current($0) } ?? .absent)
        if keepsIDs { put.id = version.id } else { lose("version ids") }
        if capabilities.stages != nil {
            // Of each label its holder at the end counts; the newest version is current until then.
            put.staging = .current
        }
        put.attributes = fitting(version.attributes)
        if capabilities.fields.contains(.created) {
            put.created = version.created
        } else if version.created != nil {
            lose("times of creation")
        }
        let made = try vault.put(put)
        return made.id
    }

    /// Labels, states, attributes and the removal, when all versions are there.
    private func settle(
        _ secret: SecretRecord, _ ids: [SecretVersionID: SecretVersionID]
    ) throws(HoldfastError) {
        let capabilities = vault.capabilities
        guard let now = try there(secret.name) else { return }
        if capabilities.stages != nil {
            try move(secret, ids, now)
        } else {
            lose("staging labels", secret.versions.reduce(0) { $0 + $1.labels.count })
            if secret.current != secret.versions.last?.id, secret.current != nil {
                lose("secrets whose current version is not the newest")
            }
        }
        for version in secret.versions {
            guard let id = ids[version.id], let change = Self.change(version.state), change.isLeft(of: now[id]) else {
                continue
            }
            if capabilities.stateChanges.contains(change.wanted) {
                try vault.change(secret.name, .state(change.wanted, of: id))
            } else {
                lose("states of versions (\(change.wanted.rawValue))")
            }
        }
        try setAttributes(secret, now)
        if secret.removal != nil, now.removal == nil {
            if capabilities.removals.contains(.recoverable) {
                try vault.change(secret.name, .remove(.recoverable))
            } else {
                lose("removals of secrets that could be had back")
            }
        }
    }

    private struct Change {
        var wanted: SecretStateChange

        /// Whether the version in the target is not so yet.
        func isLeft(of version: SecretVersion?) -> Bool {
            switch (wanted, version?.state) {
            case (.disable, .disabled), (.softDelete, .softDeleted), (.destroy, .destroyed), (.softDelete, .destroyed):
                false
            default: true
            }
        }
    }

    private static func change(_ state: SecretVersionState) -> Change? {
        switch state {
        case .live: nil
        case .disabled: Change(wanted: .disable)
        case .softDeleted: Change(wanted: .softDelete)
        case .destroyed: Change(wanted: .destroy)
        }
    }

    private func move(
        _ secret: SecretRecord, _ ids: [SecretVersionID: SecretVersionID], _ now: SecretRecord
    ) throws(HoldfastError) {
        // The current one first: moving it moves the one before along.
        let stages = vault.capabilities.stages
        let wanted = secret.versions.flatMap { version in
            version.labels.map { (label: $0, id: ids[version.id]) }
        }.sorted { a, b in (a.label == stages?.current ? 0 : 1) < (b.label == stages?.current ? 0 : 1) }
        for (label, id) in wanted {
            guard let id else { continue }
            guard let record = try there(secret.name) else { return }
            let holder = record.versions.first { $0.labels.contains(label) }?.id
            guard holder != id else { continue }
            try vault.change(secret.name, .label(label, from: holder, to: id))
        }
        // A secret without labels, as of a vault that has none, keeps its newest version as the current one.
        guard let current = stages?.current, let id = secret.current.flatMap({ ids[$0] }) else { return }
        guard let record = try there(secret.name), record.current != id else { return }
        try vault.change(secret.name, .label(current, from: record.current, to: id))
    }

    private func setAttributes(_ secret: SecretRecord, _ now: SecretRecord) throws(HoldfastError) {
        let fields = vault.capabilities.fields
        var attributes = SecretAttributes()
        if fields.contains(.description) {
            attributes.description = secret.attributes.description
        } else {
            lose("descriptions", secret.attributes.description == nil ? 0 : 1)
        }
        if fields.contains(.secretTags) {
            attributes.tags = secret.attributes.tags
        } else {
            lose("tags of secrets", secret.attributes.tags.count)
        }
        if fields.contains(.limits) {
            attributes.limits = secret.attributes.limits
        } else {
            lose("limits of secrets", secret.attributes.limits == SecretLimits() ? 0 : 1)
        }
        guard attributes != now.attributes, attributes != SecretAttributes() || now.attributes != SecretAttributes()
        else { return }
        try vault.change(secret.name, .attributes(attributes))
    }

    // MARK: Fitting

    /// The attributes that the vault keeps; the others are counted.
    private func fitting(_ attributes: SecretVersionAttributes) -> SecretVersionAttributes {
        let fields = vault.capabilities.fields
        var fit = SecretVersionAttributes()
        if fields.contains(.notBefore) {
            fit.notBefore = attributes.notBefore
        } else {
            lose("times from which versions hold", attributes.notBefore == nil ? 0 : 1)
        }
        if fields.contains(.expires) {
            fit.expires = attributes.expires
        } else {
            lose("times at which versions end", attributes.expires == nil ? 0 : 1)
        }
        if fields.contains(.contentType) {
            fit.contentType = attributes.contentType
        } else {
            lose("content types", attributes.contentType == nil ? 0 : 1)
        }
        if fields.contains(.versionTags) {
            fit.tags = attributes.tags
        } else {
            lose("tags of versions", attributes.tags.count)
        }
        return fit
    }

    /// The value in a form that the vault takes.
    ///
    /// - Throws: `.targetFailed` for a value that it cannot hold: nothing is changed about it.
    private func fitting(_ value: SecretValue, _ name: SecretName) throws(HoldfastError) -> SecretValue {
        let capabilities = vault.capabilities
        guard value.bytes.count <= Int(clamping: capabilities.maximumValue.bytes) else {
            throw HoldfastError(
                .targetFailed, "a value of the secret \(name) has more than \(capabilities.maximumValue)",
                hint: "The vault takes no larger ones; restore into a vault of another kind.")
        }
        if capabilities.forms.contains(value.form) { return value }
        // A JSON object is text as well.
        if value.form == .fields, capabilities.forms.contains(.text) {
            lose("forms of values (a JSON object became a text)")
            return SecretValue(.text, value.bytes)
        }
        throw HoldfastError(
            .targetFailed, "the vault takes no value of the form `\(value.form)`, as the secret \(name) has",
            hint: "Restore into a vault of the same kind, or into an embedded one.")
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
        for (what, count) in state.lost.sorted(by: { $0.key < $1.key }) where count > 0 {
            findings.append(
                WorkloadFinding(.warning, "fidelity", "\(count) \(what) could not be taken back by \(vault.location)"))
        }
        return findings
    }
}
