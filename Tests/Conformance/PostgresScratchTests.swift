// Scratch servers over copies that would reach for the world, are damaged, or were left by a crash.

import Foundation
import Glibc
import Primitives
import Recovery
import Repository
import TestSupport
import TestThreads
import Testing

@testable import Workloads

/// What there are rights for on this machine.
private enum IsolationHere {
    static let found: ScratchIsolation? = {
        try? ScratchIsolation(
            WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation()))
    }()
}

@Suite("A scratch server of PostgreSQL", .waiting, .enabled(if: ConformanceCluster.isInstalled), .serialized)
struct PostgresScratchTests {
    /// A cluster with a snapshot of it, and a copy restored from that.
    private struct Setting {
        let directory = TemporaryDirectory()
        let cluster: ConformanceCluster
        let test: TestRepository
        let copy: RestoredCopy
        var data: String { directory.path + "/out" }
        var workload: PostgresWorkload { PostgresWorkload(url: "postgres:\(cluster.rest)") }

        init(settings: String = "", _ prepare: (ConformanceCluster) throws -> Void = { _ in }) throws {
            cluster = try ConformanceCluster(in: directory.path, settings: settings)
            try prepare(cluster)
            test = try TestRepository()
            let options = BackupOptions(source: "test", host: "host", toolVersion: "test")
            let source = PostgresWorkload(url: "postgres:\(cluster.rest)")
            let record = try Backup(test.repository, options: options).run(workloads: [source]).record
            copy = try Self.restore(record, to: directory.path + "/out", tablespaces: [:], test)
        }

        static func restore(
            _ record: SnapshotRecord, to out: String, tablespaces: [String: String], _ test: TestRepository
        ) throws -> RestoredCopy {
            let selector = try SnapshotSelector("latest")
            let session = try RestoreSession(test.repository) { (repository) throws(HoldfastError) in
                try repository.snapshot(selector).snapshot
            }
            defer { session.close() }
            var options = WorkloadOptions()
            options.tablespaces = tablespaces
            let target = PgdataWorkload(path: out, options: options)
            let result = try session.restore(
                to: target, options: Restorer.writerOptions(ownership: false), threads: 2)
            #expect(result.result.isComplete)
            return RestoredCopy(record: record, places: [PostgresWorkload.rootPath: out])
        }

        func append(_ text: String, to name: String) throws {
            let path = "\(data)/\(name)"
            let old = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            try Data((old + text).utf8).write(to: URL(fileURLWithPath: path))
        }
    }

