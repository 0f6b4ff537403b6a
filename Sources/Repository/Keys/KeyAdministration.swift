// Making slots and grants: the first key, more keys, their removal, and new epochs.

import ObjectStore
import Primitives
import Sealing

/// The keys that all epochs of one domain share, and the fresh ones of an epoch.
package enum KeyMaking {
    /// Makes the keys that stay the same until the domain is rotated.
    package static func domainKeys(entropy: any Entropy) throws(HoldfastError) -> [GrantedKey: SecretBytes] {
        var keys: [GrantedKey: SecretBytes] = [:]
        for kind in [GrantedKey.dataID, .secretID, .metaID, .logID, .sourceID, .cut] {
            keys[kind] = try entropy.secret(32)
        }
        return keys
    }

    /// Makes fresh keys for an epoch; nothing is derived from a seed that an older key holder has.
    package static func epochKeys(entropy: any Entropy) throws(HoldfastError) -> [GrantedKey: SecretBytes] {
        let data = try AgreementKey.generate(entropy: entropy)
        let structure = try AgreementKey.generate(entropy: entropy)
        return [
            .index: try entropy.secret(32),
            .dataPrivate: data.privateKey,
            .structurePrivate: structure.privateKey,
            .dataPublic: data.publicKey.withBytes { SecretBytes(copying: RawSpan(_unsafeBytes: $0)) },
            .structurePublic: structure.publicKey.withBytes { SecretBytes(copying: RawSpan(_unsafeBytes: $0)) },
        ]
    }

    /// The part of an admin's keys that a role is granted.
    package static func share(_ keys: [GrantedKey: SecretBytes], with role: Role) -> [GrantedKey: SecretBytes] {
        let kinds: Set<GrantedKey>
        switch role {
        case .admin: kinds = Set(GrantedKey.allCases)
        case .restorer: kinds = Set(GrantedKey.allCases).subtracting([.adminSeed])
        case .writer:
            kinds = [
                .dataID, .secretID, .metaID, .logID, .sourceID, .cut, .index, .dataPublic, .structurePublic,
            ]
        case .maintainer: kinds = [.metaID, .index, .structurePrivate, .dataPublic, .structurePublic]
        case .revoked: kinds = []
        }
        return keys.filter { kinds.contains($0.key) }
    }
}

extension Repository {
    /// A new slot's holder, role and secret.
    package struct NewKey: Sendable {
        package var label: String
        package var role: Role
        package var rights: Rights
        package var sources: [String]
        package var secret: SecretBytes
        package var derivation: KeyDerivation

        package init(
            label: String, role: Role, rights: Rights = [], sources: [String] = [], secret: SecretBytes,
            derivation: KeyDerivation = .standard
        ) {
            self.label = label
            self.role = role
            self.rights = rights
            self.sources = sources
            self.secret = secret
            self.derivation = derivation
        }
    }

    /// Adds a slot with a grant for every epoch so far.
    ///
    /// - Durability: grants are durable before the slot, so that a slot that can be opened has its rights.
    package func addKey(_ new: NewKey) throws(HoldfastError) -> SlotID {
        try keyring.require(.admin, toDo: "add keys")
        guard try slots().count < SlotObject.maximumSlots else {
            throw HoldfastError(
                .limitExceeded, "the repository has \(SlotObject.maximumSlots) key slots already",
                hint: "Remove a slot that is not used any more.")
        }
        let opened = SlotObject.Opened(
            agreement: try AgreementKey.generate(entropy: entropy), signing: try SigningKey.generate(entropy: entropy),
            adminKey: keyring.adminKey)
        var tags: [SourceTag] = []
        for source in new.sources { tags.append(try tag(ofSource: source)) }
        let admin = try adminSigner()
        for (epoch, held) in keyring.epochs.sorted(by: { $0.key < $1.key }) {
            try putGrant(
                GrantObject(
                    repository: keyring.repository, sealingKey: opened.agreement.publicKey,
                    signingKey: opened.signing.publicKey, epoch: epoch, role: new.role, rights: new.rights,
                    issued: clock.now(), label: new.label, sources: tags),
                keys: KeyMaking.share(held.keys, with: new.role), admin: admin)
        }
        let slot = try SlotObject(
            repository: keyring.repository, revision: 1, created: clock.now(), label: new.label,
            derivation: new.derivation, opened: opened, secret: new.secret, entropy: entropy)
        let bytes = try slot.encoded(signer: opened.signing)
        try store.putIfAbsent(ObjectNames.slot(slot.id, revision: 1), bytes.span.bytes)
        return slot.id
    }

