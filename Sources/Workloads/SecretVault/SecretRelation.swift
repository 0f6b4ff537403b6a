// Whether the versions that a vault has of a secret are those of a snapshot.

import Primitives
import SecretVaults

/// How a secret of a snapshot stands to the one of its name in a vault.
enum SecretRelation: Sendable {
    case absent
    /// Every version of the vault is one of the snapshot: ids of the snapshot to those of the vault.
    case fits(SecretRecord, [SecretVersionID: SecretVersionID])
    /// The vault has something that the snapshot has not; why, in words without a value.
    case conflict(SecretRecord, String)
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
        if byID.problem == nil || keepsIDs { return Self.relation(there, byID) }
        // Where ids are not kept a restore has numbered anew, in the order of the snapshot.
        let places = try places(secret, value)
        let byPlace = try match(secret, there, value) { index in
            places[index].flatMap { $0 < there.versions.count ? there.versions[$0] : nil }
        }
        return Self.relation(there, byPlace.problem == nil ? byPlace : byID)
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

    private static func relation(
        _ there: SecretRecord, _ match: (ids: [SecretVersionID: SecretVersionID], problem: String?)
    ) -> SecretRelation {
        if let problem = match.problem { return .conflict(there, problem) }
        return .fits(there, match.ids)
    }

    private func match(
        _ secret: SecretRecord, _ there: SecretRecord, _ value: SecretReceiver.Values,
        _ candidate: (Int) -> SecretVersion?
    ) throws(HoldfastError) -> (ids: [SecretVersionID: SecretVersionID], problem: String?) {
        var ids: [SecretVersionID: SecretVersionID] = [:]
        var pairs: [Pair] = []
        for place in secret.versions.indices {
            let version = secret.versions[place]
            guard let found = candidate(place) else { continue }
            if keepsCreated, let created = version.created, created != found.created {
                return ([:], Self.isAnother(found))
            }
            // What cannot be read goes by its id and its date. Nothing that was there is taken away on that ground.
            if found.state == .live, there.removal == nil { pairs.append(Pair(wanted: version, found: found)) }
            ids[version.id] = found.id
        }
        let matched = Set(ids.values)
        if let other = there.versions.first(where: { !matched.contains($0.id) }) {
            return ([:], "it has the version \(other.id), which the snapshot has not")
        }
        if let other = try firstDifference(pairs, secret.name, value) { return ([:], Self.isAnother(other)) }
        return (ids, nil)
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
    private func firstDifference(
        _ pairs: [Pair], _ name: SecretName, _ value: SecretReceiver.Values
    ) throws(HoldfastError) -> SecretVersion? {
        var rest = pairs[...]
        while !rest.isEmpty {
            let part = rest.prefix(SecretBounds.announced)
            rest = rest.dropFirst(part.count)
            try vault.announce(.compare, part.map { SecretAccess(name, $0.found.id) })
            for pair in part {
                guard let wanted = try whole(pair.wanted, value) else { continue }
                let found = try vault.read(name, pair.found.id).value
                guard fit.isHeld(found, for: wanted) else { return pair.found }
            }
        }
        return nil
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
