// A repository that was put back, hides something, or is of a later version, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A repository that is not as it was seen", .waiting)
struct RollbackTests {
    private func copy(_ run: ProgramRun, _ from: String, to: String) throws {
        try FileManager.default.copyItem(atPath: run.directory.path + "/" + from, toPath: run.directory.path + "/" + to)
    }

    private func replace(_ run: ProgramRun, by from: String) throws {
        try FileManager.default.removeItem(atPath: run.repository)
        try copy(run, from, to: "repository")
    }

    private func aside(_ run: ProgramRun, _ path: String) throws {
        try FileManager.default.moveItem(atPath: path, toPath: run.directory.path + "/aside")
    }

    @Test("put back to an older copy it is told by who looks, refused by who writes, and can be accepted")
    func putBack() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/a", 10_000, seed: 1)
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        try copy(run, "repository", to: "old")
        try run.randomFile("source/b", 10_000, seed: 2)
        let second = try run("backup", "dir:source", "--source", "web", "--json").json()["snapshot"] as? String
        let lost = try #require(second)
        #expect(try run("snapshots").status == 0)
        try replace(run, by: "old")

        let listed = try run("snapshots", "--json")
        #expect(listed.status == 4, "\(listed.errors)")
        #expect(listed.errors.contains("holdfast: ALARM: the store shows an older state"))
        let alarms = try #require(try listed.json()["alarms"] as? [String])
        #expect(alarms.count == 1 && alarms[0].contains(lost))
        #expect(try listed.json()["schema"] as? String == "holdfast.snapshots/1")
        let restored = try run("restore", "latest", "--to", "dir:out", "--quiet")
        #expect(restored.status == 4)
        #expect(restored.errors.contains("ALARM"))
        #expect(FileManager.default.fileExists(atPath: run.directory.path + "/out/a"))
        let checked = try run("check", "--json")
        #expect(checked.status == 4)
        #expect(try (checked.json()["alarms"] as? [String])?.count == 1)
        #expect(try run("ls", "latest").status == 4)
        for verb in [
            ["backup", "dir:source", "--source", "web"], ["prune"], ["forget", "--keep-last", "1"], ["keys", "rotate"],
        ] {
            let before = run.objects("").count
            let refused = try run.start(verb + ["--json"]).finish()
            #expect(refused.status == 4, "\(verb): \(refused.errors)")
            #expect(try refused.json()["code"] as? String == "rollback-detected")
            #expect(run.objects("").count == before, "\(verb) wrote something")
        }
        let accepted = try run("snapshots", "--accept-rollback")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(accepted.errors.contains("accepted as it is now"))
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        #expect(try run("check").status == 0)
    }

    @Test("without one object that was seen it rings", arguments: ["snapshots", "gc", "epochs", "format"])
    func hidden(_ folder: String) throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/a", 10_000, seed: 1)
        try run.makeRepository()
        for round in 0..<2 {
            try run.randomFile("source/a", 10_000, seed: UInt64(round))
            #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        }
        var path = run.repository
        switch folder {
        case "gc":
            let oldest = try #require(try run.snapshotIDs().first)
            #expect(try run("forget", oldest).status == 0)
            #expect(try run("prune", "--exclusive").status == 0)
            // Not done yet, as after a crash between the two.
            try FileManager.default.removeItem(atPath: run.repository + "/gc/1.done")
            try? FileManager.default.removeItem(atPath: run.directory.path + "/.local/state/holdfast")
            path += "/gc/1.sweep"
        case "epochs":
            #expect(try run("keys", "rotate").status == 0)
            path += "/epochs/2"
        case "format":
            try FormatForge.put(into: run.repository, password: "integration")
            path += "/format/2"
        default: path = try #require(run.objects("snapshots").max())
        }
        #expect(try run("snapshots").status == 0)
        try aside(run, path)
        let listed = try run("snapshots", "--json")
        #expect(listed.status == 4, "\(listed.errors)")
        #expect(try listed.json()["alarms"] != nil)
        let refused = try run("backup", "dir:source", "--source", "web", "--json")
        #expect(refused.status == 4)
        #expect(try refused.json()["code"] as? String == "rollback-detected")
        try FileManager.default.moveItem(atPath: run.directory.path + "/aside", toPath: path)
        #expect(try run("snapshots").status == 0)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
    }

    @Test("a forget of the newest snapshot by another host rings nowhere")
    func forgotten() throws {
        var run = ProgramRun()
        try run.makeDirectory("source")
        try run.makeRepository()
        for round in 0..<2 {
            try run.randomFile("source/a", 10_000, seed: UInt64(round))
            #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        }
        let newest = try #require(try run.snapshotIDs().last)
        run.variables["HOLDFAST_STATE_DIR"] = run.directory.path + "/other-host"
        #expect(try run("forget", newest).status == 0)
        run.variables["HOLDFAST_STATE_DIR"] = nil
        let listed = try run("snapshots")
        #expect(listed.status == 0, "\(listed.errors)")
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        #expect(try run("mirror", "--to", "copy").status == 0)
        #expect(try run("check").status == 0)
    }

    @Test("a first client knows what to expect when it is told")
    func expectedHead() throws {
        var run = ProgramRun()
        try run.makeDirectory("source")
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        try copy(run, "repository", to: "old")
        try run.randomFile("source/a", 10_000, seed: 2)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let heads = try #require(try run("check", "--json").json()["heads"] as? [[String: Any]])
        let head = try #require(heads.first)
        #expect(head["source"] as? String == "web" && head["sequence"] as? Int == 2)
        let id = try #require(head["id"] as? String)
        let listed = try run("snapshots", "--json").json()["heads"] as? [[String: Any]]
        #expect(listed?.first?["id"] as? String == id)
        run.variables["HOLDFAST_STATE_DIR"] = run.directory.path + "/first"
        #expect(try run("snapshots", "--expect-head", "web=\(id)").status == 0)
        try replace(run, by: "old")
        run.variables["HOLDFAST_STATE_DIR"] = run.directory.path + "/second"
        #expect(try run("snapshots").status == 0, "a first client cannot know")
        for verb in [["snapshots"], ["check"], ["restore", "latest", "--to", "dir:out"]] {
            let failed = try run.start(verb + ["--expect-head", "web=\(id)", "--json"]).finish()
            #expect(failed.status == 4, "\(verb): \(failed.errors)")
            #expect(try failed.json()["code"] as? String == "rollback-detected")
        }
    }

    @Test("of an unknown version or with unknown features it is refused for what they bear on, and nothing is changed")
    func unknown() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        try copy(run, "repository", to: "plain")
        let backup = ["backup", "dir:source", "--source", "web"]
        let look = ["snapshots"]
        let prune = ["prune"]
        let forget = ["forget", "--keep-last", "1"]
        let cases: [(String, [[String]], [[String]], String)] = [
            ("version", [look, backup, prune], [], "format/2 is of repository format 9, this holdfast knows format 1"),
            ("read", [look, backup, prune], [], "this repository needs features that this holdfast does not know"),
            (
                "write", [backup], [look],
                "writing to this repository needs features that this holdfast does not know"
            ),
            (
                "collect", [prune, forget], [look, backup],
                "forgetting and pruning in this repository need features that this holdfast does not know"
            ),
        ]
        for (kind, refused, allowed, message) in cases {
            try replace(run, by: "plain")
            try FormatForge.put(
                version: kind == "version" ? 9 : 1, read: kind == "read" ? 1 : 0, write: kind == "write" ? 2 : 0,
                collect: kind == "collect" ? 4 : 0, into: run.repository, password: "integration")
            let state = run.directory.path + "/.local"
            try? FileManager.default.removeItem(atPath: state)
            for verb in allowed { #expect(try run.start(verb).finish().status == 0, "\(kind): \(verb)") }
            for verb in refused {
                let snapshots = run.objects("snapshots").count
                let result = try run.start(verb + ["--json"]).finish()
                #expect(result.status == 1, "\(kind): \(verb)")
                #expect(try result.json()["code"] as? String == "unsupported-format")
                #expect(try result.json()["message"] as? String == message)
                #expect(result.errors.contains("hint: Upgrade holdfast; nothing was changed."))
                #expect(run.objects("snapshots").count == snapshots)
                #expect(run.objects("gc").isEmpty)
            }
        }
    }

    @Test(
        "a host whose clock is days behind the store's takes the latest snapshot, and forget drops none of the source")
    func clockSetBack() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.makeRepository()
        for round in 0..<3 {
            try run.randomFile("source/a", 10_000, seed: UInt64(round))
            #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        }
        let ids = try run.snapshotIDs()
        // The store says that the oldest came last, three days after its host's clock.
        let oldest = try #require(run.objects("snapshots").first { $0.hasSuffix(ids[0]) })
        var times = [timespec](repeating: timespec(tv_sec: time(nil) + 3 * 86_400, tv_nsec: 0), count: 2)
        #expect(utimensat(AT_FDCWD, oldest, &times, 0) == 0)
        let forgotten = try run("forget", "--keep-last", "1", "--json")
        #expect(forgotten.status == 3, "\(forgotten.errors)")
        #expect(try run.snapshotIDs() == ids)
        #expect(try run.restoresLatest(as: "source", into: "out"))
    }
}