    /// Removes a slot: it gets no further epoch, and its wrapped keys go.
    ///
    /// The grants stay, since they vouch for what the slot signed. A thief who copied the slot before can still open
    /// what the slot could read until now; call ``rotateEpoch()`` so that what is written from now on is out of its
    /// reach.
    package func removeKey(_ slot: SlotID) throws(HoldfastError) {
        try keyring.require(.admin, toDo: "remove keys")
        let stored = try slots().filter { $0.object.id == slot }
        // A removal that broke off after the revocation has the slot object left to take away.
        guard let member = keyring.roster[slot], !member.isRevoked || !stored.isEmpty else {
            throw HoldfastError(
                .usage, "there is no key slot \(slot)", hint: "`holdfast keys list` shows the slots.")
        }
        let admins = keyring.roster.values.filter { $0.role == .admin }
        guard slot != keyring.slot, member.role != .admin || admins.count > 1 else {
            throw HoldfastError(
                .usage, "key slot \(slot) is the one in use, or the last admin",
                hint: "Open the repository with another admin key to remove this one.")
        }
        guard let sealingKey = try grants().first(where: { $0.grant.slot == slot })?.grant.sealingKey else {
            throw HoldfastError(
                .objectMissing, "the grants of key slot \(slot) are gone", hint: "Run `holdfast check`.")
        }
        if !member.isRevoked {
            try putGrant(
                GrantObject(
                    repository: keyring.repository, sealingKey: sealingKey, signingKey: member.signingKey,
                    epoch: keyring.current.epoch, role: .revoked, rights: [], issued: clock.now(), label: member.label,
                    sources: []),
                keys: [:], admin: try adminSigner())
        }
        for (_, key) in stored { try store.delete(key) }
    }

    /// Starts a new epoch: fresh data, structure and index keys for all that is written from now on; no data moves.
    ///
    /// The number is taken first, then the admins are granted it, then who may read, and the writers last: nothing is
    /// ever sealed to keys that only a writer holds, wherever the rotation breaks off. Grants that an earlier,
    /// broken-off rotation left out are made up for. Repeating is safe: it starts one more epoch.
    package func rotateEpoch() throws(HoldfastError) -> Epoch {
        try keyring.require(.admin, toDo: "rotate keys")
        try grantMissingEpochs()
        var keys = keyring.current.keys.filter { kind, _ in
            [.dataID, .secretID, .metaID, .logID, .sourceID, .cut, .adminSeed].contains(kind)
        }
        keys.merge(try KeyMaking.epochKeys(entropy: entropy)) { _, fresh in fresh }
        let next = (try openedEpochs().keys.max() ?? 0) + 1
        try openEpoch(next, keys: keys)
        for member in try membersInOrder() { try grant(member, epoch: next, keys: keys) }
        return next
    }

    /// Gives every slot that is left its grant for every epoch that this admin holds.
    package func grantMissingEpochs() throws(HoldfastError) {
        for member in try membersInOrder() {
            for (epoch, held) in keyring.epochs.sorted(by: { $0.key < $1.key }) where member.roles[epoch] == nil {
                try grant(member, epoch: epoch, keys: held.keys)
            }
        }
    }

