// Logs that end too early, and servers that are killed or kept: what a drill says of them.

import Foundation
import Glibc
import ObjectStore
import Primitives
import Repository
import TestSupport
import TestThreads
import Testing

@Suite("A drill of a cluster whose log", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct DrillReplayTests {
    private func cluster() throws -> (DrillRun, PostgresServer) {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders AS SELECT i, repeat('n', i % 90) AS note FROM generate_series(1, 5000) i")
        let drill = try DrillRun(run)
        try #require(try run("backup", server.url(), "--source", "shop").status == 0)
        return (drill, server)
    }

    /// Programs of the server of which `postgres` does `first` to the copy, `$data`, before it is the real one.
    private func programs(_ drill: DrillRun, _ server: PostgresServer, _ first: String) throws -> String {
        let place = drill.run.directory.path + "/programs"
        #expect(mkdir(place, 0o755) == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: server.binaries)
        for name in names where name != "postgres" {
            #expect(symlink("\(server.binaries)/\(name)", "\(place)/\(name)") == 0)
        }
        _ = try drill.run.file(
            "programs/postgres",
            """
            #!/bin/sh
            if [ "$1" = -D ]; then data=$2; \(first); fi
            exec \(server.binaries)/postgres "$@"

            """)
        chmod(place + "/postgres", 0o755)
        return place
    }

    @Test("ends before the copy is consistent fails, says so, and its evidence says that it was replayed too short")
    func short() throws {
        let (drill, server) = try cluster()
        let repository = try Repository.open(
            try StoreLocation.open(drill.run.repository), secret: TestRepository.secret("integration"),
            environment: TestRepository.environment(clock: SystemClock()))
        let facts = try #require(try repository.snapshots().snapshots.first?.record?.facts)
        let stop = try #require(facts["stopPosition"])
        let low = try #require(UInt64(stop.split(separator: "/").last ?? "", radix: 16))
        // Zeros from before the record of the backup's end: the log stops there, as one does that was never archived.
        let from = low % (16 << 20) - 48
        var run = drill.run
        run.variables["HOLDFAST_PG_BINDIR"] = try programs(
            drill, server,
            "for log in \"$data\"/pg_wal/0*; do :; done; "
                + "dd if=/dev/zero of=\"$log\" bs=1 seek=\(from) count=4096 conv=notrunc 2>/dev/null")
        let result = try run("drill", "shop", "--scratch", drill.scratch, "--json")
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        #expect(record["verdict"] as? String == "failed")
        let findings = DrillRun.findings(record)
        #expect(findings.contains("WAL ends before end of online backup"), "\(findings)")
        #expect(DrillRun.phases(record, "shop") == ["provision", "fetch", "restore", "teardown"])
        #expect(record["rtoMeasuredSeconds"] == nil, "what did not recover has no time of recovery")
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        let shown = try drill.run("evidence", "show", "latest")
        #expect(shown.output.contains("WAL ends before end of online backup"), "\(shown.output)")
        #expect(try drill.run("evidence", "verify", "latest").status == 0)
        // With the log as it was, the same point is recovered.
        #expect(try drill("shop").result.status == 0)
        server.stop()
    }

    @Test("is damaged in what was restored has its manifest's word in the evidence, also when no server starts over it")
    func damagedLog() throws {
        let (drill, server) = try cluster()
        var run = drill.run
        let real = server.binaries
        let place = try programs(drill, server, ":")
        unlink(place + "/pg_controldata")
        // It runs before the files are compared with their manifest.
        _ = try drill.run.file(
            "programs/pg_controldata",
            "#!/bin/sh\nfor log in \"$2\"/pg_wal/0*; do rm -f \"$log\"; done\nexec \(real)/pg_controldata \"$@\"\n")
        chmod(place + "/pg_controldata", 0o755)
        run.variables["HOLDFAST_PG_BINDIR"] = place
        let result = try run("drill", "shop", "--scratch", drill.scratch, "--json")
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        #expect(DrillRun.verdicts(record)["shop/pg_verifybackup"] == "failed", "\(record)")
        #expect(DrillRun.findings(record).contains("did not start"))
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        #expect((member["facts"] as? [String: String])?["damage"] == "content")
        #expect(drill.leftovers.isEmpty)
        server.stop()
    }

    @Test("is replayed has a copy that is kept with --keep and started by hand, and no server that runs on")
    func kept() throws {
        let (drill, server) = try cluster()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {shop: {url: '\(server.url())'}}
            drills:
              slow:
                systems:
                  shop:
                    checks:
                      slow: {sql: SELECT pg_sleep(60), expect: '', timeout: 1s}
                      after: {sql: SELECT count(*) FROM orders, expect: '5000'}

            """)
        let (result, records) = try drill("slow", "--keep")
        #expect(result.status == 4, "\(result.errors)")
        let verdicts = DrillRun.verdicts(try #require(records.first))
        #expect(verdicts["shop/slow"] == "timedOut" && verdicts["shop/after"] == "passed", "\(verdicts)")
        let kept = try #require((records.first?["facts"] as? [String: String])?["scratch.kept"])
        #expect(kept.hasPrefix(server.place + "/"))
        let data = String(kept.dropFirst(server.place.count + 1)) + "/shop/data"
        let other = PostgresServer(in: server.place, data: data, sockets: "k")
        try other.start()
        #expect(try other.sql("SELECT count(*) FROM orders") == "5000")
        // While somebody looks at it, it stays.
        let busy = try drill.run("drill", "--clean", "--scratch", drill.scratch)
        #expect(busy.status == 1 && busy.errors.contains("a server runs over"), "\(busy.errors)")
        other.stop()
        #expect(try drill.run("drill", "--clean", "--scratch", drill.scratch).status == 0)
        #expect(drill.leftovers.isEmpty)
        server.stop()
    }

    @Test(
        "is replayed and that is killed leaves no server behind, in whatever phase of the server it was",
        arguments: ["provision", "teardown"])
    func killed(phase: String) throws {
        let (drill, server) = try cluster()
        for _ in 0..<8 {
            guard let shown = try drill.kill(in: phase, ["shop"], then: ["shop"]) else { continue }
            #expect(shown.contains("verdict   drill interrupted"), "\(shown)")
            #expect(servers(below: drill.scratch).isEmpty)
            if shown.contains("ended without a word in the phase \(phase) of shop") {
                server.stop()
                return
            }
        }
        Issue.record("the phase \(phase) was never hit")
        server.stop()
    }
}

/// Processes that work below a directory, as the servers of copies do.
func servers(below place: String) -> [String] {
    let manager = FileManager.default
    return ((try? manager.contentsOfDirectory(atPath: "/proc")) ?? []).filter { name in
        let work = try? manager.destinationOfSymbolicLink(atPath: "/proc/\(name)/cwd")
        return work?.hasPrefix(place) == true
    }
}