    private func context(_ cancellation: Cancellation = Cancellation()) -> WorkloadContext {
        WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: cancellation)
    }

    private func show(_ scratch: PostgresScratch, _ statement: String) throws -> String {
        let connection = try PostgresConnection(
            try PostgresAddress(scratch.address), for: .database(nil), cancellation: Cancellation())
        return try connection.rows(statement, for: "ask").map { $0.map { $0 ?? "" }.joined(separator: "|") }
            .joined(separator: "\n")
    }

    @Test("heeds no setting of the copy that leads back to the source or starts something by itself")
    func isolation() throws {
        let trace = "touch /tmp/holdfast-trace-\(getpid())"
        let setting = try Setting(
            settings: "max_connections = 210\nwal_level = logical\nmax_prepared_transactions = 7\n"
        ) {
            try $0.sql("CREATE PUBLICATION p FOR ALL TABLES")
            try $0.sql(
                "CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere dbname=x' PUBLICATION p "
                    + "WITH (connect = false, enabled = false)"
            )
            try $0.sql("BEGIN; INSERT INTO t VALUES (-1); PREPARE TRANSACTION 'left'")
        }
        defer { unlink("/tmp/holdfast-trace-\(getpid())") }
        let hostile = """
            archive_mode = 'on'
            archive_command = '\(trace)'
            shared_preload_libraries = 'pg_cron'
            session_preload_libraries = 'nothing_there'
            listen_addresses = '*'
            primary_conninfo = 'host=localhost'
            restore_command = '\(trace)'
            recovery_end_command = '\(trace)'
            logging_collector = 'on'
            log_destination = 'csvlog'
            hba_file = '/nonexistent'
            unix_socket_directories = '/var/run/postgresql'
            ssl = 'on'
            zero_damaged_pages = 'on'
            ignore_checksum_failure = 'on'
            shared_buffers = '1000GB'
            unix_socket_group = 'staffdba'
            max_stack_depth = '7MB'
            log_min_messages = 'panic'

            """
        try setting.append(hostile, to: "postgresql.auto.conf")
        try setting.append("this is no configuration\n", to: "postgresql.conf")
        try setting.append("reject everything\n", to: "pg_hba.conf")
        try setting.append("", to: "standby.signal")
        let scratch = try PostgresScratch.start(over: setting.copy, context())
        defer { scratch.stop() }
        for (name, value) in [
            ("archive_mode", "off"), ("listen_addresses", ""), ("shared_preload_libraries", ""),
            ("primary_conninfo", ""), ("restore_command", ""), ("max_logical_replication_workers", "0"),
            ("max_connections", "210"), ("max_prepared_transactions", "7"), ("autovacuum", "off"),
            ("zero_damaged_pages", "off"), ("ignore_checksum_failure", "off"),
            ("unix_socket_group", ""), ("max_stack_depth", "1MB"), ("log_min_messages", "warning"),
        ] {
            #expect(try show(scratch, "SHOW \(name)") == value, "\(name)")
        }
        #expect(try show(scratch, "SELECT pg_is_in_recovery()") == "f")
        #expect(try show(scratch, "SELECT gid FROM pg_prepared_xacts") == "left")
        _ = try show(scratch, "SELECT pg_switch_wal()")
        #expect(!FileManager.default.fileExists(atPath: "/tmp/holdfast-trace-\(getpid())"))
        let owner = try FileManager.default.attributesOfItem(atPath: setting.data)[.ownerAccountID] as? Int
        #expect(owner != 0, "it runs as an unprivileged user")
        let findings = try setting.workload.check(setting.copy, scratch: scratch, context())
        // The files that were changed above, and nothing else.
        #expect(findings.filter { $0.severity == .error }.map(\.subject) == ["pg_verifybackup"], "\(findings)")
    }

    @Test(
        "has no network where the right to take it away exists",
        .enabled(if: IsolationHere.found?.deniesNetwork == true, "the right to take it away does not exist here"))
    func network() throws {
        let setting = try Setting()
        let scratch = try PostgresScratch.start(over: setting.copy, context())
        defer { scratch.stop() }
        let process = try #require(try PostgresScratch.server(over: setting.data))
        let manager = FileManager.default
        let own = try manager.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
        #expect(try manager.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/net") != own)
    }

    @Test(
        "sees no files of homes and temporary directories, no sockets and no other processes, where that can be had",
        .enabled(if: geteuid() == 0 && IsolationHere.found?.level == .namespaces, "namespaces are refused here"))
    func view() throws {
        let setting = try Setting()
        let secret = TemporaryDirectory()
        try Data("secret".utf8).write(to: URL(fileURLWithPath: secret.path + "/password"))
        chmod(secret.path, 0o755)
        chmod(secret.path + "/password", 0o644)
        var context = context()
        // In a place that is in sight otherwise: what was settled for all is what holds for the server.
        let named = "/var/lib/holdfast-test-\(getpid())"
        try #require(mkdir(named, 0o755) == 0)
        defer { rmdir(named) }
        context.isolation = try ScratchIsolation(context, hiding: ScratchSecrets(keys: [named]))
        try #require(context.isolation?.level == .namespaces)
        #expect(rmdir(named) == 0 && mkdir(named, 0o755) == 0 && mkdir(named + "/inner", 0o755) == 0)
        defer { rmdir(named + "/inner") }
        let scratch = try PostgresScratch.start(over: setting.copy, context)
        defer { scratch.stop() }
        #expect(try show(scratch, "SELECT pg_stat_file('\(secret.path)/password', true) IS NULL") == "t")
        #expect(try show(scratch, "SELECT count(*) FROM pg_ls_dir('/run')") == "0")
        #expect(try show(scratch, "SELECT count(*) FROM pg_ls_dir('\(named)')") == "0")
        let processes = "SELECT pg_read_file('/proc/1/cmdline', 0, 2)"
        #expect(try show(scratch, processes) == "sh", "the first of its own")
        // And what it starts has no rights that it could win them back with.
        let status = try show(scratch, "SELECT pg_read_file('/proc/self/status')")
        #expect(status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1"), "\(status)")
    }

    @Test("finds a changed row, a damaged index, a missing file, another schema and a log that stops short")
    func damage() throws {
        let setting = try Setting()
        let table = try setting.cluster.ask("SELECT pg_relation_filepath('t')")
        let index = try setting.cluster.ask("SELECT pg_relation_filepath('t_pkey')")
        func errors(_ change: (String) throws -> Void, _ record: SnapshotRecord? = nil) throws -> Set<String> {
            let out = setting.directory.path + "/" + UUID().uuidString
            var copy = try Setting.restore(setting.copy.record, to: out, tablespaces: [:], setting.test)
            if let record { copy.record = record }
            try change(out)
            let scratch = try PostgresScratch.start(over: copy, context())
            defer { scratch.stop() }
            let findings = try setting.workload.check(copy, scratch: scratch, context())
            return Set(findings.filter { $0.severity == .error }.map(\.subject))
        }
        #expect(try errors { _ in } == [])
        func overwrite(_ path: String, at offset: UInt64, _ text: String) throws {
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try file.seek(toOffset: offset)
            try file.write(contentsOf: Data(text.utf8))
            try file.close()
        }
        let page = try errors { try overwrite("\($0)/\(table)", at: 8192 * 3 + 6000, "another text for this row") }
        #expect(page.isSuperset(of: ["pg_verifybackup", "pg_amcheck", "pg_dump"]), "\(page)")
        let key = try errors { try overwrite("\($0)/\(index)", at: 8192 * 5 + 4000, "no key of this index") }
        #expect(key.isSuperset(of: ["pg_verifybackup", "pg_amcheck"]), "\(key)")
        let missing = try errors { unlink("\($0)/\(table)") }
        #expect(missing.isSuperset(of: ["pg_verifybackup", "pg_dump"]), "\(missing)")
        var record = setting.copy.record
        record.expectedContents["schema.sha256:postgres"] = String(repeating: "0", count: 64)
        #expect(try errors({ _ in }, record) == ["schema"])
        record = setting.copy.record
        record.expectedContents["stopPosition"] = "FFFF/0"
        #expect(try errors({ _ in }, record) == ["replay"])
    }

    @Test("finds damage that the databases and roles of the copy are set not to see")
    func blindness() throws {
        let setting = try Setting {
            try $0.sql("ALTER DATABASE postgres SET zero_damaged_pages = on")
            try $0.sql("ALTER ROLE chief SET zero_damaged_pages = on")
            try $0.sql("ALTER ROLE chief SET ignore_checksum_failure = on")
        }
        let table = try setting.cluster.ask("SELECT pg_relation_filepath('t')")
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(setting.data)/\(table)"))
        try file.seek(toOffset: 8192 * 3)
        try file.write(contentsOf: Data("no page of this table".utf8))
        try file.close()
        let scratch = try PostgresScratch.start(over: setting.copy, context())
        defer { scratch.stop() }
        #expect(try show(scratch, "SHOW zero_damaged_pages") == "off")
        let findings = try setting.workload.check(setting.copy, scratch: scratch, context())
        let errors = Set(findings.filter { $0.severity == .error }.map(\.subject))
        #expect(errors.isSuperset(of: ["pg_amcheck", "pg_dump"]), "\(findings)")
        let connection = try PostgresConnection(
            try PostgresAddress(scratch.address), for: .database(nil), cancellation: Cancellation())
        #expect(throws: HoldfastError.self) { try connection.rows("SELECT 1", columns: 2, for: "ask") }
    }

    @Test("that has no right to a file of its copy finds nothing wrong with the copy, and says so")
    func unreadable() throws {
        let setting = try Setting()
        let scratch = try PostgresScratch.start(over: setting.copy, context())
        defer { scratch.stop() }
        let file = try show(scratch, "SELECT pg_relation_filepath('pg_constraint')")
        #expect(chmod("\(setting.data)/\(file)", 0) == 0)
        let error = #expect(throws: HoldfastError.self) {
            _ = try setting.workload.check(setting.copy, scratch: scratch, context())
        }
        #expect(error?.message.contains("Permission denied") == true, "\(String(describing: error))")
        let errors = scratch.findings.filter { $0.severity == .error }
        #expect(errors.isEmpty && scratch.findings.contains { $0.subject == "pg_verifybackup" }, "\(errors)")
    }

    @Test("is reached by a superuser whatever letters are in its name")
    func letters() throws {
        let setting = try Setting { try $0.sql("CREATE ROLE \"chíef ó²\" SUPERUSER LOGIN") }
        var copy = setting.copy
        copy.record.facts[PostgresWorkload.superuserFact] = "chíef ó²"
        let scratch = try PostgresScratch.start(over: copy, context())
        defer { scratch.stop() }
        #expect(try show(scratch, "SELECT current_user") == "chíef ó²")
    }

    @Test("asks every role for its password, and the superuser too while one is held against it")
    func passwords() throws {
        let setting = try Setting { cluster in
            try cluster.sql("CREATE ROLE app LOGIN PASSWORD 'the word of app'")
            try cluster.sql("CREATE ROLE bare LOGIN")
            try cluster.sql("CREATE ROLE ended LOGIN PASSWORD 'gone' VALID UNTIL '2020-01-01'")
            try cluster.sql("SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD 'the old word'")
            try cluster.sql("ALTER ROLE chief PASSWORD 'the word of chief'")
        }
        let scratch = try PostgresScratch.start(over: setting.copy, context())
        defer { scratch.stop() }
        let rules = "\(scratch.socketDirectory)/pg_hba.conf"
        let before = try String(contentsOfFile: rules, encoding: .utf8)
        #expect(!before.contains("trust") && before.hasSuffix("local all all scram-sha-256\n"), "\(before)")
        func prove(_ role: String, _ word: String) throws(HoldfastError) -> PasswordProof {
            var bytes = Array(word.utf8)
            return try scratch.prove(SecretBytes(wiping: &bytes), opens: "postgres", as: role, context())
        }
        #expect(try prove("app", "the word of app") == .opened)
        #expect(try prove("chief", "the word of chief") == .opened)
        #expect(try prove("old", "the old word") == .opened)
        #expect(try prove("bare", "anything") == .noVerifier)
        #expect(try prove("nobody", "anything") == .noRole)
        for (role, word) in [("app", "the word of chief"), ("chief", "the word of app"), ("ended", "gone")] {
            let error = #expect(throws: HoldfastError.self) { _ = try prove(role, word) }
            #expect(error?.code == .accessDenied, "\(String(describing: error))")
            #expect(error?.description.contains(word) == false)
        }
        // The way in is as it was.
        #expect(try String(contentsOfFile: rules, encoding: .utf8) == before)
        #expect(try show(scratch, "SELECT current_user") == "chief")
        // A server that lets a wrong password in is found out: the word would say nothing.
        let connection = try PostgresConnection(
            try PostgresAddress(scratch.address), for: .database(nil), cancellation: Cancellation())
        try scratch.load("local all all trust\n", connection, context())
        let error = #expect(throws: HoldfastError.self) { _ = try prove("app", "the word of app") }
        #expect(error?.message.contains("without asking for a password") == true, "\(String(describing: error))")
    }

    @Test("that does not start says why by its log, that is not ready in time is stopped, and nothing is left")
    func failures() throws {
        let setting = try Setting()
        let late = #expect(throws: HoldfastError.self) {
            _ = try PostgresScratch.start(over: setting.copy, patience: .zero, context())
        }
        #expect(late?.code == .limitExceeded)
        let raised = Cancellation()
        raised.raise()
        #expect(throws: HoldfastError.self) { _ = try PostgresScratch.start(over: setting.copy, context(raised)) }
        let log = setting.data + "/pg_wal"
        for name in try FileManager.default.contentsOfDirectory(atPath: log) where name.count == 24 {
            unlink("\(log)/\(name)")
        }
        let failure = #expect(throws: HoldfastError.self) {
            _ = try PostgresScratch.start(over: setting.copy, context())
        }
        #expect(failure?.code == .checkFailed && "\(failure?.context ?? [])".contains("checkpoint record"))
        #expect(try scratchPlaces(over: setting.data).isEmpty && !isServed(setting.data))
    }

    @Test("of a tablespace that was not restored with the copy is refused, since it would write there")
    func tablespaces() throws {
        let place = TemporaryDirectory()
        let setting = try Setting()
        symlink(place.path, setting.data + "/pg_tblspc/99999")
        let refused = #expect(throws: HoldfastError.self) {
            _ = try PostgresScratch.start(over: setting.copy, context())
        }
        #expect(refused?.code == .targetFailed && refused?.message.contains("99999") == true)
        var copy = setting.copy
        copy.places[PostgresWorkload.rootPath(ofTablespace: "99999")] = place.path
        let chmodded = chmod(place.path, 0o755)
        #expect(chmodded == 0)
        try PostgresScratch.start(over: copy, context()).stop()
    }

    @Test("whose process crashed is stopped by the next one, and its directory removed")
    func leftovers() throws {
        let parent = TemporaryDirectory()
        let setting = try Setting()
        let live = try PostgresScratch.start(over: setting.copy, context())
        #expect(isServed(setting.data))
        // A live one's directory is locked, so nobody takes it away.
        let stopped = Shared()
        let real = try #require(realpath(setting.data, nil).map { String(cString: $0) })
        _ = ScratchPlace.removeLeftovers { data, _ in stopped.paths.append(data) }
        #expect(!stopped.paths.contains(real))
        // What a crash leaves is the same, unlocked.
        let name = URL(fileURLWithPath: live.socketDirectory).deletingLastPathComponent().lastPathComponent
        let left = parent.path + "/" + name
        #expect(mkdir(left, 0o711) == 0)
        try Data(real.utf8).write(to: URL(fileURLWithPath: left + "/owner"))
        #expect(ScratchPlace.removeLeftovers(in: parent.path, stop: PostgresScratch.stopServer) == [real])
        #expect(!FileManager.default.fileExists(atPath: left))
        #expect(!isServed(setting.data))
        live.stop()
    }

    @Test("of a process that crashed is told from a server that somebody else started over the copy since")
    func foreignServer() throws {
        let parent = TemporaryDirectory()
        let setting = try Setting()
        // The source's own server stands for one that an operator started over what was restored.
        let real = try #require(realpath(setting.directory.path + "/data", nil).map { String(cString: $0) })
        let left = parent.path + "/holdfast-scratch-0123456789abcdef"
        #expect(mkdir(left, 0o711) == 0)
        try Data(real.utf8).write(to: URL(fileURLWithPath: left + "/owner"))
        #expect(ScratchPlace.removeLeftovers(in: parent.path, stop: PostgresScratch.stopServer) == [real])
        #expect(!FileManager.default.fileExists(atPath: left))
        #expect(isServed(real))
        #expect(try setting.cluster.ask("SELECT count(*) FROM t") == "30000")
    }

    private final class Shared { var paths: [String] = [] }

    /// Directories of servers over the copy at `data`; other tests have theirs.
    private func scratchPlaces(over data: String) throws -> [String] {
        let real = try #require(realpath(data, nil).map { String(cString: $0) })
        let names = (try? FileManager.default.contentsOfDirectory(atPath: ScratchPlace.parent)) ?? []
        return names.filter { name in
            let owner = try? String(contentsOfFile: "\(ScratchPlace.parent)/\(name)/owner", encoding: .utf8)
            return name.hasPrefix(ScratchPlace.prefix) && owner == real
        }
    }

    /// Whether a process works in the directory, as a postmaster does.
    private func isServed(_ data: String) -> Bool {
        let manager = FileManager.default
        return ((try? manager.contentsOfDirectory(atPath: "/proc")) ?? []).contains { name in
            (try? manager.destinationOfSymbolicLink(atPath: "/proc/\(name)/cwd")) == data
        }
    }
}
