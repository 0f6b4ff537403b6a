// `drill` on PostgreSQL clusters and dumps, by the real program on real servers.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill of a PostgreSQL cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct DrillPostgresTests {
    private func cluster() throws -> (DrillRun, PostgresServer) {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders (id int PRIMARY KEY, total int, note text)")
        try server.sql(
            "INSERT INTO orders SELECT i, i, repeat('n', i % 90) FROM generate_series(1, 20000) i; "
                + "CREATE TABLE beat (at timestamptz); INSERT INTO beat VALUES (now()); ANALYZE")
        let drill = try DrillRun(run)
        #expect(try run("backup", server.url(), "--source", "shop").status == 0)
        return (drill, server)
    }

    private static func plan(_ server: PostgresServer) -> String {
        """
        sources:
          shop: {url: '\(server.url())'}
          ledger: {url: 'sqlite:ledger.db'}
        drills:
          nightly:
            systems:
              database:
                source: shop
                point: worst-replay
                checks:
                  orders: {sql: 'SELECT count(*), sum(total) FROM orders', expect: '20000|200010000'}
                  beat: {heartbeat: 'SELECT max(at) FROM beat', every: 10s, maxAge: 1h}
                  client:
                    command: [sh, -c, 'psql -XAtq "$HOLDFAST_DRILL_ADDRESS" -c "SELECT 6 * 7"']
                    expect: '42'
                  network: {command: [sh, -c, 'ls /sys/class/net | grep -vc lo; id -u'], expect: "0\\n\(uid)"}
              ledger: {after: [database]}
            checks:
              money:
                reconcile:
                  left: database
                  leftSQL: SELECT sum(total) FROM orders
                  right: ledger
                  rightSQL: SELECT sum(amount) FROM booking
                  tolerance: 1

        """
    }

    private static let uid: String = {
        guard geteuid() == 0, let entry = getpwnam("postgres") else { return "\(geteuid())" }
        return "\(entry.pointee.pw_uid)"
    }()

    @Test("starts a server of its own, asks it, compares it with others, and leaves nothing")
    func plan() throws {
        let (drill, server) = try cluster()
        try drill.run.sqlite("ledger.db", "CREATE TABLE booking(amount); INSERT INTO booking VALUES (200010001);")
        #expect(try drill.run("backup", "sqlite:ledger.db", "--source", "ledger").status == 0)
        let text = Self.plan(server)
        _ = try drill.run.file("holdfast.yaml", text.replacingOccurrences(of: "ls /sys", with: "true || ls /sys"))
        // The names of interfaces are asked of the namespace itself.
        _ = try drill.run.file(
            "holdfast.yaml",
            text.replacingOccurrences(
                of: "ls /sys/class/net | grep -vc lo; id -u", with: "tail -n +3 /proc/net/dev | grep -vc lo: ; id -u"))
        let (result, records) = try drill("nightly")
        #expect(result.status == 0, "\(result.errors)")
        let record = try #require(records.first)
        let verdicts = DrillRun.verdicts(record)
        for id in ["orders", "beat", "client", "network", "pg_verifybackup", "pg_amcheck", "pg_dump", "replay"] {
            #expect(verdicts["database/\(id)"] == "passed", "\(id): \(verdicts)")
        }
        #expect(verdicts["money"] == "passed" && verdicts["database/contents"] == "passed")
        #expect(
            DrillRun.phases(record, "database")
                == ["provision", "fetch", "restore", "replay", "validate", "teardown"])
        let environment = try #require(record["environment"] as? [String: Any])
        #expect(environment["network"] as? String == "namespace" || geteuid() != 0)
        #expect(environment["segregated"] as? Bool == false, "the source is on this host")
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        #expect(member["logBytes"] != nil && member["newestData"] != nil && member["reached"] as? String != "")
        #expect(record["memberSkewSeconds"] != nil)
        #expect(drill.leftovers.isEmpty && servers(below: drill.scratch).isEmpty)
        #expect(try server.sql("SELECT count(*) FROM orders") == "20000")
        server.stop()
    }

    @Test("fails for a broken copy, whatever was broken")
    func sabotage() throws {
        let (drill, server) = try cluster()
        try server.sql("UPDATE orders SET total = total + 1 WHERE id = 5")
        #expect(try drill.run("backup", server.url(), "--source", "shop").status == 0)
        for (kind, check) in [
            ("page", "pg_verifybackup"), ("missing-file", "pg_verifybackup"), ("swapped-row", "pg_verifybackup"),
            ("old-snapshot", "contents"),
        ] {
            let (result, records) = try drill("shop", "--sabotage", kind)
            #expect(result.status == 4, "\(kind): \(result.errors)")
            let record = try #require(records.first)
            #expect(record["verdict"] as? String == "failed" && record["sabotage"] as? String == kind)
            let isFound = DrillRun.verdicts(record)["shop/\(check)"] == "failed"
            // A server that does not even start says so as well.
            #expect(isFound || DrillRun.findings(record).contains("did not start"), "\(kind): \(record)")
            #expect(drill.leftovers.isEmpty && servers(below: drill.scratch).isEmpty)
        }
        #expect(try drill("shop").result.status == 0)
        server.stop()
    }

    @Test("refuses answers without bound, and several statements in one")
    func answers() throws {
        let (drill, server) = try cluster()
        server.stop()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {shop: {url: '\(server.url())'}}
            drills:
              d:
                systems:
                  shop:
                    checks:
                      long: {sql: "SELECT repeat('x', 2000000)", atMost: 1}
                      many: {sql: 'SELECT generate_series(1, 3000000)', atMost: 1}
                      two: {sql: 'SELECT 1; SELECT 2', expect: '2'}
                      one: {sql: 'SELECT 3;', expect: '3'}

            """)
        let (result, records) = try drill("d")
        #expect(result.status == 4, "\(result.errors)")
        let checks = try #require(records.first?["checks"] as? [[String: Any]])
        func actual(_ id: String) -> String { checks.first { $0["id"] as? String == id }?["actual"] as? String ?? "" }
        #expect(actual("shop/long").contains("1.0 MiB"), "\(actual("shop/long").prefix(100))")
        #expect(actual("shop/many").contains("10000 rows"), "\(actual("shop/many").prefix(300))")
        #expect(actual("shop/two").contains("multiple commands"), "\(actual("shop/two").prefix(300))")
        #expect(DrillRun.verdicts(records[0])["shop/two"] == "failed")
        #expect(DrillRun.verdicts(records[0])["shop/one"] == "passed", "\(actual("shop/one"))")
    }

    @Test("of dumps fails for a broken copy, and passes for a whole one")
    func dumps() throws {
        let (drill, server) = try cluster()
        try server.sql("CREATE DATABASE other")
        for _ in 1...2 {
            #expect(try drill.run("backup", server.dumpURL(), "--source", "dumps").status == 0)
            try server.sql("UPDATE orders SET total = total + 1 WHERE id = 5")
        }
        let whole = try drill("dumps")
        #expect(whole.result.status == 0, "\(whole.result.errors)")
        #expect(DrillRun.verdicts(whole.records[0])["dumps/rows"] == "passed")
        // They were restored into a cluster of their own, which can be asked.
        #expect(DrillRun.verdicts(whole.records[0])["dumps/contents-2"] == "passed")
        #expect(DrillRun.phases(whole.records[0], "dumps").contains("replay"))
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {dumps: {url: '\(server.dumpURL())'}}
            drills:
              asked:
                systems:
                  dumps:
                    checks:
                      orders: {sql: SELECT count(*) FROM orders, expect: '20000'}
                      other: {sql: SELECT current_database(), expect: other, database: other}

            """)
        let asked = try drill("asked")
        #expect(asked.result.status == 0, "\(asked.result.errors)")
        for kind in ["page", "missing-file", "swapped-row", "old-snapshot"] {
            let (result, records) = try drill("dumps", "--sabotage", kind)
            #expect(result.status == 4, "\(kind): \(result.errors)")
            #expect(DrillRun.verdicts(records[0])["dumps/contents"] == "failed", "\(kind)")
        }
        #expect(drill.leftovers.isEmpty)
        server.stop()
    }

    @Test("says why when the server does not start")
    func noServer() throws {
        let (drill, server) = try cluster()
        var run = drill.run
        // Programs of the right version that are none.
        let programs = run.directory.path + "/programs"
        #expect(mkdir(programs, 0o755) == 0)
        for name in ["postgres", "pg_controldata", "pg_verifybackup"] {
            let body =
                name == "postgres"
                ? "[ $1 = --version ] && { echo 'postgres (PostgreSQL) 15.0'; exit; }; echo 'FATAL: no mood' >&2; false"
                : "exec /usr/lib/postgresql/15/bin/\(name) \"$@\""
            _ = try run.file("programs/\(name)", "#!/bin/sh\n\(body)\n")
            chmod(programs + "/" + name, 0o755)
        }
        run.variables["HOLDFAST_PG_BINDIR"] = programs
        let result = try run("drill", "shop", "--scratch", drill.scratch, "--json")
        #expect(result.status == 4 && result.output.contains("no mood"), "\(result.output)")
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        #expect(DrillRun.phases(record, "shop") == ["provision", "fetch", "restore", "teardown"])
        #expect(drill.leftovers.isEmpty)
        server.stop()
    }

    @Test(
        "that is killed leaves nothing after the next, which says that it was interrupted",
        arguments: [
            "fetch", "replay", "validate",
        ])
    func killed(phase: String) throws {
        let (drill, server) = try cluster()
        let words = ["drill", "shop", "--scratch", drill.scratch]
        let running = try drill.run.start(words + (phase == "fetch" ? ["--limit-read", "2M"] : []))
        let journal = drill.run.directory.path + "/.local/state/holdfast/drills"
        while running.process.isRunning {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: journal)) ?? []
            let texts = names.filter { $0.hasSuffix(".drill") }.compactMap {
                FileManager.default.contents(atPath: journal + "/" + $0)
            }
            if texts.contains(where: { String(decoding: $0, as: UTF8.self).contains("\(phase) of shop") }) { break }
            pause(.milliseconds(2))
        }
        if phase == "replay" {
            while running.process.isRunning, servers(below: drill.scratch).isEmpty { pause(.milliseconds(2)) }
        }
        running.send(SIGKILL)
        #expect(try running.finish().status == SIGKILL)
        #expect(drill.leftovers.count == 1)
        let next = try drill("shop")
        #expect(next.result.status == 0, "\(next.result.errors)")
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        // A backend that is in the middle of something ends a moment after its server.
        for _ in 0..<600 where !servers(below: drill.scratch).isEmpty { pause(.milliseconds(50)) }
        #expect(servers(below: drill.scratch).isEmpty)
        let list = try #require(try drill.run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]])
        #expect(Set(list.compactMap { $0["verdict"] as? String }) == ["interrupted", "passed"])
        let interrupted = try #require(list.first { $0["verdict"] as? String == "interrupted" }?["id"] as? String)
        let shown = try drill.run("evidence", "show", interrupted)
        #expect(shown.output.contains("ended without a word in the phase \(phase) of shop"), "\(shown.output)")
        server.stop()
    }
}
