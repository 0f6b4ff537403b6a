// An opened repository: its store, its format, and the keys of whoever opened it.

import Logging
import ObjectStore
import Primitives
import Sealing

/// What the engine takes from outside.
package struct Environment: Sendable {
    package var clock: any Clock
    package var entropy: any Entropy
    package var logger: Logger
    /// Where decrypted index runs may be kept between commands; nil keeps nothing.
    package var cacheDirectory: String?
    package var cancellation: Cancellation
    package var threading: Threading
    /// Tells when the store shows less than this client has seen; nil remembers nothing.
    package var witness: StoreWitness?

    package init(
        clock: any Clock = SystemClock(), entropy: any Entropy = SystemEntropy(), logger: Logger,
        cacheDirectory: String? = nil, cancellation: Cancellation = Cancellation(), threading: Threading = .own,
        witness: StoreWitness? = nil
    ) {
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
        self.cacheDirectory = cacheDirectory
        self.cancellation = cancellation
        self.threading = threading
        self.witness = witness
    }
}

/// A repository opened with one key.
///
/// Thread: immutable; may be used from any thread.
package struct Repository: Sendable {
    package let store: any ObjectStore
    package let environment: Environment
    package let format: FormatObject
    package let keyring: Keyring

    package var clock: any Clock { environment.clock }
    package var entropy: any Entropy { environment.entropy }
    package var logger: Logger { environment.logger }
    package var id: RepositoryID { format.repository }

    /// Makes a repository in an empty store, with an admin key under `secret`.
    ///
    /// The format object comes last: until it is there, there is no repository, and a broken-off `init` can be
    /// repeated.
    ///
    /// - Throws: `.repositoryExists` when the store holds one.
    package static func create(
        in store: any ObjectStore, secret: SecretBytes, derivation: KeyDerivation = .standard, label: String,
        compression: String, environment: Environment
    ) throws(HoldfastError) -> Repository {
        guard try newestFormatKey(in: store) == nil else {
            throw HoldfastError(
                .repositoryExists, "there is a repository at \(store.location) already",
                hint: "Choose another place, or use this one as it is.")
        }
        let entropy = environment.entropy
        let admin = try SigningKey.generate(entropy: entropy)
        let opened = SlotObject.Opened(
            agreement: try AgreementKey.generate(entropy: entropy), signing: try SigningKey.generate(entropy: entropy),
            adminKey: admin.publicKey)
        let id = RepositoryID(try entropy.bytes16())
        let now = environment.clock.now()
        let slot = try SlotObject(
            repository: id, revision: 1, created: now, label: label, derivation: derivation, opened: opened,
            secret: secret, entropy: entropy)
        var keys = try KeyMaking.domainKeys(entropy: entropy)
        keys.merge(try KeyMaking.epochKeys(entropy: entropy)) { _, fresh in fresh }
        keys[.adminSeed] = admin.seed
        try removeRemains(in: store)
        try putFirstEpoch(in: store, id, keys, admin, now)
        var grant = GrantObject(
            repository: id, sealingKey: slot.sealingKey, signingKey: slot.signingKey, epoch: 1, role: .admin,
            rights: [], issued: now, label: label, sources: [])
        let grantBytes = try grant.encoded(keys: keys, admin: admin, entropy: entropy)
        let grantName = ObjectNames.grant(slot.id, epoch: 1, digest: SHA256.digest(grantBytes.span.bytes))
        try store.putIfAbsent(grantName, grantBytes.span.bytes)
        let slotBytes = try slot.encoded(signer: opened.signing)
        try store.putIfAbsent(ObjectNames.slot(slot.id, revision: 1), slotBytes.span.bytes)
        let format = FormatObject(
            number: 1, repository: id, adminKey: admin.publicKey, created: now, compression: compression)
        let formatBytes = try format.encoded(signer: admin)
        try store.putIfAbsent(ObjectNames.format(1), formatBytes.span.bytes)
        return try open(store, secret: secret, environment: environment)
    }

    /// Opens a repository with a password or a raw key.
    ///
    /// - Throws: `.repositoryNotFound`, `.wrongKey` when no slot opens, `.notPermitted` for a removed slot,
    ///   `.unsupportedFormat` for a repository of a later version, `.rollbackDetected` when the witness refuses what
    ///   the store shows.
    package static func open(
        _ store: any ObjectStore, secret: SecretBytes, environment: Environment
    ) throws(HoldfastError) -> Repository {
        let format = try readFormat(in: store, trusted: nil)
        let slots = try readSlots(in: store, format: format, logger: environment.logger)
        if slots.isEmpty { try refuseForeignFormat(in: store, format: format) }
        for (object, key) in slots {
            guard let opened = try object.open(with: secret) else { continue }
            guard opened.adminKey == format.adminKey else {
                throw HoldfastError(
                    .rollbackDetected, "the format object is not signed by the admin key that slot \(key) pins",
                    hint: "The store was tampered with; restore `format/` from a mirror.")
            }
            let epochs = try readEpochs(in: store, format: format)
            let grants = try readGrants(in: store, format: format, logger: environment.logger)
            let keyring = try Keyring(
                opened: opened, repository: format.repository, grants: grants, openings: epochs)
            let repository = Repository(store: store, environment: environment, format: format, keyring: keyring)
            try environment.witness?.begin(repository, epochs)
            return repository
        }
        throw HoldfastError(
            .wrongKey, "no key slot of \(store.location) opens with this password",
            hint: "Check HOLDFAST_PASSWORD, HOLDFAST_PASSWORD_FILE or HOLDFAST_PASSWORD_COMMAND.")
    }

    /// The key under which snapshots of `source` are stored.
    package func tag(ofSource source: String) throws(HoldfastError) -> SourceTag {
        let name = Array(source.utf8)
        return SourceTag(KeyedHash.digest(key: try keyring.key(.sourceID), name.span.bytes).prefix)
    }

    /// Every readable slot with its name.
    package func slots() throws(HoldfastError) -> [(object: SlotObject, key: ObjectKey)] {
        try Self.readSlots(in: store, format: format, logger: logger)
    }

    /// Every grant that bears the admin's signature, with its name.
    package func grants() throws(HoldfastError) -> [(grant: GrantObject, name: String)] {
        try Self.readGrants(in: store, format: format, logger: logger)
    }

    package func openedEpochs() throws(HoldfastError) -> [Epoch: EpochObject] {
        try Self.readEpochs(in: store, format: format)
    }

    /// The same repository with the keys as the store holds them now, after keys were added or rotated.
    package func reloadingKeys() throws(HoldfastError) -> Repository {
        let opened = SlotObject.Opened(
            agreement: keyring.agreement, signing: keyring.signing, adminKey: keyring.adminKey)
        let openings = try openedEpochs()
        try environment.witness?.observe(epochs: openings)
        let keyring = try Keyring(
            opened: opened, repository: format.repository, grants: try grants(), openings: openings)
        return Repository(store: store, environment: environment, format: format, keyring: keyring)
    }

    /// The copy of this repository in another store, opened with the same keys. Nothing remembers what it showed.
    ///
    /// - Throws: `.repositoryNotFound` without one, `.repositoryExists` when it is another repository.
    package func copy(in other: any ObjectStore) throws(HoldfastError) -> Repository {
        let format = try Self.readFormat(in: other, trusted: keyring.adminKey)
        guard format.repository == id else {
            throw HoldfastError(
                .repositoryExists, "\(other.location) holds another repository",
                hint: "Correct `mirrors` in the configuration.")
        }
        var environment = environment
        environment.witness = nil
        return Repository(store: other, environment: environment, format: format, keyring: keyring)
    }

    /// The same repository, read through `store`, a decorator of its own, and stopped by `cancellation`.
    package func view(through store: any ObjectStore, cancellation: Cancellation) -> Repository {
        var environment = environment
        environment.cancellation = cancellation
        return Repository(store: store, environment: environment, format: format, keyring: keyring)
    }

    init(store: any ObjectStore, environment: Environment, format: FormatObject, keyring: Keyring) {
        self.store = store
        self.environment = environment
        self.format = format
        self.keyring = keyring
    }
}
