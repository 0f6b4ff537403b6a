// Whether the versions that a vault has of a secret are those of a snapshot.

import Primitives
import SecretVaults

/// How a secret of a snapshot stands to the one of its name in a vault.
enum SecretRelation: Sendable {
    case absent
    /// Every version of the vault is one of the snapshot.
    case fits(SecretMatch)
    /// The vault has something that the snapshot has not; why, in words without a value.
    case conflict(SecretRecord, String)

    /// The secret as it is in the vault.
    var there: SecretRecord? {
        switch self {
        case .absent: nil
        case .fits(let match): match.there
        case .conflict(let there, _): there
        }
    }
}

/// Which version of a vault is which of a snapshot.
struct SecretMatch: Sendable {
    var there: SecretRecord
    /// Ids of the snapshot to those of the vault.
    var ids: [SecretVersionID: SecretVersionID]
    /// Of the vault's versions those that hold the place of one without a value, and were to be destroyed.
    var placeholders: Set<SecretVersionID> = []
}

/// Compares secrets. An id alone is no proof: secrets that were put anew, and other vaults, number from 1 as well.
struct SecretComparison {
    let vault: any SecretInventory
    let fit: SecretFit

    private var keepsCreated: Bool { vault.capabilities.fields.contains(.created) }

    /// The secret as it is in the vault; nil when it is not there.
    func there(_ name: SecretName) throws(HoldfastError) -> SecretRecord? {
        do throws(HoldfastError) {
            return try vault.describe(name)
        } catch {
            guard error.code == .secretNotFound else { throw error }
            return nil
        }
    }

    func relation(
        _ secret: SecretRecord, value: SecretReceiver.Values
    ) throws(HoldfastError) -> SecretRelation {
        guard let there = try there(secret.name) else { return .absent }
        let byID = try match(secret, there, value) { there[secret.versions[$0].id] }
        let keepsIDs = secret.versions.allSatisfy { vault.capabilities.takes($0.id) }
        if byID.fits || keepsIDs { return byID }
        // Where ids are not kept a restore has numbered anew, in the order of the snapshot.
        let places = try places(secret, value)
        let byPlace = try match(secret, there, value) { index in
            places[index].flatMap { $0 < there.versions.count ? there.versions[$0] : nil }
        }
        return byPlace.fits ? byPlace : byID
    }

