// `drill` on files, streams and SQLite databases, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

/// Runs drills and looks at what they leave.
struct DrillRun {
    let run: ProgramRun
    let scratch: String

    init(_ run: ProgramRun = ProgramRun()) throws {
        try self.init(ready: run)
        try run.makeRepository()
    }

    /// - Parameter run: With a repository already.
    init(ready run: ProgramRun) throws {
        self.run = run
        scratch = run.directory.path + "/scratch"
        #expect(mkdir(scratch, 0o755) == 0)
        chmod(run.directory.path, 0o755)
    }

    /// Whether copies can be kept apart in namespaces: only root may, and a sandbox may refuse it to root as well.
    static let hasNamespaces: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = ["--net", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "true"]
        process.standardError = FileHandle.nullDevice
        guard geteuid() == 0, (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    func callAsFunction(_ arguments: String...) throws -> (result: RunResult, records: [[String: Any]]) {
        let result = try run.start(["drill", "--scratch", scratch, "--json"] + arguments).finish()
        let drills = (try? result.json())?["drills"] as? [[String: Any]]
        return (result, drills ?? [])
    }

    var leftovers: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: scratch)) ?? []).sorted()
    }

    /// Whether a scratch directory has files of a copy, which are written after a snapshot was chosen.
    var holdsFiles: Bool {
        let files = FileManager.default.enumerator(atPath: scratch)?.compactMap { $0 as? String } ?? []
        return files.contains { $0.hasSuffix("/first") }
    }

    var journals: [String] {
        let state = run.directory.path + "/.local/state/holdfast/drills"
        return ((try? FileManager.default.contentsOfDirectory(atPath: state)) ?? []).sorted()
    }

    /// Verdicts of checks by their ids.
    static func verdicts(_ record: [String: Any]) -> [String: String] {
        let checks = record["checks"] as? [[String: Any]] ?? []
        return Dictionary(
            checks.map { ($0["id"] as? String ?? "", $0["verdict"] as? String ?? "") }, uniquingKeysWith: { $1 })
    }

    static func phases(_ record: [String: Any], _ member: String) -> [String] {
        (record["phases"] as? [[String: Any]] ?? []).filter { $0["member"] as? String == member }
            .compactMap { $0["name"] as? String }
    }

    static func findings(_ record: [String: Any]) -> String {
        (record["findings"] as? [[String: Any]] ?? []).map { "\($0["object"] ?? "") \($0["message"] ?? "")" }
            .joined(separator: "\n")
    }
}

