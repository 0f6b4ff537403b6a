// What a verdict of a drill may not claim, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("The verdict of a drill", .waiting)
struct DrillVerdictTests {
    private func evidence(_ drill: DrillRun) throws -> [[String: Any]] {
        try drill.run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]] ?? []
    }

    private func prepared(_ bytes: Int = 200_000) throws -> DrillRun {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/data", bytes, seed: 7)
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        return drill
    }

    // MARK: Sabotage

    @Test("where nothing can be broken there is no drill, no record and no status that says that it was noticed")
    func nothingToBreak() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try Data().write(to: URL(fileURLWithPath: drill.run.directory.path + "/source/empty"))
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        for kind in ["page", "swapped-row", "old-snapshot"] {
            let (result, records) = try drill("web", "--sabotage", kind)
            #expect(result.status == 64 && records.isEmpty, "\(kind): \(result.output)")
        }
        // Nothing was changed between the two.
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        let same = try drill("web", "--sabotage", "old-snapshot")
        #expect(same.result.status == 64 && same.result.output.contains("same"), "\(same.result.output)")
        #expect(try evidence(drill).isEmpty)
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
    }

    @Test("of a broken copy is not that it was noticed when something else failed")
    func otherFailures() throws {
        let drill = try prepared(3_000_000)
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {web: {url: 'dir:source', rpo: 0s, rto: 0s}}
            drills: {no: {systems: {web: {checks: {no: {command: ['false']}}}}, rpo: 0s, rto: 0s}}

            """)
        // Another time of a file makes another snapshot with the same in it.
        let times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
        try #require(utimes(drill.run.directory.path + "/source/data", times) == 0)
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        for name in ["web", "no"] {
            let (result, records) = try drill(name, "--sabotage", "old-snapshot")
            #expect(result.status == 1 && result.errors.contains("did not notice"), "\(result.errors)")
            #expect(!DrillRun.findings(try #require(records.first)).contains("objective"))
            #expect(records.first?["sabotage"] as? String == "old-snapshot")
        }
        // And what was damaged before anything was broken on purpose is no sabotage.
        try damage(drill.run.repository + "/packs")
        let (result, records) = try drill("web", "--sabotage", "page")
        #expect(result.status == 1 && result.errors.contains("nothing was broken"), "\(result.errors)")
        #expect(records.first?["verdict"] as? String == "failed" && records.first?["sabotage"] is NSNull?)
    }

    // MARK: What was found and speaks against nobody, and what does

    @Test("tells of references to rows that are not there, which were so in the source, and passes")
    func references() throws {
        let drill = try DrillRun()
        try drill.run.sqlite(
            "app.db",
            "CREATE TABLE owner(id INTEGER PRIMARY KEY); CREATE TABLE pet(owner INTEGER REFERENCES owner(id));"
                + "INSERT INTO pet VALUES (1), (2);")
        try #require(try drill.run("backup", "sqlite:app.db", "--source", "app").status == 0)
        let (result, records) = try drill("app")
        #expect(result.status == 0, "\(result.errors)")
        let record = try #require(records.first)
        let checks = try #require(record["checks"] as? [[String: Any]])
        let check = try #require(checks.first { $0["id"] as? String == "app/foreign_key_check" })
        #expect(check["verdict"] as? String == "passed", "\(check)")
        #expect(check["actual"] as? String == "2 rows refer to rows that are not there", "\(check)")
        #expect(DrillRun.findings(record).contains("foreign_key_check: 2 rows refer"), "\(record)")
    }

    @Test("of a snapshot that does not hold all of its source is failed, and verifies nothing")
    func partial() throws {
        let drill = try prepared()
        try #require(try drill.run("backup", "dir:source", "dir:absent", "--source", "web").status == 3)
        let (result, records) = try drill("web")
        #expect(result.status == 4, "\(result.output)")
        #expect(DrillRun.verdicts(try #require(records.first))["web/snapshot"] == "failed")
        let rpo = try drill.run("rpo", "web", "--json").json()
        let views = try #require(rpo["views"] as? [[String: Any]])
        #expect(views.allSatisfy { $0["onlyVerified"] as? Bool == false || $0["atEndSeconds"] == nil }, "\(rpo)")
        #expect(rpo["points"] as? Int == 1 && rpo["incomplete"] as? Int == 1, "\(rpo)")
    }

    private func damage(_ directory: String) throws {
        let files = try #require(FileManager.default.enumerator(atPath: directory))
        for case let name as String in files {
            let path = directory + "/" + name
            guard var data = FileManager.default.contents(atPath: path), data.count > 1 << 17 else { continue }
            data[data.count / 2] ^= 1
            chmod(path, 0o600)
            try data.write(to: URL(fileURLWithPath: path))
        }
    }

    // MARK: Checks of a plan

    @Test(
        "is failed for answers that answer nothing",
        arguments: [
            (
                "web: {checks: {beat: {heartbeat: \"SELECT datetime('now', '+2 hours')\"}}}", "", "web/beat",
                "time zone"
            ),
            ("web: {}", "SELECT v FROM t WHERE 0", "both", "no value"),
            ("web: {}", "SELECT sum(v) FROM t WHERE 0", "both", "no value"),
            ("web: {checks: {long: {sql: 'SELECT hex(zeroblob(1000000))', atMost: 1}}}", "", "web/long", "1.0 MiB"),
            ("web: {checks: {two: {sql: 'SELECT 1; SELECT 2', expect: '1'}}}", "", "web/two", "one statement"),
            ("web: {checks: {none: {sql: '-- nothing', expect: ''}}}", "", "web/none", "statement"),
        ])
    func answers(system: String, both: String, check: String, reason: String) throws {
        let drill = try DrillRun()
        try drill.run.sqlite("app.db", "CREATE TABLE t(v INTEGER); INSERT INTO t VALUES (1);")
        try #require(try drill.run("backup", "sqlite:app.db", "--source", "web").status == 0)
        let checks =
            both.isEmpty
            ? "" : ", checks: {both: {reconcile: {left: web, leftSQL: '\(both)', right: web, rightSQL: '\(both)'}}}"
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'sqlite:app.db'}}\ndrills: {d: {systems: {\(system)}\(checks)}}\n")
        let (result, records) = try drill("d")
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require(records.first)
        #expect(DrillRun.verdicts(record)[check] == "failed", "\(DrillRun.verdicts(record))")
        let all = record["checks"] as? [[String: Any]] ?? []
        let actual = all.first { $0["id"] as? String == check }?["actual"] as? String ?? ""
        #expect(actual.contains(reason), "\(actual)")
        let member = (record["members"] as? [[String: Any]])?.first
        #expect(check != "web/beat" || member?["newestData"] is NSNull?, "a time that cannot be is no data")
    }

    // MARK: What was verified

    private func verified(_ drill: DrillRun, _ copies: String) throws -> Double? {
        let report = try drill.run.start(["rpo", "web", "--json"], naming: false).finish().json()
        let views = try #require(report["views"] as? [[String: Any]])
        return views.first { $0["copies"] as? String == copies && $0["onlyVerified"] as? Bool == true }?["atEndSeconds"]
            as? Double
    }

    @Test("verifies the copy that was read, and no other")
    func verifiedCopy() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            repositories: {main: {location: repository, mirrors: [second], offsite: [second]}}
            sources: {web: {url: 'dir:source'}}

            """)
        try #require(try drill.run("mirror", "--to", "second").status == 0)
        #expect(try drill("web").result.status == 0)
        #expect(try verified(drill, "local") != nil)
        #expect(try verified(drill, "any") != nil)
        #expect(try verified(drill, "offsite") == nil)
    }

    @Test("verifies no system when a check of several failed, and those that passed when another system failed")
    func verifiedSystems() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            repositories: {main: {location: repository}}
            sources: {web: {url: 'dir:source'}}
            drills:
              several: {systems: {web: {}}, checks: {no: {command: ['false']}}}
              other: {systems: {web: {}, again: {source: web, checks: {no: {command: ['false']}}}}}

            """)
        #expect(try drill("several").result.status == 4)
        #expect(try verified(drill, "any") == nil)
        #expect(try drill("other").result.status == 4)
        #expect(try verified(drill, "any") != nil)
    }
}
