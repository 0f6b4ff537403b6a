// Which versions snapshots have, by snapshots made by hand.

import Primitives
import Repository
import Sealing
import SecretVaults
import TestSupport
import Testing

@testable import Recovery
@testable import Workloads

@Suite("Versions in snapshots of a vault")
struct VersionKeepingsTests {
    private let test: TestRepository
    private let name = SecretName(validated: Array("app".utf8))
    private let source = VersionKeepings.Source(address: "told", name: "forged")

    init() throws { test = try TestRepository() }

    private func version(_ number: Int, created: Timestamp? = nil) -> SecretVersion {
        SecretVersion(
            id: SecretVersionID(validated: Array("\(number)".utf8)), order: UInt64(number),
            created: created ?? Timestamp(seconds: Int64(number)))
    }

    /// A snapshot of a vault with one secret, or with none, a minute after the one before.
    ///
    /// - Parameter lost: Versions whose values no pack has.
    @discardableResult
    private func backUp(_ versions: [SecretVersion], lost: Set<Int> = []) throws -> SnapshotID {
        test.clock.advance(by: .seconds(60))
        let forge = try SnapshotForge(test.repository)
        var files: [Entry] = []
        for version in versions {
            var metadata = VaultLayout.metadata(of: version)
            metadata.name = try #require(VaultLayout.parts(of: name, version.id).last)
            let isLost = lost.contains(Int(version.order))
            let value = Array("value \(version.id)".utf8)
            let chunk = try isLost ? ChunkID(SHA256.digest(value.span.bytes)) : forge.put(value, .secret)
            let piece = ContentPiece(id: chunk, length: 7)
            files.append(
                Entry(metadata, content: Content(rule: .secret, blockShift: 0, size: 7, location: .inline([piece]))))
        }
        var secrets: [Entry] = []
        if !versions.isEmpty {
            var metadata = VaultLayout.metadata(of: SecretRecord(name: name))
            metadata.name = try #require(VaultLayout.parts(of: name).last)
            secrets = [Entry(metadata, tree: try forge.directory("", files).tree)]
        }
        let root = SnapshotRoot(path: Array("told".utf8), entry: try forge.directory("", secrets))
        return try forge.commit([root], workload: VaultWorkload.kind)
    }

    private func find(
        _ versions: [SecretVersion]
    ) throws -> (found: [SecretVersionID: VersionKeeping], keepings: VersionKeepings) {
        var keepings = try VersionKeepings(source, in: test.repository)
        let found = try keepings.find([name: versions])
        return (found[name] ?? [:], keepings)
    }

    @Test("are those with their id and their date, and held where a pack has the value")
    func held() throws {
        let first = try backUp([version(1), version(2)])
        let second = try backUp([version(1), version(2), version(3)], lost: [2, 3])
        // Numbers begin anew when a secret was removed for good and made again.
        let anew = version(4, created: Timestamp(seconds: 99))
        try backUp([version(4)])
        let (found, keepings) = try find([version(1), version(2), version(3), anew, version(5)])
        #expect(found[version(1).id] == VersionKeeping(held: second, named: second))
        #expect(found[version(2).id] == VersionKeeping(held: first, named: second))
        #expect(found[version(3).id] == VersionKeeping(held: nil, named: second))
        #expect(found[version(4).id] == nil && found[version(5).id] == nil)
        #expect(keepings.unseen.isEmpty && keepings.snapshotCount == 3)
    }

    @Test("are looked for from the newest snapshot on, no further than to the first, and in none that is too old")
    func bounded() throws {
        for last in 1...5 { try backUp((1...last).map { version($0) }) }
        #expect(try find([version(1), version(2)]).keepings.directoriesRead == 1)
        #expect(try find([version(1), version(5)]).keepings.directoriesRead == 1)
        // What is nowhere is looked for everywhere, where it might be older.
        #expect(try find([version(6)]).keepings.directoriesRead == 5)
        let now = test.clock.now()
        #expect(try find([version(6, created: now + .seconds(2 * 86_400))]).keepings.directoriesRead == 0)
        // Clocks are not the same everywhere.
        #expect(try find([version(6, created: now + .seconds(3600))]).keepings.directoriesRead == 5)
        // What did not change is not read again.
        for _ in 0..<3 { try backUp((1...5).map { version($0) }) }
        #expect(try find([version(6)]).keepings.directoriesRead == 5)
    }

    @Test("make an empty vault doubtful where the newest has some, and not where it has none")
    func emptied() throws {
        func doubts() throws -> [String] {
            var keepings = try VersionKeepings(source, in: test.repository)
            try keepings.doubtEmptiness()
            return keepings.unseen.map(\.what)
        }
        #expect(try doubts() == [])
        try backUp([version(1)])
        #expect(try doubts() == ["the vault"])
        try backUp([])
        #expect(try doubts() == [])
    }

    @Test("of another key's snapshots are unseen, and those of sources that can't be told are counted")
    func others() throws {
        try backUp([version(1)])
        let writer = try test.adding(.writer, sources: ["forged", "other"], password: "another password")
        var keepings = try VersionKeepings(source, in: writer)
        #expect(keepings.unseen.map(\.why) == ["this key may not read it"] && keepings.untold == 0)
        #expect(try keepings.find([name: [version(1)]]).isEmpty)
        keepings = try VersionKeepings(VersionKeepings.Source(address: "told", name: "else"), in: writer)
        #expect(keepings.unseen.isEmpty && keepings.untold == 1)
    }
}
