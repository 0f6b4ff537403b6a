// Plans of drills, the choice of points, and what is broken on purpose: without a restore.

import Foundation
import Glibc
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

@testable import Recovery

@Suite("A plan of a drill")
struct DrillPlanTests {
    private func plan(_ systems: [(String, [String])]) -> DrillPlan {
        DrillPlan(
            name: "test",
            systems: systems.map { name, after in
                var system = DrillSystem(name: name, source: name, point: .latest)
                system.after = after
                return system
            })
    }

    @Test("is carried out in an order in which each system comes after those that it waits for")
    func order() throws {
        let plan = plan([("app", ["database", "vault"]), ("database", ["vault"]), ("mail", []), ("vault", [])])
        let names = try plan.ordered().map(\.name)
        #expect(Set(names) == ["app", "database", "mail", "vault"])
        let place = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        for system in plan.systems {
            for before in system.after {
                #expect(try #require(place[before]) < #require(place[system.name]), "\(names)")
            }
        }
    }

    @Test("without systems, with a ring, with a stranger or with a name twice is refused")
    func refused() throws {
        for systems in [
            [], [("a", ["b"]), ("b", ["c"]), ("c", ["a"])], [("a", ["nobody"])], [("a", []), ("a", [])],
        ] as [[(String, [String])]] {
            let error = #expect(throws: HoldfastError.self, "\(systems)") { _ = try plan(systems).ordered() }
            #expect(error?.code == .usage)
        }
        var stranger = plan([("a", [])])
        stranger.checks = [
            DrillCheck(
                name: "same",
                .reconciliation(
                    left: CopyQuestion("SELECT 1"), leftSystem: "a", right: CopyQuestion("SELECT 1"), rightSystem: "b",
                    tolerance: 0))
        ]
        #expect(throws: HoldfastError.self) { _ = try stranger.ordered() }
    }

    @Test("has a digest that changes with whatever it says")
    func digest() throws {
        let plain = plan([("a", []), ("b", ["a"])])
        var changed = [plain, plain, plain, plain, plain, plain]
        changed[0].systems[1].after = []
        changed[1].systems[0].point = .oldest
        changed[2].limits.disk = .mebi(1)
        changed[3].declared[.detect] = .seconds(1)
        changed[4].rto = .seconds(1)
        changed[5].systems[0].checks = [DrillCheck(name: "c", .sql(CopyQuestion("SELECT 1"), .text("1")))]
        #expect(Set(changed.map(\.digest) + [plain.digest]).count == 7)
        #expect(plan([("a", []), ("b", ["a"])]).digest == plain.digest)
    }

    @Test("names points by a word or a time with its zone")
    func points() {
        #expect(PointChoice("latest") == .latest && PointChoice("oldest") == .oldest)
        #expect(PointChoice("worst-replay") == .worstReplay && PointChoice("random") == .arbitrary)
        #expect(PointChoice("2026-11-24T13:00:00Z") == .time(Timestamp(seconds: 1_795_525_200)))
        #expect(PointChoice("yesterday") == nil && PointChoice("2026-11-24T13:00:00") == nil)
    }

    // MARK: Points

    /// Snapshots of the source `a`, an hour apart, and one of another source.
    private func listing(logs: [UInt64]) throws -> (SnapshotListing, TestRepository) {
        let test = try TestRepository()
        let tag = try test.repository.tag(ofSource: "a")
        var listing = SnapshotListing()
        for (number, log) in logs.enumerated() {
            let start = Timestamp(seconds: Int64(number) * 3600)
            var record = SnapshotRecord(
                source: "a", workload: "postgres", host: "h", toolVersion: "0",
                runID: try ULID(at: start, entropy: SystemEntropy()), started: start)
            record.facts["startPosition"] = "0/10"
            record.facts["stopPosition"] = PostgresPosition(bytes: 16 + log).description
            listing.snapshots.append(
                Snapshot(
                    tag: tag, id: SnapshotID(try ULID(at: start, entropy: SystemEntropy()).bytes),
                    sequence: UInt64(number), digest: Bytes32(), previousDigest: Bytes32(), epoch: 1,
                    slot: test.repository.keyring.slot, runs: [], stored: start, record: record))
        }
        return (listing, test)
    }

    @Test("finds the latest, the oldest, the one with most log, and the newest before a time")
    func selection() throws {
        let (listing, test) = try listing(logs: [5, 900, 7, 900, 30])
        let selection = try PointSelection("a", in: listing, test.repository)
        func chosen(_ choice: PointChoice) throws -> UInt64 {
            try selection.choose(choice, SystemEntropy()).sequence
        }
        #expect(try chosen(.latest) == 4)
        #expect(try chosen(.oldest) == 0)
        #expect(try chosen(.worstReplay) == 3)
        #expect(try chosen(.time(Timestamp(seconds: 2 * 3600))) == 2)
        #expect(try chosen(.time(Timestamp(seconds: 2 * 3600 + 1))) == 2)
        #expect(throws: HoldfastError.self) { _ = try chosen(.time(Timestamp(seconds: -1))) }
        var random: Set<UInt64> = []
        for _ in 0..<200 { random.insert(try chosen(.arbitrary)) }
        #expect(random == [0, 1, 2, 3, 4])
        #expect(selection.before(listing.snapshots[3])?.sequence == 2 && selection.before(listing.snapshots[0]) == nil)
    }

