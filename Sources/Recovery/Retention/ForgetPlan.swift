// What a forget would drop, as a value that is printed and then carried out.

import Logging
import ObjectStore
import Primitives
import Repository

/// Which snapshots a forget is about.
package struct ForgetSelection: Sendable {
    /// Drop these, whatever the policy says.
    package var named: [SnapshotID] = []
    /// Apply the policy to this source alone.
    package var source: String?
    /// Apply the policy to snapshots with all of these tags alone; a nil value stands for any.
    package var tags: [(key: String, value: String?)] = []
    /// Named snapshots may be the last of their source.
    package var allowsLast = false

    package init() {}
}

/// A forget before it is done.
package struct ForgetPlan: Sendable {
    package struct Source: Sendable {
        package var tag: SourceTag
        /// The source's name; its tag in brackets when no snapshot of it can be read.
        package var name: String
        package var kept: [(snapshot: Snapshot, reasons: [String])] = []
        package var dropped: [Snapshot] = []
        /// Why the source is left alone: a clock that is off, or a snapshot that cannot be read.
        package var obstacle: HoldfastError?
    }

    package var sources: [Source]

    package var dropped: [Snapshot] { sources.flatMap(\.dropped) }
    /// Dropped snapshots of which nothing that is kept tells that they were: the newest of their sources, those that
    /// share their number with another, and those that none of their successors followed.
    ///
    /// A tombstone says to other clients, who have seen them as the newest, that they were dropped and not hidden.
    var unvouched: Set<SnapshotID> {
        var unvouched: Set<SnapshotID> = []
        for source in sources {
            let newest = source.kept.map(\.snapshot.sequence).max() ?? 0
            let all = source.kept.map(\.snapshot) + source.dropped
            let peers = Dictionary(grouping: all, by: \.sequence)
            for snapshot in source.dropped {
                let isTwin = (peers[snapshot.sequence]?.count ?? 0) > 1
                let next = snapshot.sequence == .max ? [] : peers[snapshot.sequence + 1] ?? []
                let isLonely = !next.isEmpty && !next.contains { $0.previousDigest == snapshot.digest }
                if snapshot.sequence >= newest || isTwin || isLonely { unvouched.insert(snapshot.id) }
            }
        }
        return unvouched
    }
    package var obstacles: [(source: String, error: HoldfastError)] {
        sources.compactMap { source in source.obstacle.map { (source.name, $0) } }
    }
}

