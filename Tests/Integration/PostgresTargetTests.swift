// Data directories that cannot be restored into, and restores that are broken off.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("Into a data directory", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresTargetTests {
    /// A cluster with one tablespace at `ts` and a snapshot of it; the server is stopped.
    private func snapshot() throws -> (ProgramRun, String) {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("-k")
        try server.start()
        let place = run.directory.path
        mkdir("\(place)/ts", 0o700)
        PostgresServer.give("\(place)/ts")
        try server.sql("CREATE TABLESPACE extra LOCATION '\(place)/ts'")
        try server.bench("-iq", "-s", "2", "--tablespace=extra")
        try run.makeRepository()
        let taken = try run("backup", server.url())
        #expect(taken.status == 0, "\(taken.errors)")
        server.stop()
        return (run, place)
    }

    @Test("that is not empty, or whose tablespace's place is not, nothing is written")
    func notEmpty() throws {
        let (run, place) = try snapshot()
        try run.makeDirectory("full")
        _ = try run.file("full/precious", "mine")
        let full = try run("restore", "latest", "--to", "pgdata:full", "--tablespace", "\(place)/ts=\(place)/new")
        #expect(full.status == 1 && full.errors.contains("is not empty"), "\(full.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: place + "/full") == ["precious"])
        // The tablespace's own place is still the first cluster's.
        let taken = try run("restore", "latest", "--to", "pgdata:out")
        #expect(taken.status == 1 && taken.errors.contains("--tablespace"), "\(taken.errors)")
        #expect(!run.isAt("out"))
        let wrong = try run("restore", "latest", "--to", "pgdata:out", "--tablespace", "/nowhere=\(place)/new")
        #expect(wrong.status == 64 && wrong.errors.contains("no tablespace at /nowhere"), "\(wrong.errors)")
        let inside = try run("restore", "latest", "--to", "pgdata:out", "--tablespace", "\(place)/ts=\(place)/out/ts")
        #expect(inside.status == 64 && inside.errors.contains("lie in each other"), "\(inside.errors)")
        let files = try run("restore", "latest", "--to", "dir:files", "--tablespace", "\(place)/ts=\(place)/new")
        #expect(files.status == 64, "\(files.errors)")
        #expect(!run.isAt("out") && !run.isAt("files") && !run.isAt("new"))
    }

    @Test("in which a server of another container runs, whose number is none here, nothing is written")
    func otherNumber() throws {
        let (run, place) = try snapshot()
        let server = PostgresServer(in: place)
        try server.start()
        // As a server in a container writes it: it counts its processes anew.
        let file = place + "/data/postmaster.pid"
        let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").dropFirst()
        try "4194304\n\(lines.joined(separator: "\n"))\n".write(toFile: file, atomically: false, encoding: .utf8)
        let refused = try run("restore", "latest", "--to", "pgdata:data")
        #expect(
            refused.status == 1 && refused.errors.contains("a server runs in \(place)/data, process"),
            "\(refused.errors)")
        #expect(try server.sql("SELECT count(*) FROM pgbench_accounts") == "200000")
        server.stop()
    }

    @Test("a restore that is broken off cannot be started, and goes on when it is run again")
    func brokenOff() throws {
        let (run, place) = try snapshot()
        let words = [
            "restore", "latest", "--to", "pgdata:out", "--tablespace", "\(place)/ts=\(place)/new", "--limit-read", "1M",
        ]
        let restore = try run.start(words)
        let relations = place + "/out/base"
        while restore.process.isRunning, !FileManager.default.fileExists(atPath: relations) { pause(.milliseconds(10)) }
        restore.send(SIGKILL)
        #expect(try restore.finish().status != 0)
        #expect(run.isAt("out/holdfast.restoring") && !run.isAt("out/global/pg_control"))
        let copy = PostgresServer(in: place, data: "out")
        let started = try PostgresServer.run(
            ["\(PostgresServer.binaries)/postgres", "-D", copy.data, "-k", copy.sockets], in: place)
        #expect(started.status != 0, "\(started.text)")
        let again = try run(
            "restore", "latest", "--to", "pgdata:out", "--tablespace", "\(place)/ts=\(place)/new", "--json")
        #expect(again.status == 0, "\(again.errors)")
        #expect((try again.json()["bytesAlreadyThere"] as? Int ?? 0) > 0, "\(again.output)")
        try copy.start()
        #expect(try copy.sql("SELECT count(*) FROM pgbench_accounts") == "200000")
        copy.stop()
    }

    @Test(
        "on a full disk, the restore fails with that reason and leaves nothing that starts",
        .enabled(
            if: CrashTests.mayMount, "mounting a file system of 24 MiB is refused here; run the tests as root"))
    func fullDisk() throws {
        let (run, place) = try snapshot()
        let disk = place + "/disk"
        mkdir(disk, 0o755)
        try #require(mount("tmpfs", disk, "tmpfs", 0, "size=24m") == 0)
        defer { umount2(disk, Int32(MNT_DETACH)) }
        let restored = try run(
            "restore", "latest", "--to", "pgdata:disk/out", "--tablespace", "\(place)/ts=\(disk)/new", "--json")
        #expect(restored.status == 1, "\(restored.errors)")
        #expect(restored.output.contains("no-space"), "\(restored.output)")
        #expect(!run.isAt("disk/out/global/pg_control"))
    }
}
