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
/// Memory: the names of all secrets, and the records of those that lose one. Reads no value.
package struct VersionLook: Sendable {
    /// A secret that loses versions, or that has labels of ours.
    package struct Endangered: Sendable, Hashable {
        package var record: SecretRecord
        package var limit: VersionLimit
        /// What the next puts push out, as the vault stands.
        package var dropped: [SecretVersion]

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
    private let isOwn: @Sendable (StagingLabel) -> Bool
    private let found: VaultPreflight

    /// Looks through `vault`.
    ///
    /// - Parameters:
    ///   - puts: 1…``VersionForecast/mostPuts``.
    ///   - isOwn: Labels of ours, that keep versions.
    /// - Throws: `.vaultAccessDenied` when nothing at all may be listed; what keeps the vault from answering. What
    ///   could not be looked at on its own is in ``unseen``.
    package init(
        _ vault: any SecretInventory, puts: Int, cancellation: Cancellation,
        isOwn: @escaping @Sendable (StagingLabel) -> Bool = { _ in false }
    ) throws(HoldfastError) {
        capabilities = vault.capabilities
        location = vault.location
        self.puts = puts
        self.isOwn = isOwn
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

    /// The forecast for one secret, as it is told now; nil when nothing of it goes and it has no label of ours.
    package func look(_ record: SecretRecord) -> Endangered? {
        let kind = capabilities.kind
        let limit = VersionLimit(of: record, kind, found)
        let bare = VersionForecast(record, kind, limit, puts: puts, without: isOwn)
        let hasOwn = record.versions.contains { $0.labels.contains(where: isOwn) }
        guard !bare.dropped.isEmpty || hasOwn else { return nil }
        return Endangered(
            record: record, limit: limit, dropped: VersionForecast(record, kind, limit, puts: puts).dropped)
    }

    /// Which of `needed` must have a label of ours, since without one they would go: with each that has one, a newer
    /// version goes in its place.
    package func labelled(_ record: SecretRecord, needed: Set<SecretVersionID>) -> Set<SecretVersionID> {
        let kind = capabilities.kind
        let limit = VersionLimit(of: record, kind, found)
        return Set(VersionForecast(record, kind, limit, puts: puts, without: isOwn, sparing: needed).spared)
    }

    /// Whether a failure is about one secret, and the others are looked at all the same.
    package static func isOfOne(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .vaultAccessDenied, .limitExceeded, .corruptObject, .secretNotFound, .secretDeleted, .secretConflict,
            .secretPruned, .secretDestroyed, .secretDisabled, .usage, .writeUnknown:
            true
        default: false
        }
    }
}
