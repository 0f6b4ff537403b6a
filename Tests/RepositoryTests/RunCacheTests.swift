// The local cache of index runs: whatever lies there, the index is the store's.

import Glibc
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Cached index runs")
struct RunCacheTests {
    @Test("a cached run under another's name, a torn one and an empty one are passed over")
    func foreignFiles() throws {
        let directory = TemporaryDirectory()
        let house = try SmallHouse()
        try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))])
        var environment = SmallHouse.environment(house.clock, 5)
        environment.cacheDirectory = directory.path
        let repository = try Repository.open(house.store, secret: SmallHouse.secret(1), environment: environment)
        func packs() throws -> [IndexRunID: [PackID]] {
            let runs = try repository.loadIndex().index.runs
            return Dictionary(uniqueKeysWithValues: runs.map { ($0.id, $0.run.packs.map(\.id)) })
        }
        let expected = try packs()
        #expect(expected.count == 2)
        let files = expected.keys.map { "\(directory.path)/\(repository.id)/\($0).run" }
        let other = "\(files[0]).other"
        #expect(link(files[0], other) == 0 && rename(other, files[1]) == 0)
        #expect(try packs() == expected)
        #expect(truncate(files[0], 60) == 0)
        #expect(try packs() == expected)
        #expect(truncate(files[1], 0) == 0)
        #expect(try packs() == expected)
    }
}
