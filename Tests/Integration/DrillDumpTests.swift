// `drill` of the dumps of a PostgreSQL cluster whose programs fail for reasons of the place.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill of dumps whose programs fail", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct DrillDumpTests {
    @Test(
        "holds nothing against the snapshot where pg_restore could not be kept apart, lacked room or was killed",
        arguments: [
            ("--list", "echo 'unshare: unshare failed: No space left on device' >&2; exit 1"),
            ("--format=custom", "exit 32"), ("--format=custom", "kill -9 $$"),
            (
                "--format=custom",
                "echo 'pg_restore: error: could not execute query: ERROR:  No space left on device' >&2; "
                    + "cat > /dev/null; echo 'pg_restore: warning: errors ignored on restore: 1' >&2; exit 1"
            ),
        ])
    func place(argument: String, body: String) throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders (id int PRIMARY KEY)")
        let drill = try DrillRun(run)
        #expect(try run("backup", server.dumpURL("postgres"), "--source", "shop").status == 0)
        server.stop()
        #expect(try drill("shop").result.status == 0)
        let programs = run.directory.path + "/programs"
        #expect(mkdir(programs, 0o755) == 0)
        for name in ["postgres", "initdb", "pg_restore", "pg_dump"] {
            let fails = name == "pg_restore" ? "case \"$*\" in *\(argument)*) \(body);; esac\n" : ""
            let text = "#!/bin/sh\n\(fails)exec \(PostgresServer.binaries)/\(name) \"$@\"\n"
            _ = try run.file("programs/\(name)", text)
            chmod("\(programs)/\(name)", 0o755)
        }
        var other = run
        other.variables["HOLDFAST_PG_BINDIR"] = programs
        let result = try other("drill", "shop", "--scratch", drill.scratch, "--json")
        #expect(result.status == 4, "\(result.output) \(result.errors)")
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        #expect((member["facts"] as? [String: String])?["damage"] == nil, "\(result.output)")
        #expect(!DrillRun.verdicts(record).values.contains("failed"), "\(result.output)")
        #expect(drill.leftovers.isEmpty)
    }
}