    private func openEpoch(_ epoch: Epoch, keys: [GrantedKey: SecretBytes]) throws(HoldfastError) {
        guard let data = keys[.dataPublic], let structure = keys[.structurePublic] else {
            throw keyring.lacks("the public keys of the epoch")
        }
        let opening = EpochObject(
            repository: keyring.repository, epoch: epoch, made: clock.now(),
            dataPublic: data.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) },
            structurePublic: structure.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) })
        let bytes = try opening.encoded(admin: try adminSigner())
        try store.putIfAbsent(ObjectNames.epoch(epoch), bytes.span.bytes)
    }

    /// Slots that are left: this one, then admins, restorers, maintainers, writers.
    private func membersInOrder() throws(HoldfastError) -> [Member] {
        let present = Set(try slots().map(\.object.id))
        let order: [Role] = [.admin, .restorer, .maintainer, .writer, .revoked]
        func rank(_ member: Member) -> Int {
            member.slot == keyring.slot ? -1 : order.firstIndex(of: member.role) ?? order.count
        }
        return keyring.roster.values.filter { !$0.isRevoked && present.contains($0.slot) }
            .sorted { (rank($0), $0.slot.description) < (rank($1), $1.slot.description) }
    }

    private func grant(
        _ member: Member, epoch: Epoch, keys: [GrantedKey: SecretBytes]
    ) throws(HoldfastError) {
        let last = try grants().map(\.grant).filter { $0.slot == member.slot && $0.role != .revoked }
            .max { ($0.epoch, $0.issued) < ($1.epoch, $1.issued) }
        guard let last else { return }
        try putGrant(
            GrantObject(
                repository: keyring.repository, sealingKey: last.sealingKey, signingKey: last.signingKey,
                epoch: epoch, role: last.role, rights: last.rights, issued: clock.now(), label: last.label,
                sources: last.sources),
            keys: KeyMaking.share(keys, with: last.role), admin: try adminSigner())
    }

    /// Gives a slot the right to sign evidence, from the newest epoch that it has a grant for on.
    ///
    /// A right is only ever given. Taking it back within an epoch would make what the slot signed in that epoch look
    /// forged; whoever is to sign no more has the slot removed, which leaves what it signed as it is.
    ///
    /// - Durability: on return the grant is on stable storage.
    /// - Returns: False when the slot has the right already, as an admin always has.
    /// - Throws: `.notPermitted`; `.usage` for a slot that is not there or was removed.
    package func allowAttesting(_ slot: SlotID) throws(HoldfastError) -> Bool {
        try keyring.require(.admin, toDo: "give rights")
        guard let member = keyring.roster[slot], !member.isRevoked else {
            throw HoldfastError(
                .usage, "there is no key slot \(slot), or it was removed",
                hint: "`holdfast keys list` shows the slots.")
        }
        let epoch = member.newestEpoch
        guard !member.mayAttest(in: epoch) else { return false }
        let last = try grants().map(\.grant).filter { $0.slot == slot && $0.epoch == epoch && $0.role != .revoked }
            .max { $0.issued < $1.issued }
        guard let last, let held = keyring.epochs[epoch] else {
            throw keyring.lacks("the keys of epoch \(epoch), in which the slot has its newest grant")
        }
        // Of several grants for one epoch the one issued last rules, also when the clock was set back since.
        let issued = max(clock.now(), last.issued + .nanoseconds(1))
        try putGrant(
            GrantObject(
                repository: keyring.repository, sealingKey: last.sealingKey, signingKey: last.signingKey,
                epoch: epoch, role: last.role, rights: last.rights.union(.attest), issued: issued, label: last.label,
                sources: last.sources),
            keys: KeyMaking.share(held.keys, with: last.role), admin: try adminSigner())
        return true
    }

    /// Wraps this client's own keys under another password; the old wrapping goes.
    package func changeSecret(_ secret: SecretBytes, derivation: KeyDerivation = .standard) throws(HoldfastError) {
        let stored = try slots().filter { $0.object.id == keyring.slot }
        guard let newest = stored.map(\.object).max(by: { $0.revision < $1.revision }) else {
            throw HoldfastError(.objectMissing, "key slot \(keyring.slot) is gone", hint: "Run `holdfast check`.")
        }
        let opened = SlotObject.Opened(
            agreement: keyring.agreement, signing: keyring.signing, adminKey: keyring.adminKey)
        let slot = try SlotObject(
            repository: keyring.repository, revision: newest.revision + 1, created: clock.now(), label: newest.label,
            derivation: derivation, opened: opened, secret: secret, entropy: entropy)
        let bytes = try slot.encoded(signer: keyring.signing)
        try store.putIfAbsent(ObjectNames.slot(slot.id, revision: slot.revision), bytes.span.bytes)
        for (_, key) in stored { try store.delete(key) }
    }

    private func adminSigner() throws(HoldfastError) -> SigningKey {
        try SigningKey(seed: try keyring.key(.adminSeed))
    }

    private func putGrant(
        _ grant: GrantObject, keys: [GrantedKey: SecretBytes], admin: SigningKey
    ) throws(HoldfastError) {
        var grant = grant
        let bytes = try grant.encoded(keys: keys, admin: admin, entropy: entropy)
        let key = ObjectNames.grant(grant.slot, epoch: grant.epoch, digest: SHA256.digest(bytes.span.bytes))
        try store.putIfAbsent(key, bytes.span.bytes)
    }
}
