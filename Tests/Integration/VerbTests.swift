// Every verb on a repository that is whole, damaged or copied, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("Verbs", .waiting)
struct VerbTests {
    /// A repository with one snapshot of `source`, which holds two files of random bytes.
    private func prepared() throws -> ProgramRun {
        let run = ProgramRun()
        try run.makeDirectory("source/sub")
        try run.randomFile("source/first", 300_000, seed: 1)
        try run.randomFile("source/sub/second", 200_000, seed: 2)
        try run.makeRepository()
        let backup = try run("backup", "dir:source", "--source", "web")
        try #require(backup.status == 0, "\(backup.errors)")
        return run
    }

    @Test("check is clean, finds a turned bit with what it hurts, and is clean again after a repair and a backup")
    func flippedByte() throws {
        let run = try prepared()
        let clean = try run("check", "--read-data", "--json")
        #expect(clean.status == 0, "\(clean.output)")
        #expect(try clean.json()["errors"] as? Int == 0)
        let pack = try #require(run.objects("packs").first)
        let name = try #require(pack.split(separator: "/").last.map(String.init))
        try run.flipByte(of: pack)
        let checked = try run("check", "--read-data", "--json")
        #expect(checked.status == 4)
        let findings = try #require(try checked.json()["findings"] as? [[String: Any]])
        #expect(findings.contains { ($0["object"] as? String)?.contains(name) == true })
        let paths = findings.flatMap { $0["paths"] as? [[String: Any]] ?? [] }.compactMap { $0["path"] as? String }
        let whole = ["first", "sub/second"].map { run.directory.path + "/source/" + $0 }
        #expect(!paths.isEmpty && Set(paths).isSubset(of: whole), "\(paths)")
        var keyless = run
        keyless.password = nil
        #expect(try keyless("check", "--keyless", "--json").status == 4)
        let restored = try run("restore", "latest", "--to", "dir:hurt", "--json")
        #expect(restored.status == 1)
        #expect(try restored.json()["isComplete"] as? Bool == false)
        let dumped = try run("dump", "latest", paths.contains(whole[0]) ? "first" : "sub/second")
        #expect(dumped.status == 1)
        #expect(try run("repair", "index", "--read-data", "--json").json()["packsSetAside"] as? [String] == [name])
        #expect(try run("check", "--json").status == 4)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let healed = try run("check", "--read-data", "--json")
        #expect(healed.status == 0, "\(healed.output)")
        #expect(try run.restoresLatest(as: "source", into: "healed"))
    }

    @Test("repair index gives back what was deleted below index/")
    func lostIndex() throws {
        let run = try prepared()
        for path in run.objects("index") { try FileManager.default.removeItem(atPath: path) }
        #expect(try run("check", "--json").status == 4)
        let plan = try run("repair", "index", "--dry-run", "--json")
        #expect(try plan.json()["isNeeded"] as? Bool == true)
        #expect(run.objects("index").isEmpty)
        let repaired = try run("repair", "index", "--json")
        #expect(repaired.status == 0, "\(repaired.errors)")
        #expect(try run("check", "--read-data").status == 0)
        #expect(try run.restoresLatest(as: "source", into: "out"))
        let again = try run("backup", "dir:source", "--source", "web", "--reread", "--json").json()
        #expect(again["bytesNew"] as? Int == 0)
    }

    @Test("a mirror is made without a key and opens with the same password")
    func mirror() throws {
        let run = try prepared()
        var keyless = run
        keyless.password = nil
        let planned = try keyless("mirror", "--to", "copy", "--dry-run", "--json")
        #expect(planned.status == 0, "\(planned.errors)")
        _ = try planned.json()
        #expect(run.objects("snapshots", in: run.directory.path + "/copy").isEmpty)
        let made = try keyless("mirror", "--to", "copy", "--json")
        #expect(made.status == 0, "\(made.errors)")
        _ = try made.json()
        var copy = run
        copy.variables["HOLDFAST_REPO"] = run.directory.path + "/copy"
        #expect(try copy("check", "--read-data").status == 0)
        #expect(try copy.restoresLatest(as: "source", into: "out"))
        #expect(try copy.snapshotIDs() == run.snapshotIDs())
    }

