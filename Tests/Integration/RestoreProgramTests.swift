// Backup and restore through the built program.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("The program restores", .waiting)
struct RestoreProgramTests {
    @Test("what was backed up is listed, found, compared, dumped and restored")
    func roundTrip() throws {
        let run = ProgramRun()
        let source = run.directory.path + "/source"
        try FileManager.default.createDirectory(atPath: source + "/sub", withIntermediateDirectories: true)
        _ = try run.file("source/a", "first")
        _ = try run.file("source/sub/b", "second")
        try run.makeRepository()
        #expect(try run("backup", "dir:source").status == 0)
        let old = try #require(try run("snapshots", "--json").json()["snapshots"] as? [[String: Any]])
        let first = try #require(old.first?["id"] as? String)
        _ = try run.file("source/c", "third")
        #expect(try run("backup", "dir:source").status == 0)
        #expect(try run("ls", "latest", "--recursive").output == "a\nc\nsub/\nsub/b\n")
        let found = try run("find", "b", "--json").json()
        #expect((found["paths"] as? [[String: Any]])?.count == 1)
        let diff = try run("diff", first, "latest", "--json").json()
        #expect((diff["changes"] as? [[String: Any]])?.map { $0["path"] as? String } == ["c"])
        #expect(try run("dump", "latest", "sub/b").output == "second")
        let plan = try run("restore", "latest", "--to", "dir:out", "--dry-run", "--json").json()
        #expect(plan["schema"] as? String == "holdfast.restore-plan/1")
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/out"))
        let restored = try run("restore", "latest", "--to", "dir:out", "--json").json()
        #expect(restored["schema"] as? String == "holdfast.restore/1")
        #expect(restored["isComplete"] as? Bool == true)
        let path = run.directory.path + "/out/sub/b"
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "second")
        #expect(try run("restore", "latest", "--to", "out").status == 64)
        #expect(try run("ls", "latest", "none").status == 1)
    }

    @Test("snapshots are listed in the order of their sources' names")
    func order() throws {
        let run = ProgramRun()
        try run.makeRepository()
        for name in ["f", "a", "d", "b", "e", "c"] {
            #expect(try run("backup", "stdin:x", "--source", name, "--", "echo", name).status == 0)
        }
        let listed = try #require(try run("snapshots", "--json").json()["snapshots"] as? [[String: Any]])
        #expect(listed.map { $0["source"] as? String } == ["a", "b", "c", "d", "e", "f"])
    }

    @Test("a source without a scheme and an exclude file that is missing are usage, with a hint that helps")
    func mistakes() throws {
        let run = ProgramRun()
        try run.makeRepository()
        let source = try run("backup", "/srv/data")
        #expect(source.status == 64)
        #expect(source.errors.contains("For a directory write dir:/srv/data."), "\(source.errors)")
        let excludes = try run("backup", "dir:.", "--exclude-file", "none")
        #expect(excludes.status == 64)
        #expect(excludes.errors.contains("hint: Check the path of the file"), "\(excludes.errors)")
    }
}
