// Index runs of a stolen writer key: junk under others' ids, and chains made to be tried without end.

import Compression
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Hostile index runs")
struct HostileIndexTests {
    private static let honest = SlotID(Bytes16(w0: 1))
    private static let thief = SlotID(Bytes16(w0: 2))
    private static let base = Bytes16(w0: 50)
    private static let delta = Bytes16(w0: 60)

    /// A run of one pack by `slot` with one entry for each of `copies`.
    private func run(
        _ number: UInt64, by slot: SlotID, _ copies: [(id: Bytes16, depth: UInt8, base: Bytes16)]
    ) throws -> LoadedRun {
        let entries = copies.map { copy in
            let codec: Codec = copy.depth > 0 ? .zstdDelta : .stored
            let entry = IndexEntry(id: copy.id, pack: 0, offset: 0, stored: 1, codec: codec, depth: copy.depth, raw: 1)
            return (entry: entry, base: copy.base)
        }
        let pack = IndexedPack(id: PackID(Bytes32(w0: number)), length: 1, kind: .delta, slot: slot)
        var object = IndexRunObject(
            repository: RepositoryID(Bytes16()), epoch: 1, slot: slot, made: Timestamp(nanoseconds: 0), supersedes: [],
            packs: [pack], entries: entries)
        let table = RunTable(object.table)
        object.table = []
        return try LoadedRun(id: IndexRunID(Bytes32(w0: number)), run: object, table: table)
    }

    @Test("junk that another writer lists under a base's id does not come between a delta and its base")
    func junkBase() throws {
        let runs = [
            try run(1, by: Self.thief, [(Self.base, 0, Bytes16())]),
            try run(2, by: Self.honest, [(Self.base, 1, Bytes16(w0: 40)), (Self.delta, 2, Self.base)]),
            try run(3, by: Self.honest, [(Bytes16(w0: 40), 0, Bytes16())]),
        ]
        let index = Index(runs: runs) { _ in .present }
        let location = try #require(index.find(Self.delta, for: .reading))
        #expect(index.base(of: location, for: .reading)?.pack == PackID(Bytes32(w0: 2)))
    }

    @Test("a base of someone else is better than none")
    func lastResort() throws {
        let runs = [
            try run(1, by: Self.thief, [(Self.base, 0, Bytes16())]),
            try run(2, by: Self.honest, [(Self.delta, 1, Self.base)]),
        ]
        let index = Index(runs: runs) { _ in .present }
        let location = try #require(index.find(Self.delta, for: .reading))
        #expect(index.base(of: location, for: .reading)?.pack == PackID(Bytes32(w0: 1)))
    }

    @Test("chains that branch at every depth and have no root are given up in bounded time", .timeLimit(.minutes(1)))
    func branchingChains() throws {
        var copies: [(id: Bytes16, depth: UInt8, base: Bytes16)] = []
        for depth in UInt8(1)...15 {
            for _ in 0..<32 { copies.append((Bytes16(w0: UInt64(depth)), depth, Bytes16(w0: UInt64(depth) - 1))) }
        }
        let index = Index(runs: [try run(1, by: Self.thief, copies)]) { _ in [.present, .reusable] }
        #expect(index.find(Bytes16(w0: 15), for: .reading) == nil)
    }
}
