// What an opened client holds: its own keys by epoch, and the roster of all who ever held a grant.

import Primitives
import Sealing

/// The keys and rights of this client in one epoch.
package struct EpochKeys: Sendable {
    package let epoch: Epoch
    package let role: Role
    package let rights: Rights
    package let sources: [SourceTag]
    package let issued: Timestamp
    package let keys: [GrantedKey: SecretBytes]
    package let dataPublic: Bytes32
    package let structurePublic: Bytes32
    package let dataPrivate: AgreementKey?
    package let structurePrivate: AgreementKey?

    init(_ grant: GrantObject, keys: [GrantedKey: SecretBytes], name: String) throws(HoldfastError) {
        epoch = grant.epoch
        role = grant.role
        rights = grant.rights
        sources = grant.sources
        issued = grant.issued
        self.keys = keys
        func publicKey(_ kind: GrantedKey) throws(HoldfastError) -> Bytes32 {
            guard let key = keys[kind] else {
                throw ByteReader([], as: name).corrupt("it lacks a public key of its epoch")
            }
            return key.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) }
        }
        dataPublic = try publicKey(.dataPublic)
        structurePublic = try publicKey(.structurePublic)
        dataPrivate = try Self.privateKey(keys[.dataPrivate])
        structurePrivate = try Self.privateKey(keys[.structurePrivate])
    }

    private static func privateKey(_ raw: SecretBytes?) throws(HoldfastError) -> AgreementKey? {
        guard let raw else { return nil }
        return try AgreementKey(raw: raw)
    }
}

/// Someone who holds or held a grant, as the admin's signature vouches.
package struct Member: Sendable, Hashable {
    package var slot: SlotID
    package var signingKey: Bytes32
    package var label: String
    /// The role in each epoch in which the slot has a grant.
    package var roles: [Epoch: Role]
    package var rights: [Epoch: Rights]
    package var sources: [Epoch: [SourceTag]]
    package var isRevoked: Bool

    package var newestEpoch: Epoch { roles.keys.max() ?? 0 }
    package var role: Role { isRevoked ? .revoked : roles[newestEpoch] ?? .revoked }

    /// Whether the slot could sign a snapshot of `tag` in `epoch`.
    package func maySignSnapshot(of tag: SourceTag, in epoch: Epoch) -> Bool {
        guard let role = roles[epoch] else { return false }
        switch role {
        case .admin: return true
        case .writer:
            let allowed = sources[epoch] ?? []
            return allowed.isEmpty || allowed.contains(tag)
        case .maintainer, .restorer, .revoked: return false
        }
    }

    /// Whether the slot could sign evidence in `epoch`.
    package func mayAttest(in epoch: Epoch) -> Bool {
        switch roles[epoch] {
        case .admin: true
        case .writer, .maintainer, .restorer: rights[epoch]?.contains(.attest) ?? false
        case .revoked, nil: false
        }
    }

    /// Whether the slot ever could condemn packs, supersede runs and bury snapshots.
    package var mayCollect: Bool { roles.values.contains { $0 == .admin || $0 == .maintainer } }
}

