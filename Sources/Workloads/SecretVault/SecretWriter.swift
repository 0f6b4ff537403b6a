// One secret of a snapshot, written into a vault version by version.

import Primitives
import SecretVaults

/// Puts the versions that a vault lacks, and brings states, labels and attributes to what the snapshot says.
///
/// A version becomes current last, where the vault has labels: until then readers have what they had. Thread: one at a
/// time.
struct SecretWriter {
    private let vault: any SecretVault
    private let fit: SecretFit
    private let secret: SecretRecord
    /// As it was before anything was put; nil when it was not there.
    private let there: SecretRecord?
    /// What holds in the vault where a secret sets no limit of its own.
    private let defaults: SecretLimits
    /// Ids in the vault by those of the snapshot.
    private var ids: [SecretVersionID: SecretVersionID]
    /// Of the snapshot's versions those that were put just now.
    private var made: Set<SecretVersionID> = []
    /// Which version of the vault has each label.
    private var holders: [StagingLabel: SecretVersionID]
    private var areLimitsLifted = false
    /// The number of versions for which the vault's default had to be raised.
    private var raised: Int?
    private(set) var put = 0
    private(set) var isChanged = false
    /// Its caller recovered the secret for a while, and removes it when all is settled.
    var removalFollows = false
    /// Live versions of which the snapshot has no value, or a damaged one. They are not put: nothing near is made up,
    /// and a snapshot that has them can still be restored.
    private(set) var withoutValue: [SecretVersionID] = []
    /// The current version, where the vault has it as destroyed and the snapshot has its value.
    private(set) var destroyedCurrent: SecretVersion?
    private var hasValue: Set<SecretVersionID> = []

    init(
        _ vault: any SecretVault, _ fit: SecretFit, _ secret: SecretRecord, _ there: SecretRecord?,
        _ ids: [SecretVersionID: SecretVersionID], defaults: SecretLimits
    ) {
        self.defaults = defaults
        self.vault = vault
        self.fit = fit
        self.secret = secret
        self.there = there
        self.ids = ids
        holders = [:]
        for version in there?.versions ?? [] { for label in version.labels { holders[label] = version.id } }
    }

    /// What a put over `there` expects.
    static func expectation(_ there: SecretRecord?) -> SecretExpectation {
        guard let there, !there.versions.isEmpty else { return .absent }
        return there.current.map { .current($0) } ?? .anything
    }

    private mutating func change(_ change: SecretChange) throws(HoldfastError) {
        try vault.change(secret.name, change)
        isChanged = true
    }

    // MARK: Versions

    mutating func putMissing(_ value: SecretReceiver.Values, _ cancellation: Cancellation) throws(HoldfastError) {
        try look(for: value)
        let without = Set(withoutValue)
        let missing = secret.versions.indices.filter { place in
            let id = secret.versions[place].id
            return ids[id] == nil && !without.contains(id)
        }
        guard !missing.isEmpty || secret.removal == nil else { return }
        if there?.removal != nil { try change(.recover) }
        guard !missing.isEmpty else { return }
        try liftLimits(for: (there?.versions.count ?? 0) + missing.count)
        // Of the versions that are there some are behind this one in the snapshot, and will be before it in the vault.
        let lastThere = secret.versions.lastIndex { ids[$0.id] != nil } ?? -1
        fit.lose("places of versions in the order", missing.count { $0 < lastThere })
        var expected = Self.expectation(there)
        for place in missing {
            try cancellation.check()
            let version = secret.versions[place]
            guard let id = try put(version, try value(version), expected) else { continue }
            if fit.capabilities.stages == nil {
                expected = .current(id)
            } else if case .absent = expected {
                // None is current until all are there.
                expected = .anything
            }
        }
    }

    /// The versions whose values are asked for: those where the value decides something.
    var wanted: [SecretVersion] {
        secret.versions.filter { version in
            guard let id = ids[version.id] else { return true }
            return Self.isDestroyed(there?[id])
        }
    }

    /// Which versions the snapshot has values of, and which it should have.
    private mutating func look(for value: SecretReceiver.Values) throws(HoldfastError) {
        for version in wanted {
            do throws(HoldfastError) {
                if try value(version) != nil {
                    hasValue.insert(version.id)
                } else if version.state == .live, secret.removal == nil {
                    withoutValue.append(version.id)
                }
            } catch {
                guard error.code == .corruptObject || error.code == .objectMissing else { throw error }
                withoutValue.append(version.id)
            }
        }
    }

    private static func isDestroyed(_ version: SecretVersion?) -> Bool {
        if case .destroyed = version?.state { return true }
        return false
    }

    /// Limits of the secret, or of the vault, would push versions out, or delete them, while others are put.
    private mutating func liftLimits(for count: Int) throws(HoldfastError) {
        guard fit.capabilities.fields.contains(.limits) else { return }
        if let most = defaults.maximumVersions, most < count { raised = count }
        guard raised != nil || there.map({ $0.attributes.limits != SecretLimits() }) == true else { return }
        var attributes = there?.attributes ?? SecretAttributes()
        attributes.limits = SecretLimits(maximumVersions: raised)
        try change(.attributes(attributes))
        areLimitsLifted = true
    }

