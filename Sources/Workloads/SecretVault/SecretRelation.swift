// Whether the versions that a vault has of a secret are those of a snapshot.

import Primitives
import SecretVaults

/// How a secret of a snapshot stands to the one of its name in a vault.
enum SecretRelation: Sendable {
    case absent
    /// Every version of the vault is one of the snapshot.
    case fits(SecretMatch)
    /// The vault has something that the snapshot has not, or that can't be compared; why, in words without a value.
    /// Which version is which is then no more than likely.
    case conflict(SecretMatch, String)
}

/// Which version of a vault is which of a snapshot.
struct SecretMatch: Sendable {
    var there: SecretRecord
    /// Ids of the snapshot to those of the vault.
    var ids: [SecretVersionID: SecretVersionID] = [:]
    /// Of the vault's versions those whose values were compared and are the snapshot's.
    var same: Set<SecretVersionID> = []
    /// Of the vault's versions those that hold the place of one without a value, and were to be destroyed.
    var placeholders: Set<SecretVersionID> = []
    /// It is removed in the vault, ids and dates prove it to be the snapshot's, and there is something to give back.
    var isToBeRecovered = false
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
        var found = try match(secret, there, value) { there[secret.versions[$0].id] }
        let keepsIDs = secret.versions.allSatisfy { vault.capabilities.takes($0.id) }
        if case .conflict = found, !keepsIDs {
            // Where ids are not kept a restore has numbered anew, in the order of the snapshot.
            let places = try places(secret, value)
            let byPlace = try match(secret, there, value) { index in
                places[index].flatMap { $0 < there.versions.count ? there.versions[$0] : nil }
            }
            if case .fits = byPlace { found = byPlace }
        }
        guard case .fits(let match) = found else { return found }
        return try proven(secret, match, value)
    }

    /// Where a restore into an empty secret puts each version. What has no value gets a place only where the vault can
    /// keep one for it.
    private func places(
        _ secret: SecretRecord, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> [Int?] {
        var places: [Int?] = []
        var next = 0
        for version in secret.versions {
            if version.state != .live || secret.removal != nil, try !hasPlace(version, of: secret.name, value) {
                places.append(nil)
                continue
            }
            places.append(next)
            next += 1
        }
        return places
    }

    /// Whether a restore has something to put for a version, and be it for its place alone.
    private func hasPlace(
        _ version: SecretVersion, of name: SecretName, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> Bool {
        if fit.placeholder != nil { return true }
        try vault.announce(.compare, [SecretAccess(name, version.id)])
        return try whole(version, value) != nil
    }

    private func match(
        _ secret: SecretRecord, _ there: SecretRecord, _ value: SecretReceiver.Values,
        _ candidate: (Int) -> SecretVersion?
    ) throws(HoldfastError) -> SecretRelation {
        var match = SecretMatch(there: there)
        var pairs: [Pair] = []
        var problem: String?
        for place in secret.versions.indices {
            let version = secret.versions[place]
            guard let found = candidate(place) else { continue }
            if keepsCreated, let created = version.created, created != found.created {
                problem = problem ?? Self.isAnother(found)
                continue
            }
            if found.state == .live, there.removal == nil { pairs.append(Pair(wanted: version, found: found)) }
            match.ids[version.id] = found.id
        }
        if problem == nil {
            let matched = Set(match.ids.values)
            problem = there.versions.first { !matched.contains($0.id) }.map {
                "it has the version \($0.id), which the snapshot has not"
            }
        }
        if problem == nil { problem = try look(at: pairs, secret.name, value, &match) }
        return problem.map { .conflict(match, $0) } ?? .fits(match)
    }

    private static func isAnother(_ found: SecretVersion) -> String {
        "its version \(found.id) is another than the snapshot's"
    }

    /// A version of the snapshot and one of the vault whose values are to be equal.
    private struct Pair {
        var wanted: SecretVersion
        var found: SecretVersion
    }

    /// Opens the values of both, which the watcher of the vault hears of before.
    ///
    /// - Parameter all: Also those after the first that differs.
    /// - Returns: In words, what differs; nil where all are equal, or nothing tells.
    private func look(
        at pairs: [Pair], _ name: SecretName, _ value: SecretReceiver.Values, _ match: inout SecretMatch,
        all: Bool = false
    ) throws(HoldfastError) -> String? {
        var problem: String?
        var rest = pairs[...]
        while !rest.isEmpty, all || problem == nil {
            let part = rest.prefix(SecretBounds.announced)
            rest = rest.dropFirst(part.count)
            try vault.announce(.compare, part.map { SecretAccess(name, $0.found.id) })
            for pair in part where all || problem == nil {
                let difference = try difference(pair, name, value, &match)
                problem = problem ?? difference
            }
        }
        return problem
    }

    private func difference(
        _ pair: Pair, _ name: SecretName, _ value: SecretReceiver.Values, _ match: inout SecretMatch
    ) throws(HoldfastError) -> String? {
        let wanted = try whole(pair.wanted, value)
        // Where nothing could be held against it, it may still be known for what it is.
        guard wanted != nil || fit.placeholder != nil else { return Self.isUnknown(pair) }
        let found = try vault.read(name, pair.found.id).value
        if let wanted, fit.isHeld(found, for: wanted) {
            match.same.insert(pair.found.id)
            return nil
        }
        guard fit.isPlaceholder(found) else {
            return wanted == nil ? Self.isUnknown(pair) : Self.isAnother(pair.found)
        }
        match.placeholders.insert(pair.found.id)
        return wanted == nil ? nil : Self.isPlaceholder(pair.found)
    }

    /// What was destroyed never comes back, so that a live version with its id is likely another one.
    private static func isUnknown(_ pair: Pair) -> String? {
        guard case .destroyed = pair.wanted.state else { return nil }
        return "its version \(pair.found.id) is live, and the snapshot has it destroyed, with no value to compare it to"
    }

    private static func isPlaceholder(_ found: SecretVersion) -> String {
        "its version \(found.id) is a placeholder that a restore left which broke off; destroy it with `holdfast vault "
            + "state` and restore again"
    }

    /// Nil also for a damaged value, which proves nothing either way.
    private func whole(
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

// MARK: - What can't be seen

extension SecretComparison {
    /// A match, where what a restore would make readable is proved to be the snapshot's: nothing is made readable only
    /// to look at it.
    private func proven(
        _ secret: SecretRecord, _ match: SecretMatch, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> SecretRelation {
        let pairs = pairs(secret, match)
        guard match.there.removal != nil else {
            guard let pair = pairs.first(where: { Self.isGivenBack($0) && !isProven($0) }) else { return .fits(match) }
            let how = pair.found.state == .disabled ? "disabled" : "deleted"
            return .conflict(match, "its version \(pair.found.id) is \(how) in the vault and can't be compared")
        }
        // Removed here and there is left so, unless something is missing.
        if secret.removal != nil {
            var isMissing = false
            for version in secret.versions where match.ids[version.id] == nil && !isMissing {
                isMissing = try hasPlace(version, of: secret.name, value)
            }
            guard isMissing else { return .fits(match) }
        }
        guard pairs.allSatisfy({ isProven($0) }) else {
            return .conflict(match, "it is removed in the vault and can't be compared")
        }
        var match = match
        match.isToBeRecovered = true
        return .fits(match)
    }

    private func pairs(_ secret: SecretRecord, _ match: SecretMatch) -> [Pair] {
        secret.versions.compactMap { wanted in
            match.ids[wanted.id].flatMap { match.there[$0] }.map { Pair(wanted: wanted, found: $0) }
        }
    }

    private static func isGivenBack(_ pair: Pair) -> Bool {
        switch (pair.wanted.state, pair.found.state) {
        case (.live, .disabled), (.live, .softDeleted), (.disabled, .softDeleted): true
        default: false
        }
    }

    /// Whether two versions are the same without a look at their values: by an id and an instant that were not given
    /// anew, or by an id under which the vault keeps one value alone. What is destroyed has none.
    private func isProven(_ pair: Pair) -> Bool {
        if case .destroyed = pair.found.state { return true }
        guard pair.wanted.id == pair.found.id else { return false }
        if let created = pair.wanted.created, created == pair.found.created { return true }
        return !keepsCreated && vault.capabilities.takes(pair.wanted.id)
    }

    /// What ids and dates alone tell of a secret, whatever else it has.
    func proved(_ secret: SecretRecord, _ there: SecretRecord) -> SecretMatch {
        var match = SecretMatch(there: there)
        for wanted in secret.versions {
            // What is destroyed in the snapshot was to be compared before anybody destroys it.
            if case .destroyed = wanted.state { continue }
            guard let found = there[wanted.id], isProven(Pair(wanted: wanted, found: found)) else { continue }
            match.ids[wanted.id] = found.id
        }
        return match
    }

    /// A match that is a conflict, with what values tell of versions that are live and are not so in the snapshot.
    func known(
        _ secret: SecretRecord, _ match: SecretMatch, value: SecretReceiver.Values
    ) throws(HoldfastError) -> SecretMatch {
        var known = match
        guard match.there.removal == nil else { return known }
        // What the snapshot has live is never left so, nor is a placeholder ever put for it.
        let live = pairs(secret, match).filter { $0.found.state == .live && $0.wanted.state != .live }
        _ = try look(at: live, secret.name, value, &known, all: true)
        known.ids = known.ids.filter { known.same.contains($0.value) || known.placeholders.contains($0.value) }
        return known
    }
}
