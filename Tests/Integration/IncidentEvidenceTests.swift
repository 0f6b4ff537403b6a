// What becomes of the records of restores in incidents, and of the drills after them; by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("The evidence of a restore in an incident", .waiting)
struct IncidentEvidenceTests {
    private let incident: IncidentRun

    init() throws {
        incident = try IncidentRun()
        try incident.run.makeDirectory("source/inner")
        try incident.run.randomFile("source/first", 40_000, seed: 11)
        try incident.run.randomFile("source/inner/second", 5000, seed: 12)
        try incident.backUp("dir:source", as: "web")
    }

    private var state: String { incident.path + "/.local/state/holdfast/incidents" }

    private func journals() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: state).filter { $0.hasSuffix(".drill") }
    }

    /// Runs a restore whose evidence the repository does not take, since a file stands in the way.
    private func blocked(_ words: [String]) throws -> RunResult {
        _ = try incident.run.file("repository/evidence", "in the way")
        defer { unlink(incident.run.repository + "/evidence") }
        return try incident.run.start(["restore", "latest:web", "--incident"] + words).finish()
    }

    @Test(
        "that was brought in by hand, or left in a file before a crash, is not left a second time by the next restore")
    func once() throws {
        #expect(try blocked(["--to", "dir:out"]).status == 3)
        let left = state + "/" + (try #require(try journals().first))
        let kept = try Data(contentsOf: URL(fileURLWithPath: left))
        let words = ["restore", "latest:web", "--to", "dir:out", "--incident", "--evidence", "file"]
        for attempt in 1...2 {
            let next = try incident.run.start(words).finish()
            #expect(next.status == 0, "\(next.errors)")
            #expect(next.errors.contains("it has some now"), "\(attempt): \(next.errors)")
            #expect(try journals().isEmpty)
            #expect(unlink(incident.path + "/file") == 0)
            // As if the process had died before it forgot what it had left.
            try kept.write(to: URL(fileURLWithPath: left))
        }
        let added = try incident.run(
            "keys", "add", "--role", "restorer", "--attest", "--label", "other", "--new-key-file", "other.key")
        try #require(added.status == 0, "\(added.errors)")
        var other = incident.run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = incident.path + "/other.key"
        #expect(try other("evidence", "import", left).status == 0)
        let next = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident")
        #expect(next.status == 0, "\(next.errors)")
        #expect(try journals().isEmpty)
        #expect(try incident.count() == 2)
    }

    @Test("is kept in the current directory where there is no state, and the message says so")
    func noState() throws {
        try incident.run.makeDirectory(".local/state/holdfast")
        _ = try incident.run.file(".local/state/holdfast/incidents", "in the way")
        let done = try blocked(["--to", "dir:out", "--json"])
        #expect(done.status == 3, "\(done.errors)")
        let id = try #require((try done.json()["incident"] as? [String: Any])?["id"] as? String)
        let path = incident.path + "/holdfast-\(id).evidence"
        #expect(done.errors.contains("It is in \(path)"), "\(done.errors)")
        #expect(try incident.run("evidence", "import", path).status == 0)
        #expect(try incident.record()["verdict"] as? String == "passed")
    }

    @Test("has the reason whole, and the failure when it was told, however long somebody thinks")
    func words() throws {
        try reason()
        let guide = try incident.guide(["latest:web", "--to", "dir:\(incident.path)/out", "--failed-at", "1m"])
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        let told = try #require(IncidentRun.lines(guide.shown).first { $0.hasPrefix("failure   ") })
        pause(.milliseconds(2100))
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        let failedAt = try #require(try incident.record()["failedAt"] as? String)
        #expect(told.contains(failedAt.prefix(19)), "\(told) and not \(failedAt)")
    }

    /// There is room for four thousand bytes, and a longer one is refused before anything is written.
    private func reason() throws {
        let words = ["restore", "latest:web", "--to", "dir:out", "--incident", "--reason"]
        let refused = try incident.run.start(words + [String(repeating: "x", count: 4097)]).finish()
        #expect(refused.status == 64 && refused.errors.contains("--reason"), "\(refused.errors)")
        #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
        let reason = String(repeating: "x", count: 4096)
        #expect(try incident.run.start(words + [reason]).finish().status == 0)
        #expect((try incident.record()["facts"] as? [String: String])?["reason"] == reason)
    }

    // MARK: The drill after it

    /// Restores and drills into a scratch directory of its own.
    private func drilled(_ source: String, _ more: [String] = []) throws -> RunResult {
        chmod(incident.path, 0o755)
        try incident.run.makeDirectory("scratch")
        return try incident.run.start(
            [
                "restore", "latest:\(source)", "--to", "dir:out", "--incident", "--drill", "--scratch",
                incident.path + "/scratch",
            ] + more
        ).finish()
    }

    @Test("and of the drill after it is there for a source by any name, which leads nowhere else")
    func names() throws {
        try drillUnleft()
        try noScratch()
        let unnamed = try incident.run("backup", "dir:source", "--json")
        let own = try #require(try unnamed.json()["source"] as? String, "\(unnamed.output)")
        #expect(own.contains("/"), "\(own)")
        try incident.backUp("dir:source", as: "../../elsewhere")
        for name in ["../../elsewhere", own] {
            let done = try drilled(name, ["--json"])
            #expect(done.status == 0, "\(done.errors)")
            let record = try #require(try done.json()["drill"] as? [String: Any], "\(done.output)")
            #expect(record["verdict"] as? String == "passed", "\(record)")
            #expect(!FileManager.default.fileExists(atPath: incident.path + "/elsewhere"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: incident.path + "/scratch").isEmpty)
        }
    }

    /// A drill whose evidence could not be left hides nothing of the restore.
    private func drillUnleft() throws {
        chmod(incident.path, 0o755)
        try incident.run.makeDirectory("scratch")
        let done = try blocked(
            ["--to", "dir:before", "--json", "--drill", "--scratch", incident.path + "/scratch"])
        #expect(done.status == 3, "\(done.status) \(done.errors)")
        let report = try done.json()
        #expect(report["schema"] as? String == "holdfast.restore/1", "\(report)")
        #expect((report["incident"] as? [String: Any])?["verdict"] as? String == "passed")
        #expect(done.errors.contains("the drill after the restore left no evidence"), "\(done.errors)")
    }

    /// The place for scratch is looked at before anything is written.
    private func noScratch() throws {
        _ = try incident.run.file("plain", "")
        for scratch in ["nowhere", "plain"] {
            let refused = try incident.run(
                "restore", "latest:web", "--to", "dir:out", "--incident", "--drill", "--scratch", scratch)
            #expect(refused.status != 0 && refused.errors.contains("\(incident.path)/\(scratch)"), "\(refused.errors)")
            #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
            #expect(try incident.count() == 0)
        }
    }
}
