// `drill` of a PostgreSQL cluster whose server does not start over the copy, or breaks off what it is asked.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill whose server fails", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct DrillServerTests {
    private let drill: DrillRun
    private let programs: String

    init() throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE TABLE orders (id int PRIMARY KEY)")
        drill = try DrillRun(run)
        #expect(try run("backup", server.url(), "--source", "shop").status == 0)
        server.stop()
        programs = run.directory.path + "/programs"
        #expect(mkdir(programs, 0o755) == 0)
        for name in ["postgres", "pg_controldata", "pg_verifybackup", "pg_amcheck", "pg_dump"] {
            try put(name, "exec \(PostgresServer.binaries)/\(name) \"$@\"")
        }
    }

    /// Puts a program of the server's into the place of its own.
    private func put(_ name: String, _ body: String) throws {
        _ = try drill.run.file("programs/\(name)", "#!/bin/sh\n\(body)\n")
        chmod(programs + "/" + name, 0o755)
    }

    /// A drill that fails.
    private func failed() throws -> (verdicts: [String: String], damage: String?, text: String) {
        var run = drill.run
        run.variables["HOLDFAST_PG_BINDIR"] = programs
        let result = try run("drill", "shop", "--scratch", drill.scratch, "--json")
        #expect(result.status == 4, "\(result.output) \(result.errors)")
        #expect(drill.leftovers.isEmpty)
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        return (
            DrillRun.verdicts(record), (member["facts"] as? [String: String])?["damage"], "\(result.output)"
        )
    }

    @Test("holds it against the snapshot, with all that was found before")
    func notStarted() throws {
        #expect(try drill("shop").result.status == 0)
        try put(
            "pg_verifybackup",
            """
            \(PostgresServer.binaries)/pg_verifybackup "$@" || exit
            for log in "$2"/pg_wal/0*; do dd if=/dev/zero of="$log" bs=1M count=16 conv=notrunc; done
            """)
        let (verdicts, damage, text) = try failed()
        #expect(verdicts["shop/pg_verifybackup"] == "passed" && verdicts["shop/server"] == "failed", "\(text)")
        #expect(damage == "content", "\(text)")
        // So that nobody takes it in an incident for what the first drill proved.
        let standing = try drill.run("rpo", "shop", "--json").json()
        #expect(standing["foundDamaged"] as? Int == 1, "\(standing)")
        // Whatever it says of the control file.
        try put("pg_verifybackup", "exec \(PostgresServer.binaries)/pg_verifybackup \"$@\"")
        try put("pg_controldata", "echo 'could not read' >&2; exit 1")
        let control = try failed()
        #expect(control.verdicts["shop/pg_controldata"] == "failed" && control.damage == "content", "\(control.text)")
    }

    @Test(
        "holds nothing against the snapshot where the place is at fault",
        arguments: [
            "echo 'FATAL:  could not write to file \"pg_wal/xlogtemp\": No space left on device' >&2; exit 1",
            "echo 'mount: mount point does not exist' >&2; exit 32", "exit 127", "kill -9 $$",
            "echo 'LOG:  could not fork startup process: Resource temporarily unavailable' >&2; exit 1",
        ])
    func place(body: String) throws {
        let real = "exec \(PostgresServer.binaries)/postgres"
        try put("postgres", "[ $1 = --version ] && \(real) --version\n\(body)")
        let (verdicts, damage, text) = try failed()
        #expect(verdicts["shop/pg_verifybackup"] == "passed" && verdicts["shop/server"] == nil, "\(text)")
        #expect(damage == nil, "\(text)")
    }

    @Test(
        "holds nothing against the snapshot where a program of the server was killed or could not be run",
        arguments: [
            ("pg_verifybackup", "exit 127"), ("pg_amcheck", "kill -9 $$"), ("pg_dump", "kill -9 $$"),
            ("pg_controldata", "echo 'unshare: unshare failed: No space left on device' >&2; exit 1"),
        ])
    func programs(name: String, body: String) throws {
        try put(name, "[ \"$1\" = --version ] && exec \(PostgresServer.binaries)/\(name) --version\n\(body)")
        let (verdicts, damage, text) = try failed()
        #expect(verdicts["shop/\(name)"] == nil, "\(text)")
        #expect(damage == nil, "\(text)")
    }

    @Test("takes the word from what is proven, and holds nothing against it, where nobody can tell what is at fault")
    func unclear() throws {
        #expect(try drill("shop").result.status == 0)
        let real = "exec \(PostgresServer.binaries)/postgres"
        try put("postgres", "[ $1 = --version ] && \(real) --version\necho 'FATAL:  no words for it' >&2; exit 1")
        let (verdicts, damage, text) = try failed()
        #expect(verdicts["shop/server"] == nil && damage == nil && text.contains("\"unclear\""), "\(text)")
        #expect(text.contains("nobody can tell"), "\(text)")
    }

    @Test("loses nothing of what was found when its catalogue cannot be read")
    func catalogue() throws {
        // pg_tablespace, which is read for the list of databases and for no connection.
        try put(
            "pg_verifybackup",
            "dd if=/dev/urandom of=\"$2\"/global/1213 bs=8192 count=1 conv=notrunc; echo 'not as it was' >&2; exit 1")
        let (verdicts, damage, text) = try failed()
        #expect(verdicts["shop/pg_verifybackup"] == "failed" && damage == "content", "\(text)")
        // No database can be listed, so that none can be read; the server's word on it is kept beside the other.
        #expect(verdicts["shop/server"] == "failed" && text.contains("relation global/1213"), "\(text)")
    }
}
