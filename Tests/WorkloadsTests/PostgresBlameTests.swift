// What failures of PostgreSQL's programs over a copy are held against, by what they say.

import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

@testable import Workloads

@Suite("A program of PostgreSQL that fails over a copy")
struct PostgresBlameTests {
    private static let prefix = "2026-11-30 03:00:00.000 UTC [7] "
    private static let end = prefix + "LOG:  startup process (PID 9) exited with exit code 1\n"

    private func server(_ log: String, _ result: ProcessResult = .exited(1)) -> PostgresBlame {
        .server(result, log: Array(log.utf8))
    }

    @Test(
        "is a server that lacks what no copy has",
        arguments: [
            "FATAL:  could not fsync file \"pg_wal/000000010000000000000002\": Input/output error",
            "LOG:  could not fork startup process: Resource temporarily unavailable",
            "FATAL:  could not create any Unix-domain sockets", "FATAL:  could not open file \"x\": Permission denied",
            "FATAL:  configuration file \"/x/postgresql.auto.conf\" contains errors",
            "FATAL:  invalid value for parameter \"max_stack_depth\": 7168",
            "LOG:  startup process (PID 9) was terminated by signal 9: Killed",
            "FATAL:  could not map anonymous shared memory: Cannot allocate memory",
        ])
    func lacking(line: String) {
        #expect(server(Self.prefix + line + "\n") == .place)
    }

    @Test(
        "is a server whose files are not as they must be",
        arguments: [
            "FATAL:  could not locate required checkpoint record", "PANIC:  could not locate a valid checkpoint record",
            "FATAL:  WAL ends before consistent recovery point", "FATAL:  invalid data in file \"backup_label\"",
            "FATAL:  could not open file \"pg_xact/0000\": No such file or directory",
        ])
    func damaged(line: String) {
        // On the way to that it may have missed something that does not matter.
        let before = Self.prefix + "LOG:  could not open usermap file \"/x/pg_ident.conf\": Permission denied\n"
        let record = Self.prefix + "LOG:  out of memory while trying to decode a record of length 99\n"
        #expect(server(before + record + Self.prefix + line + "\n" + Self.end) == .copy)
    }

    @Test("is nobody's fault for certain where its words are neither, or both")
    func unclear() {
        let full = Self.prefix + "FATAL:  could not write to file \"pg_wal/x\": No space left on device\n"
        let lost = Self.prefix + "FATAL:  could not locate required checkpoint record\n"
        #expect(server("") == .unclear)
        #expect(server(Self.prefix + "FATAL:  the database system is starting up\n" + Self.end) == .unclear)
        #expect(server(full + lost) == .unclear)
        #expect(server(lost, .exited(137)) == .place)
    }

    private func program(_ result: ProcessResult, _ errors: String, _ output: String = "") -> PostgresBlame {
        .program(ToolOutcome(result: result, head: Array(output.utf8), errorTail: Array(errors.utf8)))
    }

    @Test(
        "was not reached where what keeps it apart failed before",
        arguments: [
            "unshare: unshare failed: No space left on device",
            "unshare: fork failed: Resource temporarily unavailable",
            "setpriv: setresuid failed: Resource temporarily unavailable", "sh: 1: Cannot fork",
            "holdfast-view: 30: Cannot fork", "mount: /x: permission denied.",
        ])
    func unreached(errors: String) {
        #expect(program(.exited(1), errors) == .place)
        #expect(server(errors) == .place)
    }

    @Test("says nothing of the copy when it was killed, could not be run, or lacks something, and else does")
    func programs() {
        for result in [ProcessResult.exited(127), .exited(137), .signalled(9), .timedOut, .exited(32)] {
            #expect(program(result, "pg_verifybackup: error: checksum mismatch") == .place, "\(result)")
        }
        let full = "pg_dump: error: query failed: ERROR:  could not extend file \"x\": No space left on device\n"
        #expect(program(.exited(1), full + "pg_dump: detail: Query was: SELECT 1\n") == .place)
        #expect(program(.exited(1), "out of memory\n") == .place)
        #expect(program(.exited(1), full + "pg_dump: error: invalid page in block 3\n") == .copy)
        #expect(program(.exited(1), "pg_verifybackup: error: checksum mismatch for file \"x\"\n") == .copy)
        let denied = "heap table \"a.b.c\":\n    ERROR:  could not open file \"base/5/1\": Permission denied\n"
        #expect(program(.exited(2), "", denied) == .place)
        let worse = denied + "heap table \"a.b.d\", block 1:\n    xmin 3 is in the future\n"
        #expect(program(.exited(2), "", worse) == .copy)
        #expect(program(.exited(1), "") == .copy)
    }

    @Test("and fills a server may have lacked room for what it complains of later")
    func filling() {
        func filling(_ errors: String) -> PostgresBlame {
            .filling(ToolOutcome(result: .exited(1), head: [], errorTail: Array(errors.utf8)))
        }
        let full = "pg_restore: error: COPY failed for table \"x\": ERROR:  No space left on device\n"
        let key = "pg_restore: error: could not execute query: ERROR:  Key (id)=(1) is not present in table \"x\".\n"
        let lost = "pg_restore: error: query failed: server closed the connection unexpectedly\n"
        let end = "pg_restore: warning: errors ignored on restore: 1\n"
        #expect(filling(full + end) == .place && filling(key + end) == .copy)
        #expect(filling(full + key + end) == .unclear && filling(lost) == .unclear)
        #expect(program(.exited(1), lost) == .unclear)
        let refused = "pg_dump: error: connection to server on socket \"/x/.s.PGSQL.5432\" failed: "
        #expect(program(.exited(1), refused + "No such file or directory\n") == .unclear)
        let missing = "FATAL:  could not open file \"base/5/2601\": No such file or directory\n"
        #expect(program(.exited(1), refused + missing) == .copy)
        #expect(filling("pg_restore: error: unexpected end of file\n") == .copy)
    }

    @Test(
        "says by its state that it lacks something, and not that the copy does",
        arguments: ["58030", "42501", "53100", "53300", "57P02", "54001"])
    func states(state: String) {
        func error(_ state: String) -> HoldfastError {
            HoldfastError(.sourceFailed, "the server says no", hint: "", context: [("sqlstate", state)])
        }
        #expect(PostgresBlame.error(error(state)) != .copy)
        for other in ["58P01", "XX001", "XX002", "22021"] { #expect(PostgresBlame.error(error(other)) == .copy) }
    }

    @Test("and was to make a new cluster is a program of the place")
    func initdb() throws {
        let directory = TemporaryDirectory()
        chmod(directory.path, 0o755)
        for (name, body) in [("dumps", nil), ("bin", nil), ("bin/initdb", "#!/bin/sh\necho no >&2\nexit 1\n")] {
            let path = "\(directory.path)/\(name)"
            guard let body else {
                #expect(mkdir(path, 0o755) == 0)
                continue
            }
            try Data(body.utf8).write(to: URL(fileURLWithPath: path))
            chmod(path, 0o755)
        }
        var context = WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        let found = StartFindings()
        context.startFindings = found
        let programs = PostgresPrograms(directory: directory.path + "/bin", major: 15)
        let error = #expect(throws: HoldfastError.self) {
            _ = try PostgresScratch.startEmpty(
                at: directory.path + "/cluster", programs, beside: directory.path + "/dumps", context)
        }
        #expect(error?.code == .processFailed && error?.message.contains("no") == true, "\(String(describing: error))")
        #expect(found.all.isEmpty)
    }
}
