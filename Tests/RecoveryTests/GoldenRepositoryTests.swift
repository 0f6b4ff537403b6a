// The committed repository of format 1 opens, reads and can be written on, whatever version of holdfast this is.

import Compression
import Foundation
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("The repository of format 1")
struct GoldenRepositoryTests {
    private let golden: GoldenContents

    init() throws {
        if GoldenRepository.isRegenerating {
            var maker = GoldenRepositoryMaker()
            try maker.make()
        }
        golden = try GoldenRepository.contents()
    }

    @Test("holds what it held when it was made, for all who may read", arguments: ["admin", "restorer"])
    func contents(password: String) throws {
        let repository = try GoldenRepository.open(try GoldenRepository.load(), password)
        let listing = try repository.snapshots()
        #expect(listing.damaged.isEmpty)
        #expect(listing.tombstones.map(\.id.description) == golden.tombstones)
        #expect(listing.snapshots.map(\.id.description) == golden.snapshots.map(\.id))
        #expect(listing.snapshots.count == 4)
        for (snapshot, expected) in zip(listing.snapshots, golden.snapshots) {
            #expect(snapshot.record?.source == expected.source && snapshot.epoch == expected.epoch)
            #expect(try GoldenRepository.entries(repository, snapshot) == expected.entries, "\(snapshot.id)")
        }
    }

    @Test("has every codec, pack kind and depth that a reader meets")
    func variety() throws {
        let state = try GoldenRepository.open(try GoldenRepository.load(), "admin").loadIndex()
        #expect(state.damaged.isEmpty && state.collections.newest == 1)
        #expect(state.collections.condemnedPacks.isEmpty && state.collections.doomedPacks.isEmpty)
        let entries = state.index.runs.flatMap { run in (0..<run.run.entryCount).map { run.entry($0) } }
        #expect(Set(entries.compactMap(\.codec)) == [.stored, .zstd, .zlib, .zstdDelta])
        #expect(Set(entries.map(\.depth)) == [0, 1, 2])
        #expect(Set(state.index.runs.flatMap(\.run.packs).map(\.kind)) == [.page, .delta, .data, .meta])
        #expect(Set(state.index.runs.map(\.run.epoch)) == [1, 2])
    }

    @Test("gives each role what is its own")
    func roles() throws {
        let store = try GoldenRepository.load()
        #expect(golden.slots.count == 5)
        for (label, role) in golden.slots where label != "removed" {
            #expect(try GoldenRepository.open(store, label).keyring.role.description == role)
        }
        let error = #expect(throws: HoldfastError.self) { try GoldenRepository.open(store, "removed") }
        #expect(error?.code == .notPermitted || error?.code == .wrongKey)
        let writer = try GoldenRepository.open(store, "writer")
        let readable = try writer.snapshots().snapshots.filter { $0.record != nil }
        #expect(readable.map(\.record?.source) == ["stream"])
        let own = try #require(readable.first)
        #expect(try GoldenRepository.entries(writer, own) == golden.snapshots.first { $0.source == "stream" }?.entries)
        let maintainer = try GoldenRepository.open(store, "maintainer")
        #expect(try maintainer.snapshots().snapshots.allSatisfy { $0.record != nil })
        #expect(throws: HoldfastError.self) { try GoldenRepository.entries(maintainer, own) }
    }

    @Test("is cut by its key where it always was")
    func cuts() throws {
        let found = try GoldenRepository.cuts(GoldenRepository.open(GoldenRepository.load(), "admin"))
        #expect(found == golden.cuts && found.count > 3)
    }

    @Test("is read by the independent reader")
    func independentReader() throws {
        for snapshot in golden.snapshots {
            let scratch = TemporaryDirectory()
            let (status, output) = try IndependentReader.run(
                GoldenRepository.repository, password: "admin", ["extract", snapshot.id, scratch.path + "/out"])
            #expect(status == 0, "\(output)")
            let found = describe(scratch.path + "/out")
            for (path, line) in snapshot.entries where line.hasPrefix("file") {
                let digest = try #require(line.split(separator: " ").last)
                let name = path == "." ? "numbers" : path
                #expect(found[name]?.hasSuffix(digest) == true, "\(name) is \(found[name] ?? "absent")")
            }
        }
    }
}
