// One pass over a vault after the other, until two in a row found the same.

import Primitives
import Repository
import Sealing
import SecretVaults

/// Reads all secrets of a vault into a snapshot.
///
/// No kind of vault but the embedded one can be read as of one instant. So the records are collected twice, with the
/// values read in between: where two collections in a row are equal, the vault was as recorded at every instant between
/// the end of the first and the beginning of the second (the double collect of Afek, Attiya, Dolev, Gafni, Merritt and
/// Shavit, "Atomic snapshots of shared memory", JACM 40(4), 1993; a change that was taken back in between is not seen).
/// What differed is read again.
///
/// Memory: what the sink keeps of names and versions, the digest of each record, and a batch of values. Thread: one at
/// a time.
struct VaultReading {
    /// Further collections at most, before it is told that the vault did not hold still.
    static let rounds = 4

    let vault: any SecretInventory
    let sink: any SecretSink
    let prefix: String
    let context: WorkloadContext

    private struct Taken {
        var digest: Bytes32?
        var versions: UInt64 = 0
        /// Those that are not destroyed, of which the snapshot has no value.
        var withoutValue: UInt64 = 0
        /// Live versions that could not be read, since they went in the meantime, as the vault said.
        var unread: [SecretVersionID: HoldfastError] = [:]
    }

    private var taken: [SecretName: Taken] = [:]
    /// Secrets that the last collection listed, and of which the vault then said that they are not there.
    private var vanished: [SecretName: HoldfastError] = [:]
    /// Where the last look could not see which secrets there are.
    private var unseen: [[UInt8]] = []
    /// Secrets that stay as the snapshot before had them, since nobody could look where they are.
    private var carried: UInt64 = 0
    private(set) var read: UInt64 = 0
    /// Secrets whose next version would push out one that is in the snapshot.
    private(set) var full: [SecretName] = []
    /// The last look found no secret, where an earlier one did, or the parent snapshot has some.
    private(set) var isEmptied = false

    init(_ vault: any SecretInventory, into sink: any SecretSink, under prefix: String, _ context: WorkloadContext) {
        self.vault = vault
        self.sink = sink
        self.prefix = prefix
        self.context = context
    }

    var secrets: UInt64 { UInt64(taken.count) + carried }
    var versions: UInt64 { taken.values.reduce(0) { $0 + $1.versions } }
    var withoutValue: UInt64 { taken.values.reduce(0) { $0 + $1.withoutValue } }

    /// - Returns: The instant as of which all is consistent; nil when the vault never held still, or has no versions by
    ///   which a change of a value could be seen.
    mutating func run(_ found: VaultPreflight) throws(HoldfastError) -> Timestamp? {
        _ = try collect(found)
        var instant: Timestamp?
        for _ in 0..<Self.rounds {
            let began = context.clock.now()
            if try !collect(found) {
                instant = began
                break
            }
        }
        // What is listed to the end and said not to be there is missing; a secret that went is not listed any more.
        for (name, error) in vanished {
            let parts = VaultLayout.parts(of: name)
            sink.failSecret(parts, error)
            if taken[name] == nil, try sink.carrySecret(parts) { taken[name] = Taken() }
        }
        let places = Set(taken.keys.map { VaultLayout.parts(of: $0) })
        for place in unseen {
            carried += try sink.carrySecrets(below: VaultLayout.parts(ofFolder: place), besides: places)
        }
        if taken.isEmpty, carried == 0 {
            let had = try sink.hadSecrets()
            isEmptied = isEmptied || had
        }
        // What was live and unreadable to the end is missing, whatever the vault calls it.
        for (name, one) in taken {
            for (version, error) in one.unread { sink.failSecret(VaultLayout.parts(of: name, version), error) }
        }
        return vault.capabilities.keepsVersions ? instant : nil
    }

    /// Lists all, and takes into the snapshot what is not as it was; says whether anything was not.
    private mutating func collect(_ found: VaultPreflight) throws(HoldfastError) -> Bool {
        var isChanged = false
        let vanishedBefore = Set(vanished.keys)
        vanished = [:]
        unseen = []
        full = []
        let pages = VaultPages(vault: vault, prefix: prefix, cancellation: context.cancellation)
        let seen = try pages.visit { (page, fresh) throws(HoldfastError) in
            for error in page.refused { sink.failSecret([], error) }
            unseen += page.unseen
            var changed: [SecretRecord] = []
            let fresh = fresh.filter { isStorable($0.name) }
            let described = try describe(fresh)
            for listing in fresh {
                guard let record = try record(of: listing, described[listing.name]) else { continue }
                if isFull(record, found) { full.append(record.name) }
                let digest = Self.digest(record)
                guard taken[record.name]?.digest != digest else { continue }
                taken[record.name] = Taken(digest: digest, versions: UInt64(record.versions.count))
                changed.append(record)
            }
            if !changed.isEmpty {
                isChanged = true
                try take(changed)
            }
        }
        isEmptied = seen.isEmpty && (isEmptied || !taken.isEmpty)
        for gone in taken.keys.filter({ !seen.contains($0) }) {
            taken[gone] = nil
            try sink.discardSecret(VaultLayout.parts(of: gone))
            isChanged = true
        }
        return isChanged || Set(vanished.keys) != vanishedBefore
    }