/// Applies policies to the snapshots of a repository.
package struct Forgetter: Sendable {
    /// A snapshot whose writer's clock and the store's differ by more shows that one of them is wrong.
    package static let maximumSkew = Duration.seconds(3600)

    private let repository: Repository

    /// - Throws: `.notPermitted` unless the key is an admin's or a maintainer's.
    package init(_ repository: Repository) throws(HoldfastError) {
        try repository.keyring.require(.admin, .maintainer, toDo: "forget snapshots")
        try repository.checkFormatForCollecting()
        self.repository = repository
    }

    /// Decides for each source what is kept and why. Nothing is written.
    ///
    /// - Throws: `.usage` when neither a rule nor a snapshot is given, or when a named snapshot is the last of its
    ///   source, is held, or is the last to hold a secret that opens a kept one; `.snapshotNotFound` for a name that is
    ///   not there.
    package func plan(
        _ policy: RetentionPolicy, _ selection: ForgetSelection, zone: TimeZoneRules = .utc
    ) throws(HoldfastError) -> ForgetPlan {
        guard !policy.isEmpty || !selection.named.isEmpty else {
            throw HoldfastError(
                .usage, "nothing says what to keep or what to forget",
                hint: "Give a rule such as --keep-daily 7, or the ids of snapshots.")
        }
        return try plan(selection) { name in
            let isChosen = !policy.isEmpty && (selection.source.map { $0 == name } ?? true)
            return isChosen ? (policy, zone) : nil
        }
    }

    /// Decides for each source by rules of its own; a source without rules is left alone. Nothing is written.
    package func plan(
        bySource rules: [String: (policy: RetentionPolicy, zone: TimeZoneRules)], _ selection: ForgetSelection
    ) throws(HoldfastError) -> ForgetPlan {
        precondition(selection.named.isEmpty, "rules of sources go without names of snapshots")
        return try plan(selection) { name in
            let isChosen = selection.source.map { $0 == name } ?? true
            return isChosen ? rules[name] : nil
        }
    }

    private func plan(
        _ selection: ForgetSelection, rules: (String) -> (policy: RetentionPolicy, zone: TimeZoneRules)?
    ) throws(HoldfastError) -> ForgetPlan {
        let held = Set(try repository.holds().map(\.hold.snapshot))
        let listing = try repository.snapshots()
        let known = Set(listing.snapshots.map(\.id))
        for id in selection.named {
            guard known.contains(id) else {
                throw HoldfastError(
                    .snapshotNotFound, "there is no snapshot \(id)", hint: "`holdfast snapshots` lists them.")
            }
            guard !held.contains(id) else {
                throw HoldfastError(
                    .usage, "snapshot \(id) is held", hint: "Release it first with `holdfast forget \(id) --release`.")
            }
        }
        let damaged = Dictionary(grouping: listing.damaged) { ObjectNames.snapshotID($0.key)?.tag }
        var sources: [ForgetPlan.Source] = []
        for (tag, snapshots) in Dictionary(grouping: listing.snapshots, by: \.tag) {
            let name = snapshots.last { $0.record != nil }?.record?.source ?? "(\(tag))"
            var source = ForgetPlan.Source(tag: tag, name: name)
            let rules = rules(name)
            if rules != nil {
                source.obstacle = damaged[tag]?.first?.error ?? snapshots.lazy.compactMap(Self.obstacle).first
            }
            let reasons: [SnapshotID: [String]]? =
                source.obstacle != nil ? nil : rules.map { self.reasons($0.policy, selection, snapshots, $0.zone) }
            for snapshot in snapshots {
                if selection.named.contains(snapshot.id) {
                    source.dropped.append(snapshot)
                } else if held.contains(snapshot.id) {
                    source.kept.append((snapshot, ["held"]))
                } else if let reasons {
                    let own = reasons[snapshot.id] ?? []
                    if own.isEmpty { source.dropped.append(snapshot) } else { source.kept.append((snapshot, own)) }
                } else {
                    source.kept.append((snapshot, []))
                }
            }
            try checkLast(source, selection)
            sources.append(source)
        }
        try keepSecrets(&sources, selection)
        return ForgetPlan(sources: sources.sorted { ($0.name, $0.tag) < ($1.name, $1.tag) })
    }

    /// Keeps the last snapshots of vaults that hold what a snapshot of a database needs to be opened, if that is kept.
    ///
    /// - Throws: `.usage` when such a one was named.
    private func keepSecrets(
        _ sources: inout [ForgetPlan.Source], _ selection: ForgetSelection
    ) throws(HoldfastError) {
        let needed = NeededVersion.list(of: sources.flatMap { $0.kept.map(\.snapshot) })
        let wanted = Set(needed.map(\.source))
        guard sources.contains(where: { wanted.contains($0.name) && !$0.dropped.isEmpty }) else { return }
        let all = sources.flatMap { $0.kept.map(\.snapshot) + $0.dropped }
        let held = try HeldVersions(repository, among: all)
        var dropped = Set(sources.flatMap(\.dropped).map(\.id))
        for one in needed {
            guard try held.holder(of: one, where: { !dropped.contains($0.id) }) == nil,
                let last = try held.holder(of: one, where: { dropped.contains($0.id) })
            else { continue }
            guard !selection.named.contains(last.id) else {
                throw HoldfastError(
                    .usage,
                    "snapshot \(last.id) is the last of \(one.source) to hold \(one.label), which \(one.reason)",
                    hint: "Forget first what needs it, or take a snapshot of the vault while it has that version.")
            }
            dropped.remove(last.id)
            for place in sources.indices {
                guard let index = sources[place].dropped.firstIndex(where: { $0.id == last.id }) else { continue }
                sources[place].dropped.remove(at: index)
                sources[place].kept.append((last, ["holds \(one.label), which \(one.reason)"]))
                sources[place].kept.sort {
                    ($0.snapshot.sequence, $0.snapshot.id) < ($1.snapshot.sequence, $1.snapshot.id)
                }
            }
        }
    }

    /// Deletes what `plan` drops, oldest first; what the store refused to delete is returned.
    ///
    /// A snapshot that came under a hold since is kept. Deltas against a dropped snapshot stay whole: their bases are
    /// needed by whatever needs them.
    package func run(_ plan: ForgetPlan) throws(HoldfastError) -> [Snapshot] {
        let held = Set(try repository.holds().map(\.hold.snapshot))
        let unvouched = plan.unvouched
        var refused: [Snapshot] = []
        for snapshot in plan.dropped.sorted(by: { ($0.stored, $0.id) < ($1.stored, $1.id) }) {
            try repository.environment.cancellation.check()
            guard !held.contains(snapshot.id) else { continue }
            if unvouched.contains(snapshot.id), let witness = repository.environment.witness {
                // Kept before the deed: whatever breaks it off, this host does not ask later where the snapshot is.
                witness.release(snapshot.id, of: snapshot.tag)
                witness.save()
            }
            do throws(HoldfastError) {
                try repository.store.delete(ObjectNames.snapshot(snapshot.tag, snapshot.id))
            } catch {
                guard error.code == .accessDenied else { throw error }
                refused.append(snapshot)
                continue
            }
            guard unvouched.contains(snapshot.id) else { continue }
            do throws(HoldfastError) {
                try repository.bury(snapshot.id, of: snapshot.tag, generation: 0)
            } catch {
                // It is dropped all the same, also on a full disk; other clients will ask why.
                repository.logger.warning(
                    "a snapshot was dropped and no tombstone says so", metadata: ["error": "\(error)"])
            }
        }
        return refused
    }

    private func reasons(
        _ policy: RetentionPolicy, _ selection: ForgetSelection, _ snapshots: [Snapshot], _ zone: TimeZoneRules
    ) -> [SnapshotID: [String]] {
        let matching = snapshots.filter { snapshot in
            let tags = snapshot.record?.tags ?? [:]
            return selection.tags.allSatisfy { rule in
                tags[rule.key].map { rule.value == nil || rule.value == $0 } ?? false
            }
        }
        let left = matching.filter { !selection.named.contains($0.id) }
        var reasons = policy.kept(left, zone: zone)
        for snapshot in snapshots where !matching.contains(where: { $0.id == snapshot.id }) {
            reasons[snapshot.id, default: []].append("not selected")
        }
        // The newest of a source is never dropped by a rule, nor is the newest good one.
        let order = snapshots.filter { !selection.named.contains($0.id) }
            .sorted { ($0.sequence, $0.id) < ($1.sequence, $1.id) }
        for newest in [order.last, order.last(where: \.isGood)].compactMap({ $0 }) where reasons[newest.id] == nil {
            reasons[newest.id] = ["newest"]
        }
        return reasons
    }

    /// Why no rule may be applied to a source that has this snapshot.
    private static func obstacle(_ snapshot: Snapshot) -> HoldfastError? {
        guard let record = snapshot.record else {
            return HoldfastError(
                .notPermitted, "snapshot \(snapshot.id) cannot be read with this key",
                hint: "Use a key that holds the structure keys of all epochs.")
        }
        let skew = snapshot.stored.since(record.finished)
        guard skew > maximumSkew || skew < .zero - maximumSkew else { return nil }
        return HoldfastError(
            .clockSkew,
            "snapshot \(snapshot.id) says that it was finished at \(record.finished), the store that it was put at "
                + "\(snapshot.stored)",
            hint: "One of the clocks is wrong, or the repository is a copy: forget snapshots of this source by id.")
    }

    private func checkLast(
        _ source: ForgetPlan.Source, _ selection: ForgetSelection
    ) throws(HoldfastError) {
        guard !selection.allowsLast, !source.dropped.isEmpty else { return }
        let losesAll = source.kept.isEmpty
        let losesGood = source.dropped.contains(where: \.isGood) && !source.kept.contains { $0.snapshot.isGood }
        guard losesAll || losesGood else { return }
        throw HoldfastError(
            .usage, "that would drop the last \(losesAll ? "" : "whole ")snapshot of \(source.name)",
            hint: "Give --allow-last with its id if that is meant.")
    }
}
