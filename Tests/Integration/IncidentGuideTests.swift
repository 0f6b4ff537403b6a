// `restore --guide` on a terminal, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("The guide through a restore", .waiting)
struct IncidentGuideTests {
    @Test("asks which source, which instant and where to, tells what is lost, and goes on yes")
    func walk() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let guide = try incident.guide(["--failed-at", "2099-01-01T00:00:00Z", "--reason", "ticket 4711"])
        #expect(guide.waits(for: "Which source"), "\(guide.shown)")
        #expect(guide.shown.contains("BACK TO") && guide.shown.contains("LAST DRILL"), "\(guide.shown)")
        guide.type("nonsense\n")
        #expect(guide.waits(for: "is none of what was asked for"))
        guide.type("web\n")
        #expect(guide.waits(for: "Back to which"), "\(guide.shown)")
        #expect(guide.shown.contains("whole, never tried"), "\(guide.shown)")
        guide.type("\n")
        #expect(guide.waits(for: "Restore into what, such as dir:/PATH? "))
        guide.type("dir:\(incident.path)/out\n")
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        let told = guide.shown
        #expect(told.contains("of work: what changed from then until 2099-01-01T00:00:00Z"), "\(told)")
        #expect(told.contains("expected  unknown: no drill of web has passed yet"), "\(told)")
        #expect(told.contains("evidence  goes to the repository, signed by this key"))
        #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        #expect(guide.shown.contains("incident  passed, record"), "\(guide.shown)")
        #expect(
            FileManager.default.contentsEqual(
                atPath: incident.path + "/source", andPath: incident.path + "/out"))
        let record = try incident.record()
        #expect(record["kind"] as? String == "incident" && record["verdict"] as? String == "passed")
        let facts = try #require(record["facts"] as? [String: String])
        #expect(facts["reason"] == "ticket 4711" && facts["failedAt"] == "given" && facts["attempt"] == "1")
        #expect(record["failedAt"] as? String == "2099-01-01T00:00:00Z")
        #expect(record["rpoAchievedSeconds"] as? Double ?? 0 > 1e9)
        #expect(DrillRun.phases(record, "web") == ["fetch", "restore", "validate"])
        #expect(DrillRun.verdicts(record)["web/contents"] == "passed", "\(DrillRun.verdicts(record))")
        let verified = try incident.run("evidence", "verify", "latest")
        #expect(verified.status == 0, "\(verified.errors)")
        // It is proven now, and the guide knows.
        let again = try incident.run("restore", "latest:web", "--guide", "--dry-run")
        #expect(again.output.contains("whole, proven 20"), "\(again.output)")
    }

    @Test("puts a SQLite database into place after it was looked through, and reads it back")
    func database() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let guide = try incident.guide([])
        #expect(guide.waits(for: "Which source"))
        guide.type("1\n")
        #expect(guide.waits(for: "Back to which"))
        guide.type("1\n")
        #expect(guide.waits(for: "sqlite:/PATH/TO/NEW.db? "), "\(guide.shown)")
        guide.type("sqlite:\(incident.path)/new.db\n")
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        #expect(!guide.shown.contains("REPLACED"), "\(guide.shown)")
        #expect(try incident.run.sqlite("new.db", "SELECT sum(balance) FROM account;") == "4501500\n")
        let again = try incident.run(
            "restore", "latest:app", "--to", "sqlite:\(incident.path)/new.db", "--guide", "--dry-run")
        #expect(again.output.contains("REPLACED  \(incident.path)/new.db, which stands there: "), "\(again.output)")
        let verdicts = DrillRun.verdicts(try incident.record())
        for check in ["contents", "integrity_check", "rows", "schema", "file"] {
            #expect(verdicts["app/\(check)"] == "passed", "\(check): \(verdicts)")
        }
    }

    @Test("tells in a dry run, without a terminal, what it tells on one, and writes nothing")
    func dryRun() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let at = "2099-01-01T00:00:00Z"
        let words = ["latest:web", "--to", "dir:\(incident.path)/out", "--failed-at", at]
        let dry = try incident.run.start(["restore", "--guide", "--dry-run"] + words).finish()
        #expect(dry.status == 0, "\(dry.errors)")
        let guide = try incident.guide(words)
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        guide.type("no\n")
        #expect(guide.finish() == 1)
        #expect(guide.shown.contains("declined: nothing was written"))
        // The rate of a moment is the only figure that may differ.
        func told(_ text: String) -> [String] {
            IncidentRun.lines(text).filter { !$0.isEmpty && !$0.hasPrefix("transfer  about") }
        }
        let due = told(dry.output).filter { $0 != "dry run: nothing was written" }
        #expect(due.count > 12)
        let shown = told(guide.shown).prefix { !$0.hasPrefix("Restore now?") }.filter { !$0.hasPrefix("planning") }
        #expect(Array(shown) == due, "\(guide.shown)")
        #expect(try incident.count() == 0)
        #expect(!FileManager.default.fileExists(atPath: incident.path + "/out"))
        let state = incident.path + "/.local/state/holdfast/incidents"
        #expect(!FileManager.default.fileExists(atPath: state))
        // Without a name it tells the sources, and what is missing.
        let all = try incident.run("restore", "--guide", "--dry-run")
        #expect(all.status == 0 && all.output.contains("Name one of them"), "\(all.output)")
        let report = try incident.run("restore", "latest:app", "--guide", "--dry-run", "--json").json()
        #expect(report["schema"] as? String == "holdfast.restore-guide/1")
        let choice = try #require(report["choice"] as? [String: Any])
        let expected = try #require(choice["expected"] as? [String: Any])
        #expect(expected["seconds"] == nil && expected["confidence"] as? String == "insufficient")
        #expect(choice["target"] == nil && choice["source"] as? String == "app")
    }

    @Test("needs a terminal to ask on, and says what to do without one")
    func noTerminal() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let refused = try incident.run("restore", "--guide")
        #expect(refused.status == 64)
        #expect(refused.errors.contains("no terminal to ask on") && refused.errors.contains("--dry-run"))
        #expect(try incident.run("restore", "--guide", "--json").status == 64)
        #expect(try incident.run("restore", "latest:web", "--to", "dir:out", "--reason", "x").status == 64)
        #expect(try incident.run("restore", "latest:web").status == 64)
    }

    @Test("works on a bare machine: no home, no configuration, no state, a place and a key")
    func bare() throws {
        let incident = try IncidentRun.filesAndDatabase()
        for home in [nil, incident.path + "/nothing"] {
            if let home { try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true) }
            let target = incident.path + "/bare\(home == nil ? 1 : 2)"
            let guide = try incident.guide(["latest:web", "--to", "dir:\(target)"], home: home)
            #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
            guide.type("yes\n")
            #expect(guide.finish() == 0, "\(guide.shown)")
            #expect(FileManager.default.contentsEqual(atPath: incident.path + "/source", andPath: target))
        }
        #expect(try incident.count("passed") == 2)
    }

    @Test("tells drills for what they are: none, measured on this hardware, and never an invented figure")
    func expectation() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let scratch = incident.path + "/scratch"
        try incident.run.makeDirectory("scratch")
        chmod(incident.path, 0o755)
        let words = ["restore", "latest:web", "--to", "dir:\(incident.path)/out", "--guide", "--dry-run"]
        #expect(try incident.run.start(words).finish().output.contains("unknown: no drill of web"))
        #expect(try incident.run("drill", "web", "--scratch", scratch).status == 0)
        let measured = try incident.run.start(words).finish()
        #expect(measured.output.contains("s, measured: the last drill of as much"), "\(measured.output)")
        // More than any drill tried: nothing is measured, and one size is no line.
        try incident.run.randomFile("source/more", 900_000, seed: 13)
        try incident.backUp("dir:source", as: "web")
        let larger = try incident.run.start(words).finish()
        #expect(larger.output.contains("expected  unknown: 1 drills on this class of hardware"), "\(larger.output)")
        for seed in [14, 15] as [UInt64] {
            #expect(try incident.run("drill", "web", "--scratch", scratch).status == 0)
            try incident.run.randomFile("source/more\(seed)", 900_000, seed: seed)
            try incident.backUp("dir:source", as: "web")
        }
        let extrapolated = try incident.run.start(words).finish()
        #expect(extrapolated.output.contains("extrapolated from 3 drills, 1."), "\(extrapolated.output)")
        #expect(extrapolated.output.contains("confidence "), "\(extrapolated.output)")
    }

    @Test("offers what was taken before the failure, and marks what was taken after")
    func beforeTheFailure() throws {
        let incident = try IncidentRun.filesAndDatabase()
        let listed = try incident.run("snapshots", "--source", "app", "--json").json()
        let list = try #require(listed["snapshots"] as? [[String: Any]])
        let first = try #require(list.first?["id"] as? String)
        let instant = try #require(
            ISO8601DateFormatter().date(from: list.first?["consistentAsOf"] as? String ?? ""))
        // Instants are shown in whole seconds.
        let asOf = ISO8601DateFormatter().string(from: instant.addingTimeInterval(1))
        pause(.milliseconds(1100))
        try incident.run.sqlite("app.db", "DELETE FROM account;")
        try incident.backUp("sqlite:app.db", as: "app")
        let words = ["restore", "--guide", "--dry-run", "--json", "--failed-at", asOf, "latest:app"]
        let latest = try incident.run.start(words).finish().json()
        let point = try #require((latest["choice"] as? [String: Any])?["point"] as? [String: Any])
        #expect(point["snapshot"] as? String != first && point["afterFailure"] as? Bool == true)
        let told = try incident.run.start(words.filter { $0 != "--json" }).finish()
        #expect(told.output.contains("TAKEN AFTER THE FAILURE"), "\(told.output)")
        #expect(told.output.contains("the better one is \(first)"), "\(told.output)")
        let guide = try incident.guide(["--failed-at", asOf])
        #expect(guide.waits(for: "Which source"))
        guide.type("app\n")
        #expect(guide.waits(for: "Enter for 2: "), "\(guide.shown)")
        guide.type("\n")
        #expect(guide.waits(for: "Restore into what"))
        guide.type("sqlite:\(incident.path)/new.db\n")
        #expect(guide.waits(for: "Type yes: "))
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        #expect(try incident.run.sqlite("new.db", "SELECT count(*) FROM account;") == "3000\n")
    }
}
