// The check that needs no key at all: what should exist exists, as it was written, by whom it says.

import Logging
import ObjectStore
import Primitives

/// Checks a store without a key, so that the machine that scrubs it can hold none.
///
/// Names are compared with bytes, every other object with its own digest, and signatures with the roster that the admin
/// key of the format object vouches for. That key is the store's own word: a store that was replaced as a whole by
/// another passes. Packs are followed from snapshots through index runs. What chunks hold stays closed.
package struct KeylessCheck {
    private let store: any ObjectStore
    private let environment: Environment

    package init(_ store: any ObjectStore, environment: Environment) {
        self.store = store
        self.environment = environment
    }

    /// Reads everything, or the packs that `options` select; damage is in the report, and never ends the work.
    ///
    /// - Throws: `.repositoryNotFound` without a readable format object, what listings throw, and `.interrupted`.
    package func run(_ options: CheckOptions) throws(HoldfastError) -> CheckReport {
        var options = options
        if options.data == .none { options.data = .all }
        let collector = CheckCollector(store, options: options, cancellation: environment.cancellation)
        let objects = try ObjectCheck(collector, keyring: nil).run()
        collector.add(
            .info, .unpinned, "format",
            "signatures were checked with the admin key \(Hex.encode(objects.adminKey.array)), on the store's own word")
        let index = try RunCheck(collector: collector, objects: objects, keyring: nil, cache: nil).run()
        let outcome = try PackPass(
            collector: collector, objects: objects, runs: index.live, keyring: nil, entropy: environment.entropy
        ).run()
        attachSnapshots(outcome.badPacks, objects, index, collector)
        collector.setIncomplete()
        return collector.report()
    }

    /// Names the snapshots whose index lists a bad pack; which of them need it, only keys can tell.
    private func attachSnapshots(
        _ badPacks: Set<PackID>, _ objects: CheckedObjects, _ index: CheckedIndex, _ collector: CheckCollector
    ) {
        guard !badPacks.isEmpty else { return }
        var listing: [IndexRunID: Set<PackID>] = [:]
        for checked in index.live {
            let bad = badPacks.intersection(checked.run.packs.map(\.id))
            guard !bad.isEmpty else { continue }
            for run in [checked.id] + checked.run.supersedes { listing[run, default: []].formUnion(bad) }
        }
        var damage: [String: CheckDamage] = [:]
        for snapshot in objects.snapshots {
            var packs: Set<PackID> = []
            for run in snapshot.object.runs { packs.formUnion(listing[run] ?? []) }
            for pack in packs {
                let name = ObjectNames.pack(pack).path
                damage[name, default: CheckDamage()].snapshots.append(snapshot.object.id)
                damage[name]?.isGuess = true
            }
        }
        for name in damage.keys { damage[name]?.snapshots.sort() }
        collector.attach(damage)
    }
}