    @Test("does not choose beside a damaged snapshot of the source, and names it")
    func damaged() throws {
        var (listing, test) = try listing(logs: [5])
        let tag = try test.repository.tag(ofSource: "a")
        let key = ObjectNames.snapshot(tag, SnapshotID(Bytes16()))
        listing.damaged.append((key, HoldfastError(.corruptObject, "torn")))
        let error = #expect(throws: HoldfastError.self) { _ = try PointSelection("a", in: listing, test.repository) }
        #expect(error?.code == .corruptObject && error?.message.contains(key.path) == true)
        #expect(throws: HoldfastError.self) { _ = try PointSelection("b", in: SnapshotListing(), test.repository) }
    }

    // MARK: Checks

    @Test("reads beats as databases print them")
    func beats() {
        let instant = Timestamp(seconds: 1_795_525_200, nanoseconds: 250_000_000)
        for text in [
            "2026-11-24 13:00:00.25+00", "2026-11-24 13:00:00.25", "2026-11-24T13:00:00.25Z",
            "2026-11-24 14:00:00.25+01", "1795525200.25", "1795525200250",
        ] {
            #expect(Heartbeat.instant(text) == instant, "\(text)")
        }
        #expect(Heartbeat.instant("") == nil && Heartbeat.instant("soon") == nil)
        #expect(Heartbeat.instant("1e300") == nil && Heartbeat.instant("nan") == nil)
    }

    @Test("takes numbers within the tolerance for the same, and nothing else")
    func tolerance() {
        #expect(PlanCheck.agree("12.5", "12.50", 0))
        #expect(PlanCheck.agree("100", "101", 1) && !PlanCheck.agree("100", "101.5", 1))
        #expect(PlanCheck.agree("a|b", "a|b", 0) && !PlanCheck.agree("a|b", "a|c", 5))
        #expect(!PlanCheck.agree("nan", "1", 5))
    }

    // MARK: Swaps

    @Test("swaps two rows of a heap page and of a SQLite page, and leaves all else")
    func swaps() throws {
        let directory = TemporaryDirectory()
        let database = directory.path + "/a.db"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "sqlite3", database, "CREATE TABLE t(k INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1,'aa'),(2,'bb');",
        ]
        try process.run()
        process.waitUntilExit()
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: database)))
        let before = bytes
        let size = try #require(RowSwap.pageSize(ofSQLite: database))
        #expect(RowSwap.inSQLite(&bytes, pageSize: size, isFirst: true))
        #expect(bytes != before && bytes.sorted() == before.sorted())
        var lines = Array("same\nsame\nother\nanother\nthese\n".utf8)
        #expect(RowSwap.lines(&lines))
        #expect(String(decoding: lines, as: UTF8.self) == "same\nsame\nthese\nanother\nother\n")
        var equal = [UInt8](repeating: 7, count: 4096)
        #expect(!RowSwap.lines(&equal) && !RowSwap.stretches(&equal) && !RowSwap.inHeap(&equal))
        for count in 0..<200 {
            var short = [UInt8](repeating: UInt8(count), count: count)
            #expect(!RowSwap.stretches(&short) && !RowSwap.inSQLite(&short, pageSize: 512, isFirst: true))
        }
    }

    // MARK: Scratch

    @Test("removes a tree with directories that let nobody in, and follows no link")
    func removal() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        let outside = directory.path + "/outside"
        for path in [outside, tree, tree + "/a", tree + "/a/b"] { #expect(mkdir(path, 0o700) == 0) }
        for path in [outside + "/kept", tree + "/a/b/c"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: path))
        }
        #expect(symlink(outside, tree + "/a/link") == 0)
        #expect(ScratchTree.size(of: tree) >= 4096)
        chmod(tree + "/a/b", 0)
        chmod(tree + "/a", 0o500)
        try ScratchTree.remove(tree)
        #expect(access(tree, F_OK) != 0 && access(outside + "/kept", F_OK) == 0)
        try ScratchTree.remove(tree)
    }

    @Test("removes directories of drills whose processes are gone, and no others")
    func leftovers() throws {
        let directory = TemporaryDirectory()
        let id = try ULID(at: SystemClock().now(), entropy: SystemEntropy())
        let live = try DrillScratch(id, in: directory.path)
        let left = directory.path + "/" + DrillScratch.prefix + "left"
        #expect(mkdir(left, 0o700) == 0 && mkdir(directory.path + "/other", 0o700) == 0)
        try Data().write(to: URL(fileURLWithPath: left + "/owner"))
        try Data().write(to: URL(fileURLWithPath: left + "/data"))
        #expect(DrillScratch.removeLeftovers(in: directory.path).removed == [left])
        #expect(access(left, F_OK) != 0 && access(live.path, F_OK) == 0)
        #expect(access(directory.path + "/other", F_OK) == 0)
        try live.remove()
    }
}
