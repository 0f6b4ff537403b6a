// Restores in incidents that are broken off, not allowed, or of what is damaged; by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A restore in an incident", .waiting)
struct IncidentFaultTests {
    private static let slow = ["--limit-read", "2M", "--threads", "1"]

    /// A snapshot that takes some seconds to read at the slow rate.
    private func large() throws -> IncidentRun {
        let incident = try IncidentRun()
        try incident.run.makeDirectory("source")
        for name in 1...6 { try incident.run.randomFile("source/\(name)", 3 << 20, seed: UInt64(20 + name)) }
        let taken = try incident.run("backup", "dir:source", "--source", "web", "--compression", "none")
        try #require(taken.status == 0, "\(taken.errors)")
        return incident
    }

    /// Starts a slow restore and waits until it has written a file.
    private func under(_ incident: IncidentRun, _ more: [String] = []) throws -> StartedProgram {
        let started = try incident.run.start(
            ["restore", "latest:web", "--to", "dir:out", "--incident"] + Self.slow + more)
        let out = incident.path + "/out"
        while started.process.isRunning {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: out)) ?? []
            if !names.isEmpty { break }
            pause(.milliseconds(10))
        }
        return started
    }

    private func isAnyWhole(_ incident: IncidentRun) -> Bool {
        (1...6).contains { number in
            FileManager.default.contentsEqual(
                atPath: incident.path + "/source/\(number)", andPath: incident.path + "/out/\(number)")
        }
    }

    private func isSame(_ incident: IncidentRun) -> Bool {
        FileManager.default.contentsEqual(atPath: incident.path + "/source", andPath: incident.path + "/out")
    }

    @Test("that was killed goes on when it is run again, and both attempts have their evidence")
    func killed() throws {
        let incident = try large()
        let first = try under(incident)
        // One whole file has its name.
        while first.process.isRunning, !isAnyWhole(incident) { pause(.milliseconds(10)) }
        first.send(SIGKILL)
        #expect(try first.finish().status == SIGKILL)
        #expect(try incident.count() == 0)
        let told = try incident.run("restore", "latest:web", "--to", "dir:out", "--guide", "--dry-run")
        #expect(told.output.contains("resumes   attempt 1, of "), "\(told.output)")
        #expect(told.output.contains("was broken off in the phase fetch of web"), "\(told.output)")
        let again = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident", "--json")
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.errors.contains("left no evidence; it has some now"), "\(again.errors)")
        #expect(isSame(incident))
        let report = try again.json()
        let record = try #require(report["incident"] as? [String: Any])
        let facts = try #require(record["facts"] as? [String: String])
        #expect(facts["attempt"] == "2" && facts["firstAttempt"] != nil, "\(facts)")
        #expect(Int(facts["bytesAlreadyThere"] ?? "") ?? 0 >= 3 << 20, "\(facts)")
        #expect(try incident.count("interrupted") == 1 && incident.count("passed") == 1)
        let list = try incident.run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]] ?? []
        #expect(list.first?["id"] as? String == facts["resumes"])
        let left = try incident.run("evidence", "show", facts["resumes"] ?? "", "--json").json()
        #expect(DrillRun.findings(left).contains("ended without a word in the phase fetch of web"), "\(left)")
        #expect(try incident.run("evidence", "verify", "latest").status == 0)
        // Another restore of the same is a first attempt again.
        let third = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident", "--json").json()
        let fresh = try #require((third["incident"] as? [String: Any])?["facts"] as? [String: String])
        #expect(fresh["attempt"] == "1" && fresh["resumes"] == nil)
        #expect(Int(fresh["bytesAlreadyThere"] ?? "") ?? 0 > 0)
    }

    @Test("that is interrupted ends with 130 and leaves evidence that says so")
    func interrupted() throws {
        let incident = try large()
        let first = try under(incident, ["--detect", "5m"])
        first.send(SIGINT)
        let result = try first.finish()
        #expect(result.status == 130, "\(result.errors)")
        let record = try incident.record()
        #expect(record["verdict"] as? String == "interrupted" && record["kind"] as? String == "incident")
        #expect(DrillRun.phases(record, "web") == ["fetch", "restore"])
        #expect(record["rtoMeasuredSeconds"] == nil && record["rpoAchievedSeconds"] == nil)
        let again = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident")
        #expect(again.status == 0 && again.output.contains(", attempt 2"), "\(again.output)")
        #expect(isSame(incident))
    }

    @Test("shows phase, rate and the time that is left on a terminal, also one that is none of an incident")
    func progress() throws {
        let incident = try large()
        for more in [[], ["--incident"]] {
            let terminal = try PseudoTerminal(
                [
                    ProductBinary.path, "restore", "latest:web", "--to", "dir:\(incident.path)/out\(more.count)",
                    "--repo",
                    incident.run.repository,
                ] + Self.slow + more,
                environment: ["HOLDFAST_PASSWORD": "integration", "HOME": incident.path, "TERM": "dumb"])
            #expect(terminal.waits(for: "restoring  ["), "\(terminal.shown)")
            #expect(terminal.waits(for: "/s  "), "\(terminal.shown)")
            #expect(terminal.waits(for: " left"), "\(terminal.shown)")
            #expect(terminal.finish() == 0, "\(terminal.shown.suffix(2000))")
        }
    }

    @Test("needs the right to sign or a file, and the file can be imported")
    func rights() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let added = try incident.run.start(
            ["keys", "add", "--role", "restorer", "--label", "plain", "--new-key-file", "plain.key"]
        ).finish()
        #expect(added.status == 0, "\(added.errors)")
        var other = incident.run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = incident.path + "/plain.key"
        let words = ["restore", "latest:web", "--to", "dir:out", "--incident"]
        let refused = try other.start(words).finish()
        #expect(refused.status == 12 && refused.errors.contains("--evidence FILE"), "\(refused.errors)")
        #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
        let told = try other("restore", "latest:web", "--guide", "--dry-run")
        #expect(told.status == 0 && told.output.contains("may not sign it: add --evidence FILE"), "\(told.output)")
        let done = try other.start(words + ["--evidence", "left.evidence"]).finish()
        #expect(done.status == 0 && done.output.contains("holdfast evidence import"), "\(done.errors)")
        #expect(try incident.count() == 0)
        #expect(try other.start(words + ["--evidence", "left.evidence"]).finish().status == 64)
        let nowhere = try other.start(words + ["--evidence", "nowhere/left.evidence"]).finish()
        #expect(nowhere.status == 64 && nowhere.errors.contains("\(incident.path)/nowhere is no"), "\(nowhere.errors)")
        #expect(try incident.run("evidence", "import", "left.evidence").status == 0)
        let record = try incident.record()
        #expect(record["kind"] as? String == "incident" && record["verdict"] as? String == "passed")
        #expect((record["link"] as? [String: Any])?["origin"] as? String == "imported")
        #expect(try incident.run("evidence", "verify", "latest").status == 0)
    }

    @Test("keeps its record where it can when the repository takes none, and says where")
    func unleft() throws {
        let incident = try IncidentRun.filesAndDatabase()
        // Nothing can be put where a file stands in the way of the directory.
        _ = try incident.run.file("repository/evidence", "in the way")
        let done = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident")
        #expect(done.status == 3, "\(done.status) \(done.errors)")
        #expect(done.errors.contains("the evidence could not be left"), "\(done.errors)")
        let directory = incident.path + "/.local/state/holdfast/incidents"
        #expect(done.errors.contains("It is in \(directory)/"), "\(done.errors)")
        #expect(
            FileManager.default.contentsEqual(atPath: incident.path + "/source", andPath: incident.path + "/out"))
        unlink(incident.run.repository + "/evidence")
        let file = try #require(
            try FileManager.default.contentsOfDirectory(atPath: directory).first { $0.hasSuffix(".drill") })
        let imported = try incident.run("evidence", "import", directory + "/" + file)
        #expect(imported.status == 0, "\(imported.errors)")
        #expect(try incident.record()["verdict"] as? String == "passed")
    }

    @Test("of damaged data names the object, restores the rest, and its evidence says failed")
    func damaged() throws {
        let incident = try large()
        let pack = try #require(incident.run.objects("packs").first)
        try incident.run.flipByte(of: pack)
        let done = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident", "--json")
        #expect(done.status == 1, "\(done.errors)")
        let record = try #require(try done.json()["incident"] as? [String: Any])
        #expect(record["verdict"] as? String == "failed")
        let name = String(pack.dropFirst(incident.run.repository.count + 1))
        #expect(DrillRun.findings(record).contains(name), "\(name): \(DrillRun.findings(record))")
        #expect(try incident.count("failed") == 1)
        let told = try incident.run("restore", "latest:web", "--guide", "--dry-run")
        #expect(told.output.contains("FAILED ITS CHECKS"), "\(told.output)")
        #expect(damage(record) == "copy", "\(record)")
    }

    /// What a record says of the copy that was read.
    private func damage(_ record: [String: Any]) -> String? {
        let member = (record["members"] as? [[String: Any]])?.first
        return (member?["facts"] as? [String: String])?["damage"]
    }

    @Test("tells with --dry-run what the guide tells, and does not pass where a mistyped pattern took nothing")
    func dryRun() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let words = ["restore", "latest:web", "--to", "dir:out", "--failed-at", "2099-01-01T00:00:00Z"]
        let dry = try incident.run.start(words + ["--dry-run", "--incident"]).finish()
        let guide = try incident.run.start(words + ["--dry-run", "--guide"]).finish()
        #expect(dry.status == 0 && guide.status == 0, "\(dry.errors)")
        // The rate of a moment is the only figure that may differ.
        func told(_ text: String) -> [String] {
            IncidentRun.lines(text).filter { !$0.hasPrefix("transfer  about") }
        }
        #expect(told(dry.output) == told(guide.output), "\(dry.output)")
        let report = try incident.run.start(words + ["--dry-run", "--incident", "--json"]).finish().json()
        #expect(report["failedAt"] as? String == "2099-01-01T00:00:00Z", "\(report)")
        #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
        let done = try incident.run.start(words + ["--incident", "--include", "/frist"]).finish()
        #expect(done.status == 4 && done.errors.contains("--include"), "\(done.errors)")
        #expect(try incident.record()["verdict"] as? String == "failed")
        #expect(try incident.run.start(words + ["--incident", "--include", "/first"]).finish().status == 0)
    }

    @Test("of a partial snapshot is marked before, and fails its check after")
    func partial() throws {
        let incident = try IncidentRun.filesAndDatabase()
        symlink("/nowhere", incident.path + "/source/dangling")
        try incident.run.makeDirectory("source/closed")
        _ = try incident.run.file("source/closed/file", "x")
        // A directory that cannot be read, for root as well: its name does not fit into a path.
        let partial = try partialSnapshot(incident)
        guard partial else { return }
        let told = try incident.run("restore", "latest:web", "--to", "dir:out", "--guide", "--dry-run")
        #expect(told.output.contains("PARTIAL: 1 paths could not be read"), "\(told.output)")
        #expect(told.output.contains("the better one is"), "\(told.output)")
        let done = try incident.run("restore", "latest:web", "--to", "dir:out", "--incident", "--json")
        #expect(done.status == 4, "\(done.errors)")
        let record = try #require(try done.json()["incident"] as? [String: Any])
        #expect(DrillRun.verdicts(record)["web/snapshot"] == "failed" && record["verdict"] as? String == "failed")
        #expect(damage(record) == "content", "\(record)")
    }

    /// Takes a snapshot of `source` in which one path could not be read; false where everything can be.
    private func partialSnapshot(_ incident: IncidentRun) throws -> Bool {
        chmod(incident.path + "/source/closed", 0)
        defer { chmod(incident.path + "/source/closed", 0o755) }
        var run = incident.run
        if geteuid() == 0 {
            // Without the right to read everything.
            run.wrapper = ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
        }
        return try run("backup", "dir:source", "--source", "web").status == 3
    }
}
