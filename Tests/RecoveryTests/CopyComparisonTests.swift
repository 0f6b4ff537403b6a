// A restored copy held against its snapshot, whatever was changed in it.

import Primitives
import Repository
import TestSupport
import Testing

@testable import Recovery
@testable import Workloads

@Suite("The comparison of a copy with its snapshot")
struct CopyComparisonTests {
    /// What is named after `change` was done to a copy of `tree`.
    private func differing(
        _ tree: SourceTree, _ change: String, isAlone: Bool, filter: PathFilter = PathFilter()
    ) throws -> [String] {
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let target = TemporaryDirectory()
        #expect(try restore(test.repository, snapshot, to: target.path + "/out").isComplete)
        #expect(shell(change, in: target.path + "/out") == 0)
        let session = try RestoreSession(test.repository) { (_) throws(HoldfastError) in snapshot }
        defer { session.close() }
        let comparison = try CopyComparison(session, isAlone: isAlone, cancellation: Cancellation())
        try comparison.run(
            target.path + "/out", SnapshotLayout(try snapshot.readableRecord().roots), filter: filter)
        return comparison.named
    }

    @Test(
        "finds what points elsewhere, and what is too many where nothing else may be",
        arguments: [
            ("true", "", true), ("rm sub/link && ln -s b sub/link", "sub/link", true),
            ("rm sub/link && ln -s a/ sub/link", "sub/link", false),
            ("rm sub/link && ln -s '' sub/link || true", "sub/link", true),
            ("echo x > sub/deep/more", "sub/deep/more", true), ("echo x > more", "more", true),
            ("mkdir sub/.more", "sub/.more", true), ("echo x > sub/deep/more", "", false),
        ])
    func changes(change: String, found: String, isAlone: Bool) throws {
        let tree = SourceTree()
        #expect(shell("mkdir -p sub/deep && echo a > sub/a && ln -s a sub/link", in: tree.directory.path) == 0)
        let named = try differing(tree, change, isAlone: isAlone)
        #expect(named.count == (found.isEmpty ? 0 : 1) && (named.first ?? "").hasPrefix(found), "\(named)")
    }

    @Test(
        "of a cluster goes for the files that the server's manifest says nothing of, and for no others",
        arguments: [
            ("true", ""), (": > postgresql.auto.conf", "postgresql.auto.conf"), ("rm backup_label", "backup_label"),
            ("echo x >> backup_manifest", "backup_manifest"), (": > PG_VERSION", ""),
        ])
    func cluster(change: String, found: String) throws {
        let tree = SourceTree()
        let names = ["postgresql.auto.conf", "backup_label", "backup_manifest", "PG_VERSION"]
        for name in names { try tree.write(name, Array("content".utf8)) }
        let filter = try PathFilter(include: SystemDrill.filesOfCluster.map { Array($0.utf8) }, exclude: [])
        let named = try differing(tree, change, isAlone: true, filter: filter)
        #expect(named.count == (found.isEmpty ? 0 : 1) && (named.first ?? "").hasPrefix(found), "\(named)")
    }
}
