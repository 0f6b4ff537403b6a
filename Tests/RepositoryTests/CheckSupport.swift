// What the tests of check, repair and mirror share: a repository with some history, and ways to damage it.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

/// Two sources, three snapshots, pages with deltas, more than one index run.
struct History {
    let small: HistoryRepository
    let snapshots: [SnapshotID]
    let seed: UInt64

    init(seed: UInt64) throws {
        self.seed = seed
        small = try HistoryRepository(seed: seed)
        let home = HistoryWriter(repository: small.repository, source: "home")
        let base = try noise(3 * HistoryWriter.blockSize, seed: seed &+ 1)
        var changed = base
        changed[HistoryWriter.blockSize + 5] ^= 1
        let text = HistoryFile(name: "text", bytes: try noise(200_000, seed: seed &+ 2))
        let first = [text, HistoryFile(name: "table", bytes: base, isPaged: true)]
        let second = [text, HistoryFile(name: "table", bytes: changed, isPaged: true)]
        var ids = [try home.commit(first)]
        small.clock.advance(by: .seconds(3600))
        ids.append(try home.commit(second, parent: first))
        small.clock.advance(by: .seconds(3600))
        let other = HistoryWriter(repository: small.repository, source: "other")
        ids.append(try other.commit([HistoryFile(name: "alone", bytes: try noise(70_000, seed: seed &+ 3))]))
        snapshots = ids
    }

    var store: MemoryStore { small.store }

    func check(_ data: DataSelection = .none, on store: (any ObjectStore)? = nil) throws -> CheckReport {
        var options = CheckOptions()
        options.data = data
        return try small.opened(on: store ?? small.store).check(options)
    }

    func keys(_ prefix: String) throws -> [ObjectKey] { try StoreKeys.all(prefix, in: store) }

    /// Packs of a kind, in order of their names.
    func packs(_ kind: PackKind) throws -> [ObjectKey] {
        try keys("packs/").filter { key in
            try PackHead(Array(try store.get(key, limit: .mebi(64)).prefix(PackHead.size)), name: key.path).kind == kind
        }
    }
}

/// Listings for tests.
enum StoreKeys {
    static func all(_ prefix: String, in store: any ObjectStore) throws -> [ObjectKey] {
        var keys: [ObjectKey] = []
        try store.list(prefix) { (info) throws(HoldfastError) in keys.append(info.key) }
        return keys.sorted()
    }
}

/// A way in which an object goes bad.
enum Harm: String, CaseIterable, Sendable {
    case truncated, flipped, missing, empty, foreign

    /// Does it to `key`; the foreign object is the one of the same kind in another repository.
    func apply(to key: ObjectKey, in history: History, other: History) throws {
        switch self {
        case .truncated: history.store.damage(key) { $0.removeLast(min($0.count, 7)) }
        case .flipped: history.store.damage(key) { $0[$0.count / 2] ^= 4 }
        case .missing: try history.store.delete(key)
        case .empty: history.store.damage(key) { $0 = [] }
        case .foreign:
            let directory = key.path.prefix { $0 != "/" }
            let candidates = try other.keys("\(directory)/")
            guard let first = candidates.first else { return }
            let bytes = try other.store.get(first, limit: .mebi(64))
            history.store.damage(key) { $0 = bytes }
        }
    }
}

extension CheckReport {
    func errors(about object: String) -> [CheckFinding] { findings(.error).filter { $0.object.hasPrefix(object) } }
    var text: String { findings.map { "\($0.severity) \($0.object): \($0.message)" }.joined(separator: "\n") }
}

extension CheckDamage {
    var names: Set<String> { Set(paths.map { String(decoding: $0.path, as: UTF8.self) }) }
}