    private func isStorable(_ name: SecretName) -> Bool {
        let parts = VaultLayout.parts(of: name)
        if parts.count <= VaultLayout.maximumParts { return true }
        sink.failSecret(
            Array(parts.prefix(8)),
            HoldfastError(
                .limitExceeded, "a secret whose name has \(parts.count) parts between slashes",
                hint: "Names have \(VaultLayout.maximumParts) parts at most."))
        return false
    }

    /// Asks for the records that the listing did not give, side by side.
    private func describe(
        _ listings: [SecretListing]
    ) throws(HoldfastError) -> [SecretName: Result<SecretRecord, HoldfastError>] {
        let names = listings.filter { $0.record == nil }.map(\.name)
        guard !names.isEmpty else { return [:] }
        return Dictionary(zip(names, try fetcher.describe(names))) { first, _ in first }
    }

    private var fetcher: ValueFetcher {
        ValueFetcher(vault: vault, cancellation: context.cancellation) { Self.isOfOne($0) }
    }

    /// The whole record; nil when the vault says that it is not there, or may not be seen, which is noted.
    private mutating func record(
        of listing: SecretListing, _ described: Result<SecretRecord, HoldfastError>?
    ) throws(HoldfastError) -> SecretRecord? {
        if let record = listing.record { return record }
        do throws(HoldfastError) {
            return try described?.get()
        } catch {
            guard error.code != .secretNotFound else {
                vanished[listing.name] = error
                return nil
            }
            guard Self.isOfOne(error) else { throw error }
            let parts = VaultLayout.parts(of: listing.name)
            sink.failSecret(parts, error)
            // What an earlier snapshot knew of it stays in this one.
            if taken[listing.name] == nil, try sink.carrySecret(parts) { taken[listing.name] = Taken() }
            return nil
        }
    }

    /// Where the vault's own limit can't be told, that of the secret counts. AWS and KV 1 have none that can be raised.
    private func isFull(_ record: SecretRecord, _ found: VaultPreflight) -> Bool {
        guard vault.capabilities.fields.contains(.limits) else { return false }
        switch VersionLimit(of: record, vault.capabilities.kind, found) {
        case .none: return false
        case .most(let limit): return record.versions.count >= limit
        case .least(let limit):
            return record.attributes.limits.maximumVersions != nil && record.versions.count >= limit
        }
    }

    private static func digest(_ record: SecretRecord) -> Bytes32 {
        var bytes = SecretFacts(record).encoded
        for version in record.versions { bytes += SecretVersionFacts(version).encoded }
        return SHA256.digest(bytes.span.bytes)
    }

    // MARK: Taking

    private mutating func take(_ records: [SecretRecord]) throws(HoldfastError) {
        var wishes: [ValueFetcher.Wish] = []
        for record in records {
            // Versions that went since the round before are not left in it.
            try sink.discardSecret(VaultLayout.parts(of: record.name))
            try sink.add(VaultLayout.parts(of: record.name), VaultLayout.metadata(of: record))
            for version in record.versions {
                let parts = VaultLayout.parts(of: record.name, version.id)
                let metadata = VaultLayout.metadata(of: version)
                guard version.state == .live, record.removal == nil else {
                    // A value that cannot be read any more is kept as it was.
                    try keep(record.name, version, parts, metadata)
                    continue
                }
                if vault.capabilities.keepsVersions, try sink.holdsSecret(parts, metadata) {
                    try keep(record.name, version, parts, metadata)
                    continue
                }
                wishes.append(ValueFetcher.Wish(name: record.name, version: version))
                if wishes.count == ValueFetcher.batch { try fetch(&wishes) }
            }
        }
        try fetch(&wishes)
    }

    private mutating func keep(
        _ name: SecretName, _ version: SecretVersion, _ parts: [[UInt8]], _ metadata: EntryMetadata
    ) throws(HoldfastError) {
        let hasValue = try sink.addSecret(parts, metadata, nil)
        if case .destroyed = version.state { return }
        if !hasValue { taken[name]?.withoutValue += 1 }
    }

    private mutating func fetch(_ wishes: inout [ValueFetcher.Wish]) throws(HoldfastError) {
        guard !wishes.isEmpty else { return }
        for (wish, result) in zip(wishes, try fetcher.fetch(wishes)) {
            let parts = VaultLayout.parts(of: wish.name, wish.version.id)
            let metadata = VaultLayout.metadata(of: wish.version)
            switch result {
            case .success(let reading):
                // No longer than an item may be: the fetcher has seen to that.
                let item = try SecretItem.encoded(
                    form: reading.value.form.rawValue, reading.value.bytes, entropy: context.entropy)
                try sink.addSecret(parts, metadata, item)
                read += 1
            case .failure(let error):
                try keep(wish.name, wish.version, parts, metadata)
                if Self.isGone(error) {
                    // The record is looked at anew in the next round.
                    taken[wish.name]?.digest = nil
                    taken[wish.name]?.unread[wish.version.id] = error
                } else {
                    sink.failSecret(parts, error)
                }
            }
        }
        wishes = []
    }

    /// Whether a version went, or changed its state, since it was listed.
    private static func isGone(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .secretNotFound, .secretPruned, .secretDestroyed, .secretDeleted, .secretDisabled: true
        default: false
        }
    }

    /// Whether a failure costs one secret or version, and the rest is taken.
    static func isOfOne(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .vaultAccessDenied, .limitExceeded, .corruptObject: true
        default: isGone(error)
        }
    }
}
