// Dumps of servers that are newer than the client tools, and of each version with its own.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A dump of PostgreSQL of each version", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresDumpVersionTests {
    private static var newer: [Int] {
        #if arch(x86_64)
        [16, 18]
        #else
        []
        #endif
    }

    @Test("is refused while the client tools are older, and comes back once they are not", arguments: newer)
    func newerServer(version: Int) throws {
        try #require(PostgresServer.versions.contains(version), "PostgreSQL \(version) is missing: run scripts/setup")
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0, version: version) }
        try server.make()
        try server.start()
        try server.sql("CREATE TABLE kept AS SELECT i, md5(i::text) t FROM generate_series(1, 5000) i")
        try server.sql("SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 5000), 'hex')), lo_create(4712)")
        try run.makeRepository()
        let refused = try run("backup", server.dumpURL("postgres"))
        #expect(refused.status == 1, "\(refused.errors)")
        #expect(refused.errors.contains("which refuses what is of PostgreSQL \(version)"), "\(refused.errors)")
        #expect(refused.errors.contains("postgresql-client-\(version)"), "\(refused.errors)")
        #expect(try run.snapshotCount() == 0)

        var equipped = run
        equipped.wrapper = ["/usr/bin/env", "PATH=\(server.binaries):/usr/bin:/bin"]
        let taken = try equipped("backup", server.dumpURL("postgres"))
        #expect(taken.status == 0, "\(taken.errors)")
        let older = try run("restore", "latest", "--to", server.dumpURL("copy"))
        #expect(older.status == 1 && older.errors.contains("pg_restore here is 15."), "\(older.errors)")
        let restored = try equipped("restore", "latest", "--to", server.dumpURL("copy"))
        #expect(restored.status == 0 && restored.errors.contains("copy: no errors"), "\(restored.errors)")
        #expect(try server.dump("copy") == server.dump("postgres"))
        server.stop()
    }
}
