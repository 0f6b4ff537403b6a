// A cluster back into a data directory in an incident, by the real program on real servers.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("The guide through a restore of a cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct IncidentPostgresTests {
    @Test("holds every file against the manifest, starts no server over it, and it can be started then")
    func cluster() throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 5000) i")
        let incident = try IncidentRun(run)
        try incident.backUp(server.url(), as: "shop")
        server.stop()
        chmod(incident.path, 0o755)
        let guide = try incident.guide(["--drill"])
        #expect(guide.waits(for: "Back to which"), "\(guide.shown)")
        guide.type("\n")
        #expect(guide.waits(for: "pgdata:/PATH/TO/EMPTY? "), "\(guide.shown)")
        guide.type("pgdata:\(incident.path)/restored\n")
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        #expect(guide.shown.contains("against the server's manifest; no server is started over it"))
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        let list = try run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]] ?? []
        #expect(list.map { $0["kind"] as? String } == ["incident", "drill"], "\(guide.shown)")
        #expect(list.allSatisfy { $0["verdict"] as? String == "passed" })
        let record = try run("evidence", "show", list.first?["id"] as? String ?? "", "--json").json()
        let verdicts = DrillRun.verdicts(record)
        #expect(verdicts["shop/manifest"] == "passed" && verdicts["shop/contents"] == "passed", "\(verdicts)")
        #expect(verdicts["shop/server"] == "skipped", "\(verdicts)")
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        #expect((member["facts"] as? [String: String])?["proves"] == "the files")
        let copy = PostgresServer(in: incident.path, data: "restored")
        try copy.start()
        #expect(try copy.sql("SELECT count(*) FROM orders") == "5000")
        copy.stop()
        // A restore that compared nothing but files does not count as proof; the drill does.
        let drilled = try run("evidence", "show", "latest", "--json").json()
        #expect(DrillRun.verdicts(drilled)["shop/pg_dump"] == "passed", "\(DrillRun.verdicts(drilled))")
    }

    @Test("with dumps counts what is in the server, and a directory in the way is refused before anything is asked")
    func dumps() throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 700) i")
        try server.sql("CREATE DATABASE back")
        let incident = try IncidentRun(run)
        try incident.backUp("pgdump:postgres:///postgres?host=\(server.sockets)&user=postgres", as: "shop")
        let target = "pgdump:postgres:///back?host=\(server.sockets)&user=postgres"
        let plan = try run("restore", "latest:shop", "--to", target, "--dry-run")
        #expect(plan.status == 0 && plan.output.contains("files     1,"), "\(plan.output) \(plan.errors)")
        let guide = try incident.guide(["latest:shop", "--to", target])
        #expect(guide.waits(for: "Type yes: "), "\(guide.shown)")
        guide.type("yes\n")
        #expect(guide.finish() == 0, "\(guide.shown)")
        #expect(try server.sql("SELECT count(*) FROM orders", in: "back") == "700")
        let record = try incident.record()
        #expect(record["verdict"] as? String == "passed")
        #expect(DrillRun.verdicts(record)["shop/contents"] == "passed", "\(DrillRun.verdicts(record))")
        let refused = try incident.guide(["latest:shop", "--to", "pgdata:\(incident.path)/data"])
        #expect(refused.finish() == 64, "\(refused.shown)")
        #expect(!refused.shown.contains("Type yes"))
    }
}