/// The keys of one client and the roster of the repository.
package struct Keyring: Sendable {
    package let repository: RepositoryID
    package let adminKey: Bytes32
    package let slot: SlotID
    package let agreement: AgreementKey
    package let signing: SigningKey
    package let epochs: [Epoch: EpochKeys]
    package let roster: [SlotID: Member]
    package let current: EpochKeys

    package var role: Role { current.role }

    /// Collects the grants of a slot that was opened.
    ///
    /// - Parameters:
    ///   - grants: Every grant in the store that bears the admin's signature, with its name.
    ///   - openings: Every epoch that the admin opened; a grant with other keys than its epoch's is passed over.
    /// - Throws: `.notPermitted` when the slot has no grant or was removed.
    package init(
        opened: SlotObject.Opened, repository: RepositoryID, grants: [(grant: GrantObject, name: String)],
        openings: [Epoch: EpochObject]
    ) throws(HoldfastError) {
        self.repository = repository
        adminKey = opened.adminKey
        agreement = opened.agreement
        signing = opened.signing
        let slot = SlotObject.id(sealing: opened.agreement.publicKey, signing: opened.signing.publicKey)
        self.slot = slot
        let roster = Self.roster(of: grants.map(\.grant))
        self.roster = roster
        if let member = roster[slot], member.isRevoked {
            throw HoldfastError(
                .notPermitted, "key slot \(slot) was removed from this repository",
                hint: "Ask the admin of the repository for a new key (`holdfast keys add`).")
        }
        var epochs: [Epoch: EpochKeys] = [:]
        for (grant, name) in grants where grant.slot == slot && grant.role != .revoked {
            let keys = try grant.keys(opened.agreement, name: name)
            let own = try EpochKeys(grant, keys: keys, name: name)
            guard let opening = openings[grant.epoch], opening.dataPublic == own.dataPublic,
                opening.structurePublic == own.structurePublic
            else { continue }
            // Of several grants for one epoch, the one issued last rules.
            if let other = epochs[grant.epoch], other.issued > own.issued { continue }
            epochs[grant.epoch] = own
        }
        guard let newest = epochs.keys.max(), let current = epochs[newest] else {
            throw HoldfastError(
                .notPermitted, "key slot \(slot) has no grant in this repository",
                hint: "Ask the admin of the repository for a new key (`holdfast keys add`).")
        }
        self.epochs = epochs
        self.current = current
    }

    /// Everyone with a grant among `grants`, all of which bear the admin's signature.
    package static func roster(of grants: [GrantObject]) -> [SlotID: Member] {
        var roster: [SlotID: Member] = [:]
        // Of several grants for one epoch the one issued last rules, for others as for oneself.
        for grant in grants.sorted(by: { $0.issued < $1.issued }) {
            var member =
                roster[grant.slot]
                ?? Member(
                    slot: grant.slot, signingKey: grant.signingKey, label: grant.label, roles: [:], rights: [:],
                    sources: [:], isRevoked: false)
            if grant.role == .revoked {
                member.isRevoked = true
            } else {
                member.roles[grant.epoch] = grant.role
                member.rights[grant.epoch] = grant.rights
                member.sources[grant.epoch] = grant.sources
                if grant.epoch >= member.newestEpoch { member.label = grant.label }
            }
            roster[grant.slot] = member
        }
        return roster
    }

    /// The key of `kind` in the newest epoch.
    ///
    /// - Throws: `.notPermitted` naming what the role lacks.
    package func key(_ kind: GrantedKey) throws(HoldfastError) -> SecretBytes {
        guard let key = current.keys[kind] else { throw lacks("the \(kind) key") }
        return key
    }

    package func indexKey(_ epoch: Epoch) throws(HoldfastError) -> SecretBytes {
        guard let key = epochs[epoch]?.keys[.index] else { throw lacks("the index key of epoch \(epoch)") }
        return key
    }

    /// The private keys that may open a pack or a snapshot of `epoch`.
    package func openingKeys(structure: Bool, epoch: Epoch) -> [AgreementKey] {
        var keys: [AgreementKey] = []
        let own = epochs[epoch]
        if let key = structure ? own?.structurePrivate : own?.dataPrivate { keys.append(key) }
        keys.append(agreement)
        return keys
    }

    /// Who may read what a writer stores: the epoch's key, and the writer where its role says so.
    package func recipients(structure: Bool) -> [Bytes32] {
        if structure { return [current.structurePublic, agreement.publicKey] }
        let own = current.role != .writer || current.rights.contains(.readback)
        return current.role == .writer && own ? [current.dataPublic, agreement.publicKey] : [current.dataPublic]
    }

    package var mayAttest: Bool { role == .admin || current.rights.contains(.attest) }
    package var canReadData: Bool { current.dataPrivate != nil }
    package var canReadStructure: Bool { current.structurePrivate != nil }

    package func lacks(_ what: String) -> HoldfastError {
        HoldfastError(
            .notPermitted, "this key (role \(role)) does not hold \(what)",
            hint: "Use a key whose role allows it; `holdfast keys list` shows the slots.")
    }

    /// - Throws: `.notPermitted` when the role is none of `roles`.
    package func require(_ roles: Role..., toDo what: String) throws(HoldfastError) {
        guard roles.contains(role) else {
            throw HoldfastError(
                .notPermitted, "the role \(role) may not \(what)",
                hint: "Use a key with the role \(roles.map(\.description).joined(separator: " or ")).")
        }
    }

    /// - Throws: `.corruptObject` when the signer is unknown, lacked the right, or the signature is not its own.
    package func verify(
        _ body: [UInt8], _ signature: [UInt8], by slot: SlotID, name: String, allowing: (Member) -> Bool
    ) throws(HoldfastError) {
        try Self.verify(body, signature, by: slot, in: roster, name: name, allowing: allowing)
    }

    /// The same for a roster that was read without a key.
    static func verify(
        _ body: [UInt8], _ signature: [UInt8], by slot: SlotID, in roster: [SlotID: Member], name: String,
        allowing: (Member) -> Bool
    ) throws(HoldfastError) {
        guard let member = roster[slot] else {
            throw HoldfastError(
                .corruptObject, "\(name) is signed by slot \(slot), which no admin ever granted",
                hint: "It is foreign or forged; it is ignored.")
        }
        guard allowing(member) else {
            throw HoldfastError(
                .corruptObject, "\(name) is signed by slot \(slot), whose role did not allow it",
                hint: "Find out who holds that key; the object is ignored.")
        }
        try SignedFrame.verify(body, signature, key: member.signingKey, name: name)
    }
}
