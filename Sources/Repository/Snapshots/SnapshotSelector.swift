// What an operator calls a snapshot: the beginning of its id, `latest`, or `latest:SOURCE`.

import Primitives

/// A name for one snapshot among those of a repository.
package enum SnapshotSelector: Sendable, Hashable {
    /// The beginning of an id, in lower case.
    case prefix(String)
    /// The newest of all sources.
    case latest
    case latestOf(source: String)

    /// Fewer letters than this would be a guess.
    package static let shortestPrefix = 4

    /// - Throws: `.usage` for what can be none of the three.
    package init(_ text: String) throws(HoldfastError) {
        if text == "latest" {
            self = .latest
        } else if text.hasPrefix("latest:"), text.utf8.count > 7 {
            self = .latestOf(source: String(text.dropFirst(7)))
        } else {
            let prefix = text.lowercased()
            let letters = Set("0123456789abcdefghjkmnpqrstvwxyz".utf8)
            guard (Self.shortestPrefix...26).contains(prefix.utf8.count), prefix.utf8.allSatisfy(letters.contains)
            else {
                throw HoldfastError(
                    .usage, "\"\(text)\" does not name a snapshot",
                    hint: "Give at least \(Self.shortestPrefix) letters of an id, latest, or latest:SOURCE.")
            }
            self = .prefix(prefix)
        }
    }
}

extension Repository {
    /// The snapshot that `selector` names, and the listing that it was found in.
    ///
    /// - Throws: `.snapshotNotFound`; `.usage` when several ids begin alike.
    package func snapshot(
        _ selector: SnapshotSelector
    ) throws(HoldfastError) -> (snapshot: Snapshot, listing: SnapshotListing) {
        let listing = try snapshots()
        return (try find(selector, in: listing), listing)
    }

    /// The snapshot that `selector` names among those listed.
    package func find(
        _ selector: SnapshotSelector, in listing: SnapshotListing
    ) throws(HoldfastError) -> Snapshot {
        switch selector {
        case .prefix(let prefix): return try listing.only(beginningWith: prefix)
        case .latest:
            guard let newest = listing.newestOfAll else {
                throw listing.notFound("there is no snapshot in this repository")
            }
            return newest
        case .latestOf(let source):
            let tag = try tag(ofSource: source, in: listing)
            guard let tag, let newest = listing.latest(of: tag) else {
                throw listing.notFound("there is no snapshot of the source \(source)")
            }
            return newest
        }
    }

    /// By the records first: a role without the key that makes tags can still read them.
    private func tag(ofSource source: String, in listing: SnapshotListing) throws(HoldfastError) -> SourceTag? {
        if let known = listing.snapshots.first(where: { $0.record?.source == source }) { return known.tag }
        return keyring.current.keys[.sourceID] == nil ? nil : try tag(ofSource: source)
    }
}

extension SnapshotListing {
    private static let maximumNamed = 8

    /// Of the newest snapshot of each source, the one with the latest id.
    package var newestOfAll: Snapshot? {
        Set(snapshots.map(\.tag)).compactMap { latest(of: $0) }.max { $0.id < $1.id }
    }

    func only(beginningWith prefix: String) throws(HoldfastError) -> Snapshot {
        let matches = snapshots.filter { $0.id.description.hasPrefix(prefix) }
        guard let match = matches.first else {
            throw notFound("there is no snapshot whose id begins with \(prefix)")
        }
        guard matches.count == 1 else {
            let named = matches.prefix(Self.maximumNamed).map(\.id.description).joined(separator: ", ")
            let more = matches.count > Self.maximumNamed ? " and \(matches.count - Self.maximumNamed) more" : ""
            throw HoldfastError(
                .usage, "\(matches.count) snapshots have an id that begins with \(prefix): \(named)\(more)",
                hint: "Give more letters of the id.")
        }
        return match
    }

    func notFound(_ message: String) -> HoldfastError {
        let names = damaged.isEmpty ? "" : " Damaged snapshots cannot be found by name; run `holdfast check`."
        return HoldfastError(
            .snapshotNotFound, message, hint: "`holdfast snapshots` lists what there is.\(names)")
    }
}