    @Test("forget drops by rules and never the last, and an exclusive prune frees what is left")
    func forgetting() throws {
        let run = try prepared()
        let lone = try #require(try run.snapshotIDs().first)
        #expect(try run("forget", lone).status == 64)
        try run.randomFile("source/first", 300_000, seed: 3)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let plan = try run("forget", "--keep-last", "1", "--dry-run", "--json")
        #expect(plan.status == 0)
        _ = try plan.json()
        #expect(try run.snapshotIDs().count == 2)
        #expect(try run("forget", lone, "--hold", "--reason", "audit").status == 0)
        #expect(try run("forget", "--keep-last", "1", "--json").status == 0)
        #expect(try run.snapshotIDs().count == 2)
        #expect(try run("forget", lone, "--release").status == 0)
        let dropped = try run("forget", "--keep-last", "1", "--prune", "--json")
        #expect(dropped.status == 0, "\(dropped.errors)")
        let prune = try #require(try dropped.json()["prune"] as? [String: Any])
        #expect(prune["condemnedPacks"] as? Int ?? 0 > 0)
        #expect(try run.snapshotIDs().count == 1)
        let before = run.objects("packs").count
        let freed = try run("prune", "--exclusive", "--json")
        #expect(freed.status == 0, "\(freed.errors)")
        #expect(try freed.json()["deletedPacks"] as? Int ?? 0 > 0)
        #expect(run.objects("packs").count < before)
        #expect(try run("check", "--read-data").status == 0)
        #expect(try run.restoresLatest(as: "source", into: "out"))
    }

    @Test("names that are not UTF-8 pass through backup, ls, find, diff and restore unharmed")
    func strangeNames() throws {
        let run = try prepared()
        let name: [CChar] = Array((run.directory.path + "/source/s").utf8CString.dropLast()) + [-1, 10, 0]
        let file = open(name, O_WRONLY | O_CREAT, 0o600)
        try #require(file >= 0)
        #expect(write(file, "x", 1) == 1)
        close(file)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let bytes = Data([0x73, 0xFF, 0x0A]).base64EncodedString()
        func names(_ result: RunResult, _ key: String) throws -> [String] {
            let list = try #require(try result.json()[key] as? [[String: Any]])
            return list.compactMap { $0["pathBytes"] as? String }
        }
        #expect(try names(try run("ls", "latest", "--recursive", "--json"), "entries") == [bytes])
        #expect(try names(try run("find", "s?*", "--json"), "paths") == [bytes])
        let first = try #require(try run.snapshotIDs().first)
        #expect(try names(try run("diff", first, "latest", "--json"), "changes") == [bytes])
        for verb in [["ls", "latest"], ["find", "s?*"], ["diff", first, "latest"]] {
            let text = try run.start(verb).finish().output
            #expect(!text.contains("\u{FFFD}") && text.contains("s\\xFF\\x0A"), "\(verb): \(text)")
        }
        #expect(try run("restore", "latest", "--to", "dir:out").status == 0)
        let copy: [CChar] = Array((run.directory.path + "/out/s").utf8CString.dropLast()) + [-1, 10, 0]
        #expect(access(copy, R_OK) == 0)
    }

    @Test("a dump into a file replaces it whole, leaves it alone when it fails, and a directory comes as a tar")
    func dumping() throws {
        let run = try prepared()
        let target = try run.file("dumped", "old")
        let failed = try run("dump", "latest", "absent", "--output", "dumped", "--json")
        #expect(failed.status == 1)
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "old")
        let made = try run("dump", "latest", "first", "--output", "dumped", "--json")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try made.json()["bytes"] as? Int == 300_000)
        #expect(FileManager.default.contentsEqual(atPath: target, andPath: run.directory.path + "/source/first"))
        #expect(try run("dump", "latest", "sub", "--output", "sub.tar").status == 0)
        let archive = try Data(contentsOf: URL(fileURLWithPath: run.directory.path + "/sub.tar"))
        #expect(archive.dropFirst(257).prefix(5) == Data("ustar".utf8))
        let names = try FileManager.default.contentsOfDirectory(atPath: run.directory.path)
        #expect(!names.contains { $0.hasSuffix(".part") }, "\(names)")
    }

    @Test("a quiet verb says nothing on standard error, and an unreadable source makes the status 3")
    func quietAndPartial() throws {
        let run = try prepared()
        let quiet = try run("backup", "dir:source", "--quiet")
        #expect(quiet.status == 0)
        #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        let partial = try run("backup", "dir:source", "dir:absent", "--source", "two", "--json")
        #expect(partial.status == 3)
        #expect(try partial.json()["isPartial"] as? Bool == true)
        #expect(partial.errors.contains("absent"))
        let planned = try run("backup", "dir:source", "dir:absent", "--dry-run", "--json")
        #expect(planned.status == 3)
        #expect(try planned.json()["snapshot"] == nil)
        #expect(try run("backup", "dir:absent").status == 1)
    }
}
