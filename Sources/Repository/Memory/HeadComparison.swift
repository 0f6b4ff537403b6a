// Whether a source's newest snapshot of before is still part of what a store shows.

import Primitives

/// A listing, and what it says of heads that were seen before.
struct HeadComparison {
    enum Verdict {
        /// It is there, or later snapshots follow it.
        case same
        /// Someone with the right forgot it and said so.
        case released
        /// Its object is damaged: that is told as damage.
        case unknown
        case stepBack(String)

        var problem: String? { if case .stepBack(let problem) = self { problem } else { nil } }
    }

    let listing: SnapshotListing
    private let bySource: [SourceTag: [Snapshot]]
    private let buried: Set<SnapshotID>
    private let damaged: Set<SnapshotID>

    init(_ listing: SnapshotListing) {
        self.listing = listing
        bySource = Dictionary(grouping: listing.snapshots, by: \.tag)
        buried = Set(listing.tombstones.map(\.id))
        damaged = Set(listing.damaged.compactMap { ObjectNames.snapshotID($0.key)?.id })
    }

    /// The newest snapshot of each source.
    var newest: [SourceTag: Snapshot] {
        bySource.compactMapValues { snapshots in snapshots.max { ($0.sequence, $0.id) < ($1.sequence, $1.id) } }
    }

    func verdicts(on known: [SourceTag: StoreMemory.Head]) -> [SourceTag: Verdict] {
        var verdicts: [SourceTag: Verdict] = [:]
        for (tag, head) in known { verdicts[tag] = verdict(on: head, bySource[tag] ?? []) }
        return verdicts
    }

    private func verdict(on head: StoreMemory.Head, _ snapshots: [Snapshot]) -> Verdict {
        if let there = snapshots.first(where: { $0.id == head.id }) {
            return there.digest == head.digest
                ? .same : .stepBack("snapshot \(head.id) is another one than before, under the same name")
        }
        if buried.contains(head.id) { return .released }
        if damaged.contains(head.id) { return .unknown }
        let source = snapshots.last { $0.record != nil }?.record?.source ?? snapshots.first.map { "\($0.tag)" }
        let name = source.map { "of \($0)" } ?? "of a source that has none now"
        guard let newest = snapshots.max(by: { ($0.sequence, $0.id) < ($1.sequence, $1.id) }) else {
            return .stepBack("snapshot \(head.id), number \(head.sequence) \(name), is gone")
        }
        guard newest.sequence > head.sequence else {
            return .stepBack(
                "snapshot \(head.id), number \(head.sequence) \(name), is gone; the newest is \(newest.id), number "
                    + "\(newest.sequence)")
        }
        // Retention thins out what has successors. What came right after it must name it.
        let next = snapshots.filter { $0.sequence == head.sequence + 1 }
        if !next.isEmpty, !next.contains(where: { $0.previousDigest == head.digest }) {
            return .stepBack(
                "snapshot \(head.id), number \(head.sequence) \(name), is gone, and \(next[0].id) was taken as if it "
                    + "had never been")
        }
        return .same
    }
}
