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
/// Memory: the digest of each record, and a batch of values. Thread: one at a time.
struct VaultReading {
    /// Further collections at most, before it is told that the vault did not hold still.
    static let rounds = 4

    let vault: any SecretInventory
    let sink: any SecretSink
    let prefix: String
    let context: WorkloadContext

    private var digests: [SecretName: Bytes32] = [:]
    private(set) var secrets: UInt64 = 0
    private(set) var versions: UInt64 = 0
    private(set) var read: UInt64 = 0
    /// Secrets whose next version would push out one that is in the snapshot.
    private(set) var full: [SecretName] = []

    init(_ vault: any SecretInventory, into sink: any SecretSink, under prefix: String, _ context: WorkloadContext) {
        self.vault = vault
        self.sink = sink
        self.prefix = prefix
        self.context = context
    }

    /// - Returns: The instant as of which all is consistent; nil when the vault never held still.
    mutating func run(defaults: SecretLimits) throws(HoldfastError) -> Timestamp? {
        _ = try collect(defaults)
        for _ in 0..<Self.rounds {
            let instant = context.clock.now()
            if try !collect(defaults) { return instant }
        }
        return nil
    }

    /// Lists all, and takes into the snapshot what is not as it was; says whether anything was not.
    private mutating func collect(_ defaults: SecretLimits) throws(HoldfastError) -> Bool {
        var seen: Set<SecretName> = []
        var isChanged = false
        var mark: VaultPageMark?
        full = []
        repeat {
            try context.cancellation.check()
            let page = try vault.list(under: prefix, after: mark, limit: 200)
            for error in page.refused { fail([], error) }
            var changed: [SecretRecord] = []
            for listing in page.secrets where seen.insert(listing.name).inserted {
                guard let record = try record(of: listing) else { continue }
                if isFull(record, defaults) { full.append(record.name) }
                let digest = Self.digest(record)
                guard digests[record.name] != digest else { continue }
                digests[record.name] = digest
                changed.append(record)
            }
            if !changed.isEmpty {
                isChanged = true
                try take(changed)
            }
            mark = page.next
        } while mark != nil
        for gone in digests.keys.filter({ !seen.contains($0) }) {
            digests[gone] = nil
            try sink.discardSecret(VaultLayout.parts(of: gone))
            isChanged = true
        }
        secrets = UInt64(seen.count)
        return isChanged
    }

    /// The whole record; nil when it went in the meantime, or may not be seen, which is noted.
    private mutating func record(of listing: SecretListing) throws(HoldfastError) -> SecretRecord? {
        if let record = listing.record { return record }
        do throws(HoldfastError) {
            return try vault.describe(listing.name)
        } catch {
            guard error.code != .secretNotFound else { return nil }
            try noteOrThrow(listing.name, nil, error)
            return nil
        }
    }

    private func isFull(_ record: SecretRecord, _ defaults: SecretLimits) -> Bool {
        guard let limit = record.attributes.limits.maximumVersions ?? defaults.maximumVersions else { return false }
        return record.versions.count >= limit
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
            versions += UInt64(record.versions.count)
            for version in record.versions {
                let parts = VaultLayout.parts(of: record.name, version.id)
                let isKnown = vault.capabilities.keepsVersions && sink.holdsSecret(parts)
                guard !isKnown, version.state == .live, record.removal == nil else {
                    // A value that cannot be read any more is kept as it was.
                    try sink.addSecret(parts, VaultLayout.metadata(of: version), nil)
                    continue
                }
                wishes.append(ValueFetcher.Wish(name: record.name, version: version))
                if wishes.count == ValueFetcher.batch { try fetch(&wishes) }
            }
        }
        try fetch(&wishes)
    }

    private mutating func fetch(_ wishes: inout [ValueFetcher.Wish]) throws(HoldfastError) {
        guard !wishes.isEmpty else { return }
        let fetcher = ValueFetcher(vault: vault, cancellation: context.cancellation)
        for (wish, result) in zip(wishes, try fetcher.fetch(wishes)) {
            let parts = VaultLayout.parts(of: wish.name, wish.version.id)
            let metadata = VaultLayout.metadata(of: wish.version)
            switch result {
            case .success(let reading):
                let item = try SecretItem.encoded(
                    form: reading.value.form.rawValue, reading.value.bytes, entropy: context.entropy)
                try sink.addSecret(parts, metadata, item)
                read += 1
            case .failure(let error):
                try noteOrThrow(wish.name, wish.version.id, error)
                try sink.addSecret(parts, metadata, nil)
            }
        }
        wishes = []
    }

    /// What went between list and read is read anew in the next round; what may not be read is noted; all else ends it.
    private mutating func noteOrThrow(
        _ name: SecretName, _ version: SecretVersionID?, _ error: HoldfastError
    ) throws(HoldfastError) {
        switch error.code {
        case .secretNotFound, .secretPruned, .secretDestroyed, .secretDeleted, .secretDisabled:
            digests[name] = nil
        case .vaultAccessDenied, .limitExceeded, .corruptObject:
            fail(version.map { VaultLayout.parts(of: name, $0) } ?? VaultLayout.parts(of: name), error)
        default: throw error
        }
    }

    private func fail(_ parts: [[UInt8]], _ error: HoldfastError) {
        sink.failSecret(parts, error)
    }
}