    /// Where a restore into an empty secret puts each version. What has no value gets a place only where the vault can
    /// keep one for it.
    private func places(
        _ secret: SecretRecord, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> [Int?] {
        var places: [Int?] = []
        var next = 0
        for version in secret.versions {
            if fit.placeholder == nil, version.state != .live || secret.removal != nil {
                try vault.announce(.compare, [SecretAccess(secret.name, version.id)])
                guard try whole(version, value) != nil else {
                    places.append(nil)
                    continue
                }
            }
            places.append(next)
            next += 1
        }
        return places
    }

    private func match(
        _ secret: SecretRecord, _ there: SecretRecord, _ value: SecretReceiver.Values,
        _ candidate: (Int) -> SecretVersion?
    ) throws(HoldfastError) -> SecretRelation {
        var ids: [SecretVersionID: SecretVersionID] = [:]
        var pairs: [Pair] = []
        for place in secret.versions.indices {
            let version = secret.versions[place]
            guard let found = candidate(place) else { continue }
            if keepsCreated, let created = version.created, created != found.created {
                return .conflict(there, Self.isAnother(found))
            }
            // What cannot be read goes by its id and its date. Nothing that was there is taken away on that ground.
            if found.state == .live, there.removal == nil { pairs.append(Pair(wanted: version, found: found)) }
            ids[version.id] = found.id
        }
        let matched = Set(ids.values)
        if let other = there.versions.first(where: { !matched.contains($0.id) }) {
            return .conflict(there, "it has the version \(other.id), which the snapshot has not")
        }
        var match = SecretMatch(there: there, ids: ids)
        if let why = try firstDifference(pairs, secret.name, value, &match) { return .conflict(there, why) }
        return .fits(match)
    }

    static func isAnother(_ found: SecretVersion) -> String {
        "its version \(found.id) is another than the snapshot's"
    }

    /// A version of the snapshot and one of the vault whose values are to be equal.
    struct Pair {
        var wanted: SecretVersion
        var found: SecretVersion
    }

    /// Opens the values of both, which the watcher of the vault hears of before.
    ///
    /// - Returns: In words, what differs; nil where all are equal, or nothing tells.
    private func firstDifference(
        _ pairs: [Pair], _ name: SecretName, _ value: SecretReceiver.Values, _ match: inout SecretMatch
    ) throws(HoldfastError) -> String? {
        var rest = pairs[...]
        while !rest.isEmpty {
            let part = rest.prefix(SecretBounds.announced)
            rest = rest.dropFirst(part.count)
            try vault.announce(.compare, part.map { SecretAccess(name, $0.found.id) })
            for pair in part {
                let wanted = try whole(pair.wanted, value)
                // Where nothing could be held against it, it may still be known for what it is.
                guard wanted != nil || fit.placeholder != nil else { continue }
                let found = try vault.read(name, pair.found.id).value
                if fit.isPlaceholder(found), wanted.map({ !fit.isHeld(found, for: $0) }) ?? true {
                    guard wanted == nil else { return Self.isPlaceholder(pair.found) }
                    match.placeholders.insert(pair.found.id)
                }
                guard let wanted else { continue }
                guard fit.isHeld(found, for: wanted) else { return Self.isAnother(pair.found) }
            }
        }
        return nil
    }

    private static func isPlaceholder(_ found: SecretVersion) -> String {
        "its version \(found.id) is a placeholder that a restore left which broke off; destroy it with `holdfast vault "
            + "state` and restore again"
    }

    /// Nil also for a damaged value, which proves nothing either way.
    func whole(
        _ version: SecretVersion, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> SecretValue? {
        do throws(HoldfastError) {
            return try value(version)
        } catch {
            guard error.code == .corruptObject || error.code == .objectMissing else { throw error }
            return nil
        }
    }
}

extension SecretRelation {
    fileprivate var fits: Bool {
        if case .fits = self { return true }
        return false
    }
}

// MARK: - What can't be seen

extension SecretComparison {
    /// Whether two versions are the same without a look at their values: by an id and an instant that were not given
    /// anew, or by an id under which the vault keeps one value alone.
    private func isProven(_ pair: Pair) -> Bool {
        guard pair.wanted.id == pair.found.id else { return false }
        if let created = pair.wanted.created, created == pair.found.created { return true }
        return !keepsCreated && vault.capabilities.takes(pair.wanted.id)
    }

    /// Versions that a restore would make readable, which nothing but their values can tell from others.
    func coveredVersions(_ secret: SecretRecord, _ match: SecretMatch) -> [Pair] {
        secret.versions.compactMap { wanted in
            guard let found = match.ids[wanted.id].flatMap({ match.there[$0] }) else { return nil }
            let pair = Pair(wanted: wanted, found: found)
            switch (wanted.state, found.state) {
            case (.live, .disabled), (.live, .softDeleted), (.disabled, .softDeleted):
                return isProven(pair) ? nil : pair
            default: return nil
            }
        }
    }

    /// Whether a restore has to recover a removed secret before it can tell what is missing.
    func isHidden(_ secret: SecretRecord, _ there: SecretRecord) -> Bool {
        guard there.removal != nil, !vault.capabilities.tellsRemovedVersions else { return false }
        // Removed here and there, and known again.
        return secret.removal == nil || there.current != secret.current
    }

    /// Whether a restore would give back what could not be compared: versions of a removed secret, or deleted and
    /// disabled ones.
    func isCovered(_ secret: SecretRecord, _ relation: SecretRelation) -> Bool {
        guard let there = relation.there else { return false }
        guard there.removal != nil else {
            guard case .fits(let match) = relation else { return false }
            return !coveredVersions(secret, match).isEmpty
        }
        if !vault.capabilities.tellsRemovedVersions {
            // Nothing came after the newest, and what is before it is the snapshot's as well.
            let newest = there.versions.last
            let isKnown = newest.flatMap { secret[$0.id] }?.created.map { $0 == newest?.created } ?? false
            return isHidden(secret, there) && !isKnown
        }
        // Something that it has is no part of the snapshot, whatever its values are.
        guard case .fits(let match) = relation else { return false }
        guard secret.removal == nil || secret.versions.contains(where: { match.ids[$0.id] == nil }) else {
            return false
        }
        return secret.versions.contains { wanted in
            guard let found = match.ids[wanted.id].flatMap({ match.there[$0] }) else { return false }
            if case .destroyed = found.state { return false }
            return !isProven(Pair(wanted: wanted, found: found))
        }
    }
}