@Suite("A drill", .waiting)
struct DrillTests {
    private func sources() throws -> DrillRun {
        let drill = try DrillRun()
        let run = drill.run
        try run.makeDirectory("source/inner")
        try run.randomFile("source/first", 300_000, seed: 1)
        try run.randomFile("source/inner/second", 3000, seed: 2)
        symlink("first", run.directory.path + "/source/link")
        link(run.directory.path + "/source/first", run.directory.path + "/source/hard")
        try Data().write(to: URL(fileURLWithPath: run.directory.path + "/source/empty"))
        try run.sqlite(
            "app.db",
            """
            CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER);
            INSERT INTO account SELECT value, value FROM generate_series(1, 2000);
            CREATE TABLE beat(at TEXT); INSERT INTO beat VALUES (datetime('now'));
            CREATE VIEW total AS SELECT sum(balance) s FROM account;
            """)
        try run.sqlite("ledger.db", "CREATE TABLE booking(amount INTEGER); INSERT INTO booking VALUES (2001000);")
        try #require(try run("backup", "dir:source", "--source", "web").status == 0)
        try #require(try run("backup", "sqlite:app.db", "--source", "app").status == 0)
        try #require(try run("backup", "sqlite:ledger.db", "--source", "ledger").status == 0)
        try #require(
            try run.start(["backup", "stdin:dump", "--source", "stream", "--", "seq", "1", "20000"]).finish().status
                == 0)
        return drill
    }

    @Test("restores sources, checks them, leaves signed evidence and nothing else")
    func plain() throws {
        let drill = try sources()
        let (result, records) = try drill("web", "app", "stream")
        #expect(result.status == 0, "\(result.errors)")
        let record = try #require(records.first)
        #expect(record["verdict"] as? String == "passed" && record["occasion"] as? String == "manual")
        for member in ["web", "app", "stream"] {
            #expect(
                DrillRun.phases(record, member) == ["provision", "fetch", "restore", "validate", "teardown"],
                "\(member)")
        }
        let verdicts = DrillRun.verdicts(record)
        #expect(verdicts["web/contents"] == "passed" && verdicts["app/integrity_check"] == "passed", "\(verdicts)")
        #expect(verdicts["stream/contents"] == "passed" && verdicts["app/rows"] == "passed", "\(verdicts)")
        let checks = try #require(record["checks"] as? [[String: Any]])
        for check in checks {
            #expect((check["evidenceSha256"] as? String)?.count == 64 && check["actual"] as? String != "", "\(check)")
        }
        #expect(record["rtoMeasuredSeconds"] as? Double ?? 0 > 0 && record["memberSkewSeconds"] != nil)
        #expect((record["facts"] as? [String: String])?["criticalPath"]?.contains("restore") == true)
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        #expect(try drill.run("evidence", "verify", "latest").status == 0)
        // A verified point counts from now on.
        let rpo = try drill.run("rpo", "web", "--json").json()
        let views = try #require(rpo["views"] as? [[String: Any]])
        let verified = views.first { $0["copies"] as? String == "any" && $0["onlyVerified"] as? Bool == true }
        #expect(verified?["atEndSeconds"] != nil)
        let nobody = try drill("nobody")
        #expect(nobody.result.status == 64 && nobody.result.output.contains("nobody"))
    }

    @Test("shows each phase as it ends, and what a restore has done, on a terminal")
    func phases() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/data", 6 << 20, seed: 1)
        try #require(try drill.run("backup", "dir:source", "--source", "web", "--compression", "none").status == 0)
        let terminal = try PseudoTerminal(
            [
                ProductBinary.path, "drill", "web", "--scratch", drill.scratch, "--repo", drill.run.repository,
                "--limit-read", "2M",
            ],
            environment: [
                "HOLDFAST_PASSWORD": "integration", "HOME": drill.run.directory.path, "TERM": "dumb",
                "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            ])
        for part in ["web: provision ", "restoring  [", "web: restore ", "web: validate ", "drill     passed"] {
            #expect(terminal.waits(for: part), "\(part): \(terminal.shown)")
        }
        #expect(terminal.finish() == 0, "\(terminal.shown)")
    }

    private static let plan = """
        sources:
          web: {url: 'dir:source'}
          app: {url: 'sqlite:app.db', rpo: 1h, rto: 1h}
          ledger: {url: 'sqlite:ledger.db'}
        drills:
          nightly:
            systems:
              site:
                source: web
                after: [app]
                checks:
                  first: {command: [sh, -c, 'test -s "$HOLDFAST_DRILL_DIRECTORY/first" && echo yes'], expect: 'yes'}
              app:
                checks:
                  total: {sql: 'SELECT s FROM total', expect: '2001000'}
                  many: {sql: 'SELECT count(*) FROM account', atLeast: 2000, atMost: 2000}
                  beat: {heartbeat: 'SELECT max(at) FROM beat', every: 10s, maxAge: 1h}
              ledger: {}
            checks:
              money:
                reconcile:
                  left: app
                  leftSQL: SELECT sum(balance) FROM account
                  right: ledger
                  rightSQL: SELECT sum(amount) FROM booking
              both:
                command: [sh, -c, 'test -d "$HOLDFAST_DRILL_SITE_DIRECTORY" && test -d "$HOLDFAST_DRILL_APP_DIRECTORY"']
            scratch: {disk: 1G, memory: 4G, time: 1h}
            rto: 2h
            detect: 5m
            decide: 10m
            cutover: 1m
            approver: head of operations

        """

    @Test("carries out a plan with order, checks of every kind, objectives and declared phases")
    func planned() throws {
        let drill = try sources()
        _ = try drill.run.file("holdfast.yaml", Self.plan)
        #expect(try drill.run("config", "check").status == 0)
        let (result, records) = try drill()
        #expect(result.status == 0, "\(result.errors)")
        let record = try #require(records.first)
        let verdicts = DrillRun.verdicts(record)
        for id in ["site/first", "app/total", "app/many", "app/beat", "money", "both"] {
            #expect(verdicts[id] == "passed", "\(id): \(verdicts)")
        }
        let members = try #require(record["members"] as? [[String: Any]])
        let names = members.compactMap { $0["name"] as? String }
        #expect(try #require(names.firstIndex(of: "app")) < #require(names.firstIndex(of: "site")))
        let app = try #require(members.first { $0["name"] as? String == "app" })
        #expect(app["newestData"] != nil && app["rpoErrorBarSeconds"] as? Double == 10)
        #expect(app["rpoObjectiveSeconds"] as? Double == 3600 && app["rpoAchievedSeconds"] != nil)
        let phases = try #require(record["phases"] as? [[String: Any]])
        let declared = phases.filter { $0["measured"] as? Bool == false }.compactMap { $0["name"] as? String }
        #expect(Set(declared) == ["detect", "decide", "cutover"])
        #expect(record["approver"] as? String == "head of operations" && record["planSha256"] != nil)
        #expect((record["facts"] as? [String: String])?["plan.atOnce.path"] != nil)
        let shown = try drill.run("evidence", "show", "latest")
        #expect(shown.output.contains("plan      nightly") && shown.output.contains("declared"), "\(shown.output)")
    }

    @Test(
        "fails with 4 when a check of the plan fails, is late, or an objective is missed",
        arguments: [
            ("expect: '2001000'", "expect: '2001001'", "app/total", "failed"),
            ("atLeast: 2000, atMost: 2000", "atLeast: 2001", "app/many", "failed"),
            ("expect: 'yes'", "expect: 'no'", "site/first", "failed"),
            ("echo yes'], expect: 'yes'", "sleep 60'], timeout: 1s", "site/first", "timedOut"),
            (
                "sql: 'SELECT s FROM total', expect: '2001000'",
                "sql: 'WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r', "
                    + "expect: '1', timeout: 1s", "app/total", "timedOut"
            ),
            ("SELECT max(at) FROM beat", "SELECT ''2000-01-01 00:00:00''", "app/beat", "failed"),
            ("sum(amount)", "sum(amount) + 1", "money", "failed"),
            ("SELECT s FROM total", "SELECT s FROM nowhere", "app/total", "failed"),
        ])
    func failures(text: String, instead: String, check: String, verdict: String) throws {
        let drill = try sources()
        _ = try drill.run.file("holdfast.yaml", Self.plan.replacingOccurrences(of: text, with: instead))
        let (result, records) = try drill("nightly")
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require(records.first)
        #expect(record["verdict"] as? String == "failed")
        #expect(DrillRun.verdicts(record)[check] == verdict, "\(DrillRun.verdicts(record))")
        #expect(drill.leftovers.isEmpty)
    }

    @Test("misses objectives that were not kept, and says which")
    func objectives() throws {
        let drill = try sources()
        let late = Self.plan.replacingOccurrences(of: "rto: 2h", with: "rto: 15m\n    rpo: 0s")
        _ = try drill.run.file("holdfast.yaml", late)
        pause(.seconds(1))
        let (result, records) = try drill("nightly")
        #expect(result.status == 4)
        let findings = DrillRun.findings(try #require(records.first))
        #expect(findings.contains("RTO with what is declared"), "\(findings)")
        #expect(findings.contains("RPO"), "\(findings)")
    }

    @Test("does not try what waits for a system that was not recovered, and its checks say so")
    func dependents() throws {
        let drill = try sources()
        _ = try drill.run.file(
            "holdfast.yaml", Self.plan.replacingOccurrences(of: "expect: '2001000'", with: "expect: 'x'"))
        let record = try #require(try drill("nightly").records.first)
        let verdicts = DrillRun.verdicts(record)
        #expect(verdicts["site/first"] == "notRun", "\(verdicts)")
        #expect(DrillRun.phases(record, "site") == ["teardown"])
    }

    @Test("leaves its record in a file for a key that may not sign, and is refused without")
    func rights() throws {
        let drill = try sources()
        #expect(
            try drill.run.start(
                ["keys", "add", "--role", "restorer", "--label", "plain", "--new-key-file", "plain.key"]
            ).finish().status == 0)
        var other = drill.run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = drill.run.directory.path + "/plain.key"
        let refused = try other("drill", "web", "--scratch", drill.scratch)
        #expect(refused.status == 12 && refused.errors.contains("--evidence FILE"))
        let words = ["drill", "web", "--scratch", drill.scratch, "--evidence", "left.evidence"]
        let done = try other.start(words).finish()
        #expect(done.status == 0, "\(done.errors)")
        #expect(try other.start(words).finish().status == 64)
        #expect(try drill.run("evidence", "import", "left.evidence").status == 0)
        let shown = try drill.run("evidence", "show", "latest", "--json").json()
        #expect((shown["link"] as? [String: Any])?["origin"] as? String == "imported")
        #expect(shown["verdict"] as? String == "passed")
    }

    @Test(
        "of a broken copy fails, whatever was broken",
        arguments: [
            ("web", "page"), ("web", "missing-file"), ("web", "swapped-row"), ("web", "old-snapshot"),
            ("app", "page"), ("app", "missing-file"), ("app", "swapped-row"), ("app", "old-snapshot"),
            ("stream", "page"), ("stream", "missing-file"), ("stream", "swapped-row"), ("stream", "old-snapshot"),
            ("made", "page"),
        ])
    func sabotage(source: String, kind: String) throws {
        let drill = try sources()
        let alone = try drill("ledger", "--sabotage", "old-snapshot")
        #expect(alone.result.status == 64 && alone.result.output.contains("no older snapshot"))
        try drill.run.sqlite("app.db", "UPDATE account SET balance = balance + 1 WHERE id = 7;")
        try drill.run.randomFile("source/inner/second", 3000, seed: 3)
        #expect(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        #expect(try drill.run("backup", "sqlite:app.db", "--source", "app").status == 0)
        #expect(
            try drill.run.start(["backup", "stdin:dump", "--source", "stream", "--", "seq", "1", "20001"]).finish()
                .status == 0)
        _ = try drill.run.file("holdfast.yaml", "sources: {made: {command: {dump: [seq, '1', '20000'], file: made}}}\n")
        #expect(try drill.run("backup", "made").status == 0)
        let (result, records) = try drill(source, "--sabotage", kind)
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require(records.first)
        #expect(record["verdict"] as? String == "failed" && record["sabotage"] as? String == kind)
        #expect(DrillRun.verdicts(record)["\(source)/contents"] == "failed", "\(DrillRun.verdicts(record))")
        #expect(drill.leftovers.isEmpty)
        // It proves nothing about the snapshot.
        #expect(try drill(source).result.status == 0)
    }
}
