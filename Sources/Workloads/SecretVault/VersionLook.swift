// Looking through a vault for versions that it is about to forget.

import Primitives
import SecretVaults

/// Something that could not be looked at, of which therefore nothing is said.
package struct UnseenPart: Sendable, Hashable {
    /// A secret, what the names of secrets begin with, or a snapshot.
    package var what: String
    package var why: String

    package init(_ what: String, why: String) {
        self.what = what
        self.why = why
    }
}

/// Which versions the secrets of a vault lose with the next puts.
///
/// Memory: the names of all secrets, and the records of those that lose one. Reads no value. Names that a policy
/// filters out of the vault's listings are not seen, and nothing says so.
package struct VersionLook: Sendable {
    /// A secret that loses versions, or that has pins of ours.
    package struct Endangered: Sendable, Hashable {
        package var record: SecretRecord
        package var limit: VersionLimit
        /// What the next puts push out, as the vault stands.
        package var dropped: [SecretVersion]
        /// Those with a pin of ours.
        package var pinned: Set<SecretVersionID>
        /// Of which it must be known whether a snapshot has them: what goes, what has a pin of ours, and in AWS what
        /// goes in the place of those that get one.
        package var asked: [SecretVersion]

        package var name: SecretName { record.name }
    }

    package let capabilities: VaultCapabilities
    package let location: String
    package private(set) var secrets: UInt64 = 0
    /// By name.
    package private(set) var endangered: [Endangered] = []
    package private(set) var unseen: [UnseenPart] = []
    /// Secrets that Azure's own backup does not take any more.
    package private(set) var overAzuresOwn: [SecretName] = []

    /// Azure's own backup of a secret fails beyond so many versions.
    static let azuresOwn = 500

    private let puts: Int
    private let owner: String?
    private let found: VaultPreflight

    /// Looks through `vault`.
    ///
    /// - Parameters:
    ///   - puts: 1…``VersionForecast/mostPuts``.
    ///   - owner: Whose pins are ours. Nobody's pins count for the forecast, since they may be taken off.
    /// - Throws: `.vaultAccessDenied` when nothing at all may be listed; what keeps the vault from answering. What
    ///   could not be looked at on its own is in ``unseen``.
    package init(
        _ vault: any SecretInventory, puts: Int, owner: String? = nil, cancellation: Cancellation
    ) throws(HoldfastError) {
        capabilities = vault.capabilities
        location = vault.location
        self.puts = puts
        self.owner = owner
        found = try vault.preflight([.list, .describe], under: "")
        let fetcher = ValueFetcher(vault: vault, cancellation: cancellation) { Self.isOfOne($0) }
        let pages = VaultPages(vault: vault, prefix: "", cancellation: cancellation)
        _ = try pages.visit { (page, fresh) throws(HoldfastError) in
            for error in page.refused {
                let path = error.context.last { $0.key == "path" }?.value
                unseen.append(UnseenPart(path ?? "a part of the listing", why: error.message))
            }
            // A listing that says so without a failure.
            for place in page.unseen where page.refused.isEmpty {
                unseen.append(UnseenPart(String(decoding: place, as: UTF8.self), why: "it may not be listed"))
            }
            let names = fresh.filter { $0.record == nil }.map(\.name)
            let described = Dictionary(zip(names, try fetcher.describe(names))) { first, _ in first }
            for listing in fresh { take(listing, described[listing.name]) }
        }
        endangered.sort { $0.name < $1.name }
    }

    private mutating func take(_ listing: SecretListing, _ described: Result<SecretRecord, HoldfastError>?) {
        let known: Result<SecretRecord, HoldfastError>? = listing.record.map { .success($0) }
        switch known ?? described {
        case .success(let record)?:
            secrets += 1
            if let one = look(record) { endangered.append(one) }
            if capabilities.kind == .azure, record.versions.count > Self.azuresOwn { overAzuresOwn.append(record.name) }
        case .failure(let error)?:
            // Listings may name what is gone.
            unseen.append(UnseenPart(listing.name.text, why: error.message))
        case nil: unseen.append(UnseenPart(listing.name.text, why: "the vault told nothing of it"))
        }
    }

    /// Looks at some secrets once more; of the others stands what was found.
    ///
    /// - Throws: what keeps the vault from answering.
    package mutating func refresh(
        _ names: Set<SecretName>, in vault: any SecretInventory, cancellation: Cancellation
    ) throws(HoldfastError) {
        endangered.removeAll { names.contains($0.name) }
        for name in names.sorted() {
            try cancellation.check()
            do throws(HoldfastError) {
                if let one = look(try vault.describe(name)) { endangered.append(one) }
            } catch {
                guard Self.isOfOne(error) else { throw error }
                unseen.append(UnseenPart(name.text, why: error.message))
            }
        }
        endangered.sort { $0.name < $1.name }
    }

    /// Which versions snapshots must be asked for, by secret.
    package var asked: [SecretName: [SecretVersion]] {
        Dictionary(endangered.map { ($0.name, $0.asked) }) { first, _ in first }
    }

    /// How many versions a secret keeps, as it is told now; nil where there is no limit.
    package func limit(of record: SecretRecord) -> Int? { VersionLimit(of: record, capabilities.kind, found).number }

    /// The forecast for one secret, as it is told now; nil when nothing of it goes and it has no pin of ours.
    package func look(_ record: SecretRecord) -> Endangered? {
        let kind = capabilities.kind
        let limit = VersionLimit(of: record, kind, found)
        let bare = VersionForecast(record, kind, limit, puts: puts, without: { $0.isPin }).dropped
        let pinned = record.versions.filter { version in
            version.labels.contains { label in owner.map { label.isPin(of: $0) } ?? false }
        }
        guard !bare.isEmpty || !pinned.isEmpty else { return nil }
        let dropped = VersionForecast(record, kind, limit, puts: puts).dropped
        var asked = Set((dropped + bare + pinned).map(\.id))
        if kind == .aws, !bare.isEmpty {
            let free = record.versions.filter { $0.labels.allSatisfy(\.isPin) }
            asked.formUnion(free.prefix(bare.count + VersionForecast.mostPins).map(\.id))
        }
        return Endangered(
            record: record, limit: limit, dropped: dropped, pinned: Set(pinned.map(\.id)),
            asked: record.versions.filter { asked.contains($0.id) })
    }

    /// Which of `needed` must have a pin: those that have one of ours as long as they are needed, and those that would
    /// go without one. With each of these a newer version goes in its place.
    package func labelled(_ one: Endangered, needed: Set<SecretVersionID>) -> Set<SecretVersionID> {
        let forecast = VersionForecast(
            one.record, capabilities.kind, one.limit, puts: puts, without: { $0.isPin }, sparing: needed)
        return one.pinned.intersection(needed).union(forecast.spared)
    }

    /// Whether a failure is about one secret, and the others are looked at, or changed, all the same.
    package static func isOfOne(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .secretConflict, .usage, .writeUnknown: true
        default: VaultReading.isOfOne(error)
        }
    }
}