    /// Puts one version; nil for one that cannot be, which is counted.
    private mutating func put(
        _ version: SecretVersion, _ plain: SecretValue?, _ expected: SecretExpectation
    ) throws(HoldfastError) -> SecretVersionID? {
        guard let value = plain ?? fit.placeholder else {
            fit.lose("versions without a value, whose places the vault cannot keep")
            return nil
        }
        var put = SecretPut(secret.name, try fit.value(value, of: secret.name), expected: expected)
        if fit.capabilities.takes(version.id) { put.id = version.id } else { fit.lose("version ids") }
        if fit.capabilities.stages != nil { put.staging = .labels([]) }
        put.attributes = fit.attributes(version.attributes)
        if fit.capabilities.fields.contains(.created) {
            put.created = version.created
        } else if version.created != nil {
            fit.lose("times of creation")
        }
        fit.lose("soft deletions that were due", version.deletionDue == nil ? 0 : 1)
        fit.lose("details that only the vault of the snapshot has words for", version.extras.count)
        let now = try vault.put(put)
        let id = now.id
        isChanged = true
        // AWS makes the first version of a secret the current one, whatever it is asked.
        for label in now.labels { holders[label] = id }
        if plain == nil {
            // Nobody is to take a placeholder for a value, not for a moment longer than it takes.
            try vault.change(secret.name, .state(.destroy, of: id))
            if !Self.isDestroyed(version) {
                fit.lose("versions without a value, which are there as destroyed")
            }
        } else {
            self.put += 1
        }
        ids[version.id] = id
        made.insert(version.id)
        return id
    }

    // MARK: Settling

    /// Labels, states, attributes and the removal, when all versions are there.
    mutating func settle() throws(HoldfastError) {
        // Nothing was put, or it is removed here and there, with all its versions.
        guard there != nil || !made.isEmpty else { return }
        guard secret.removal == nil || there?.removal == nil || !made.isEmpty else { return }
        for version in secret.versions {
            guard let id = ids[version.id] else { continue }
            if made.contains(version.id) {
                if hasValue.contains(version.id) { try settleMade(version, id) }
            } else if let found = there?[id] {
                try settleThere(version, found)
            }
        }
        try moveLabels()
        try setAttributes()
        fit.loseDetails(of: secret, there: there)
        guard secret.removal != nil, !removalFollows else { return }
        if there != nil, there?.removal == nil {
            fit.lose("removals of secrets, which are left in place")
        } else if fit.capabilities.removals.contains(.recoverable) {
            try change(.remove(.recoverable))
        } else {
            fit.lose("removals of secrets that could be had back")
        }
    }

    private mutating func settleMade(_ version: SecretVersion, _ id: SecretVersionID) throws(HoldfastError) {
        let wanted: SecretStateChange
        switch version.state {
        case .live: return
        case .disabled: wanted = .disable
        case .softDeleted: wanted = .softDelete
        // An earlier snapshot had read the value; here it is destroyed again, as it was.
        case .destroyed: wanted = .destroy
        }
        if fit.capabilities.stateChanges.contains(wanted) {
            try change(.state(wanted, of: id))
        } else {
            fit.lose("states of versions (\(wanted.rawValue))")
        }
    }

    /// A version that was there before gets back what it lost, and keeps what it has.
    private mutating func settleThere(_ version: SecretVersion, _ found: SecretVersion) throws(HoldfastError) {
        switch (version.state, found.state) {
        case (.live, .live), (.disabled, .disabled), (.softDeleted, .softDeleted), (.destroyed, .destroyed): break
        case (.live, .disabled): try change(.state(.enable, of: found.id))
        case (.live, .softDeleted): try change(.state(.undelete, of: found.id))
        case (.disabled, .softDeleted):
            try change(.state(.undelete, of: found.id))
            try change(.state(.disable, of: found.id))
        case (_, .destroyed):
            guard hasValue.contains(version.id) else { return }
            if version.id == secret.current, version.state == .live {
                destroyedCurrent = version
            } else {
                fit.lose("versions that the vault has destroyed, whose values the snapshot has")
            }
            return
        case (.disabled, _), (.softDeleted, _), (.destroyed, _):
            fit.lose("states of versions that are left as the vault has them")
        }
        let attributes = fit.attributes(version.attributes)
        guard attributes != found.attributes else { return }
        try change(.versionAttributes(attributes, of: found.id))
    }

    /// Each label by comparing and swapping from where it was before anything was put, so that what somebody else moves
    /// meanwhile is noticed.
    private mutating func moveLabels() throws(HoldfastError) {
        guard let stages = fit.capabilities.stages else {
            return fit.loseLabels(of: secret)
        }
        var wanted: [(label: StagingLabel, id: SecretVersionID?)] = []
        // The current one first: moving it moves the one before along.
        if let current = secret.current { wanted.append((stages.current, ids[current])) }
        for version in secret.versions {
            for label in version.labels where label != stages.current && !label.isPin {
                wanted.append((label, ids[version.id]))
            }
        }
        for (label, id) in wanted {
            guard let id else {
                fit.lose("staging labels")
                continue
            }
            let holder = holders[label]
            guard holder != id else { continue }
            try change(.label(label, from: holder, to: id))
            holders[label] = id
            if label == stages.current, let holder { holders[stages.previous] = holder }
        }
        let known = Set(wanted.map(\.label)).union([stages.current, stages.previous])
        fit.lose(
            "staging labels that the snapshot has not, which are left in place",
            holders.keys.count { !known.contains($0) && !$0.isPin })
    }

    private mutating func setAttributes() throws(HoldfastError) {
        var attributes = fit.attributes(secret.attributes)
        if let raised, attributes.limits.maximumVersions == nil {
            // The next put by anybody would push out what was just given back.
            attributes.limits.maximumVersions = raised
            fit.lose("limits of versions, which are raised so that none is pushed out,")
        }
        guard areLimitsLifted || attributes != (there?.attributes ?? SecretAttributes()) else { return }
        try change(.attributes(attributes))
    }
}
