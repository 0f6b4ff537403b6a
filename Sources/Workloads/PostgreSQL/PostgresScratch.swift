// A throw-away server over a restored cluster.

import CLinux
import Glibc
import Primitives
import Repository

/// A server that runs over a restored data directory, seen by this process alone.
///
/// It has no TCP and, where the right exists, no network at all; it archives nothing, follows nobody, loads no library
/// that was named in a configuration, and reads none of the copy's configuration but `postgresql.auto.conf`, of which
/// all that matters is overruled. It replays the log that the copy brings, so the copy is changed by it.
package final class PostgresScratch: WorkloadScratch {
    /// From the start until it takes connections, which is when its log is replayed.
    package static let patience = Duration.seconds(1800)
    /// What an error says under this key was found wrong with the copy's files before the server did not start.
    private static let manifestContext = "pg_verifybackup"
    private static let port = "5432"
    static let rulesFile = "pg_hba.conf"
    /// What `ALTER DATABASE` or `ALTER ROLE` in the copy may not turn on: damage would then be read as nothing.
    private static let strictness = ["zero_damaged_pages": "off", "ignore_checksum_failure": "off"]

    /// The same as options of a session.
    static let sessionOptions = strictness.sorted { $0.key < $1.key }.map { "-c \($0.key)=\($0.value)" }
        .joined(separator: " ")

    package let address: String
    let data: String
    let programs: PostgresPrograms
    let user: ServerUser
    let role: String
    let isolation: ScratchIsolation
    /// What was looked at before the server changed the copy, or what came of filling it; what a check had found that
    /// was broken off. Written before others see it, and by the thread that checks.
    package nonisolated(unsafe) var findings: [WorkloadFinding]
    let rules: ScratchRules
    private let isMadeForIt: Bool
    let place: ScratchPlace
    private let process: any RunningProcess

    /// What is settled before anything is started.
    struct Preparation {
        var data: String
        var programs: PostgresPrograms
        var user: ServerUser
        var findings: [WorkloadFinding]
        var control: [String: String]
        var isolation: ScratchIsolation
        /// Directories of tablespaces.
        var tablespaces: [String] = []
        /// The data directory is no copy.
        var isMade = false
        /// Who gets in.
        var rules = ScratchRules()
    }

    init(
        _ preparation: Preparation, _ place: ScratchPlace, _ process: any RunningProcess, address: String, role: String
    ) {
        self.address = address
        self.role = role
        data = preparation.data
        programs = preparation.programs
        user = preparation.user
        isolation = preparation.isolation
        findings = preparation.findings
        rules = preparation.rules
        isMadeForIt = preparation.isMade
        self.place = place
        self.process = process
    }

    deinit { stop() }

    /// The directory of its socket.
    var socketDirectory: String { place.inner }

    /// How a client reaches the database `name`; empty for the server as a whole.
    func address(database name: String) throws(HoldfastError) -> PostgresAddress {
        try Self.address(place, role, name)
    }

    /// Options by which a client of PostgreSQL reaches it.
    var clientOptions: [String] { ["-h", socketDirectory, "-p", Self.port, "-U", role, "-w"] }

    package func stop() {
        process.terminate()
        _ = process.wait()
        Self.forget(data)
        place.remove()
        // What was restored stays; a cluster that was made for the server goes with it.
        if isMadeForIt { try? ScratchTree.remove(data) }
    }

    /// The words that start a client of it.
    func words(_ program: String, _ arguments: [String]) -> [String] {
        isolation.words(
            [programs.path(program)] + arguments, as: user, seeing: [place.path] + programs.places)
    }

    /// How pg_restore is kept apart that fills it.
    var confinement: ScratchConfinement {
        ScratchConfinement(isolation: isolation, user: user, directory: place.inner, place: place.path)
    }

    // MARK: Starting

    /// Starts a server over a copy that was restored with `pgdata:DIR`.
    ///
    /// - Parameter patience: Until it takes connections.
    /// - Throws: `.targetFailed` for a copy that is in use, is not whole or leads elsewhere; `.processFailed` without
    ///   the programs of its version, and when the server ended over something else than the copy, or nobody can tell;
    ///   `.checkFailed` when it was the copy, with the end of its log; `.limitExceeded` when it is not ready in time.
    ///   Nothing runs then, and nothing is left but the copy. What was found until then is in the context's
    ///   ``StartFindings``.
    package static func start(
        over copy: RestoredCopy, patience: Duration = patience, _ context: WorkloadContext
    ) throws(HoldfastError) -> PostgresScratch {
        ScratchPlace.removeLeftovers(stop: stopServer)
        var preparation = try prepare(copy, context)
        preparation.rules = try ScratchRules(roles(copy, preparation), servedBy: preparation.user)
        context.startFindings?.add(preparation.findings)
        let place = try ScratchPlace.make(over: preparation.data, context)
        var running: (any RunningProcess)?
        do throws(HoldfastError) {
            let process = try launch(preparation, place, context)
            running = process
            let end = context.clock.uptime() + patience
            let (address, role) = try wait(
                for: process, preparation, place, until: end, patience, context)
            return PostgresScratch(preparation, place, process, address: address, role: role)
        } catch {
            // One that runs still was not ended by the copy.
            if error.code == .checkFailed, running?.result != nil {
                context.startFindings?.add([
                    WorkloadFinding(.error, "server", error.message, hint: error.hint, code: .checkFailed)
                ])
            }
            running?.terminate()
            _ = running?.wait()
            forget(preparation.data)
            place.remove()
            guard let wrong = preparation.findings.first(where: { $0.severity == .error }) else { throw error }
            throw error.with(manifestContext, wrong.message)
        }
    }

    /// Removes the number of a server that has ended: in a namespace of processes it is a small one, which is somebody
    /// else's outside.
    static func forget(_ data: String) { unlink("\(data)/postmaster.pid") }

    /// The server that runs over a directory, by its process; nil when there is none.
    package static func server(over data: String) throws(HoldfastError) -> Int32? {
        try PostgresDirectory(data).runningServer()
    }

    private static func prepare(
        _ copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> Preparation {
        guard let path = copy.places[PostgresWorkload.rootPath] else {
            throw HoldfastError(
                .targetFailed, "the data directory was not restored", hint: "Restore the whole snapshot.")
        }
        let data = try realPath(path)
        let directory = PostgresDirectory(data)
        if let process = try directory.runningServer() {
            throw HoldfastError(
                .targetFailed, "a server runs in \(data), process \(process)", hint: "Restore into another directory.")
        }
        guard try directory.small(PgdataWorkload.marker) == nil, let version = try directory.small("PG_VERSION"),
            let major = Int(String(decoding: version, as: UTF8.self).prefix { $0.isNumber })
        else {
            throw HoldfastError(
                .targetFailed, "\(data) is no whole data directory", hint: "Restore to pgdata:DIR first.")
        }
        let tablespaces = try tablespaces(of: directory, copy)
        let programs = try PostgresPrograms.find("postgres", major: major, context)
        let user = try ServerUser(for: data)
        for path in [data] + tablespaces {
            guard user.reaches(path) else {
                throw HoldfastError(
                    .targetFailed, "the user \(user.name), as whom the server has to run, cannot get to \(path)",
                    hint: "Restore into a directory whose parents everybody may pass.")
            }
            try user.own(path)
        }
        for name in ["recovery.signal", "standby.signal"] where unlink("\(data)/\(name)") != 0 && errno != ENOENT {
            throw HoldfastError.systemCall("remove", errno, on: "\(data)/\(name)", code: .targetFailed)
        }
        let isolation = try context.settledIsolation()
        var preparation = Preparation(
            data: data, programs: programs, user: user, findings: [], control: [:], isolation: isolation)
        preparation.tablespaces = tablespaces
        preparation.control = try control(preparation, context)
        preparation.findings = try manifest(preparation, directory, context)
        return preparation
    }

    private static func realPath(_ path: String) throws(HoldfastError) -> String {
        guard let real = Host.realPath(path) else {
            throw HoldfastError.systemCall("look at", errno, on: path, code: .targetFailed)
        }
        return real
    }

    /// The directories of tablespaces; refuses one that is not of the copy, since the server would write to it.
    static func tablespaces(
        of directory: PostgresDirectory, _ copy: RestoredCopy
    ) throws(HoldfastError) -> [String] {
        guard try directory.small("tablespace_map") == nil else {
            throw HoldfastError(
                .targetFailed, "the copy has a tablespace_map, by which the server would write elsewhere",
                hint: "Restore to pgdata:DIR.")
        }
        var own: Set<String> = []
        // One that was made in place is a directory there; a link in its place leads to what is not of the copy.
        for place in copy.places.values where !place.hasPrefix("\(directory.path)/") { own.insert(try realPath(place)) }
        var found: [String] = []
        for oid in try PostgresDirectory.names(in: "\(directory.path)/pg_tblspc") {
            guard directory.linkTarget(ofTablespace: oid) != nil else { continue }
            let place = try realPath("\(directory.path)/pg_tblspc/\(oid)")
            guard own.contains(place) else {
                throw HoldfastError(
                    .targetFailed, "tablespace \(oid) of the copy lies at \(place), which was not restored with it",
                    hint: "Restore to pgdata:DIR with --tablespace for each.")
            }
            found.append(place)
        }
        return found
    }

    /// What pg_controldata says.
    private static func control(
        _ preparation: Preparation, _ context: WorkloadContext
    ) throws(HoldfastError) -> [String: String] {
        let outcome = try ToolRun(preparation.words("pg_controldata", ["-D", preparation.data])).run(context)
        guard outcome.result.isSuccess else {
            let message = "\(outcome.result): \(outcome.complaint)"
            if let failure = PostgresBlame.program(outcome).failure(of: "pg_controldata", message) { throw failure }
            let hint = "Restore it again; then look whether another snapshot has the same fault."
            context.startFindings?.add([
                WorkloadFinding(.error, "pg_controldata", message, hint: hint, code: .checkFailed)
            ])
            throw HoldfastError(.checkFailed, "pg_controldata failed: \(message)", hint: hint)
        }
        var values: [String: String] = [:]
        for line in String(decoding: outcome.head, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[String(line[..<colon])] = String(line[colon...].dropFirst().drop { $0 == " " })
        }
        return values
    }

    /// Compares the copy with the server's manifest, which can only be done before a server has changed it.
    private static func manifest(
        _ preparation: Preparation, _ directory: PostgresDirectory, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard try directory.small("backup_label") != nil else {
            return [
                WorkloadFinding(
                    .warning, "manifest",
                    "a server has run over the copy before, so it is not compared with its manifest",
                    hint: "Restore it again.")
            ]
        }
        return [try PostgresChecks.manifest(preparation, context)]
    }

    static func launch(
        _ preparation: Preparation, _ place: ScratchPlace, _ context: WorkloadContext
    ) throws(HoldfastError) -> any RunningProcess {
        let user = preparation.user
        try place.write("postgresql.conf", "")
        try place.write(rulesFile, preparation.rules.text)
        try place.write("pg_ident.conf", preparation.rules.identities)
        try user.own(place.inner)
        var arguments = ["-D", preparation.data]
        for (name, value) in settings(preparation, place).sorted(by: { $0.key < $1.key }) {
            arguments += ["-c", "\(name)=\(value)"]
        }
        // Not with this thread: whoever checks may be another.
        var request = ProcessRequest(
            preparation.words("postgres", arguments, seeing: [place.path], endsWithUs: false))
        request.environment = ToolRun.environment
        // An end as immediate as may be: nothing of it is kept.
        request.stopSignal = preparation.isolation.serverStopSignal
        return try context.runner.start(request, cancellation: context.cancellation)
    }

    /// Settings that hold whatever `postgresql.auto.conf` of the copy says.
    private static func settings(_ preparation: Preparation, _ place: ScratchPlace) -> [String: String] {
        var settings = [
            // Where things are: nothing outside of the copy and the private directory.
            "config_file": "\(place.inner)/postgresql.conf", "hba_file": "\(place.inner)/\(rulesFile)",
            "ident_file": "\(place.inner)/pg_ident.conf", "data_directory": preparation.data,
            "external_pid_file": "", "listen_addresses": "", "port": port, "bonjour": "off",
            "unix_socket_directories": place.inner, "unix_socket_permissions": "0700", "unix_socket_group": "",
            "ssl": "off", "max_stack_depth": "1MB",
            // Its log says why it does not start.
            "logging_collector": "off", "log_destination": "stderr", "log_min_messages": "warning",
            "log_line_prefix": "", "lc_messages": "C",
            // No way back to the source, and to no other server.
            "archive_mode": "off", "archive_command": "", "archive_library": "", "archive_cleanup_command": "",
            "recovery_end_command": "", "restore_command": "", "primary_conninfo": "", "primary_slot_name": "",
            "synchronous_standby_names": "", "max_logical_replication_workers": "0", "recovery_target": "",
            "recovery_target_action": "promote", "promote_trigger_file": "",
            // Nothing that runs by itself.
            "shared_preload_libraries": "", "session_preload_libraries": "", "local_preload_libraries": "",
            "autovacuum": "off", "jit": "off",
            // It is thrown away.
            "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "replica",
            "shared_buffers": "64MB", "huge_pages": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1d",
            "statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
            "default_transaction_read_only": "off", "temp_tablespaces": "", "restart_after_crash": "off",
        ]
        settings.merge(strictness) { $1 }
        settings["ignore_invalid_pages"] = "off"
        // Replay needs as much room as the source had.
        for name in [
            "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_xacts", "max_locks_per_xact",
        ] {
            let setting =
                name.hasSuffix("_xact") || name.hasSuffix("_xacts")
                ? name.replacing("xact", with: "transaction") : name
            if let value = preparation.control["\(name) setting"] { settings[setting] = value }
        }
        // Settings that not every version has; the server refuses to start with one that it does not know.
        let major = preparation.programs.major
        if major >= 16 { settings["promote_trigger_file"] = nil }
        if major >= 17 { settings["event_triggers"] = "off" }
        return settings
    }

    // MARK: Until it is ready

    /// Roles that may be the superuser, the likeliest first.
    private static func roles(_ copy: RestoredCopy, _ preparation: Preparation) -> [String] {
        var roles: [String] = []
        for name in [copy.record.facts[PostgresWorkload.superuserFact], "postgres", preparation.user.name] {
            if let name, !name.isEmpty, !roles.contains(name) { roles.append(name) }
        }
        return roles
    }

    static func wait(
        for process: any RunningProcess, _ preparation: Preparation, _ place: ScratchPlace,
        until end: Duration, _ patience: Duration, _ context: WorkloadContext
    ) throws(HoldfastError) -> (address: String, role: String) {
        let roles = preparation.rules.superusers
        var candidates = roles[...]
        var databases = ["postgres", "template1"][...]
        while true {
            try context.cancellation.check()
            if let result = process.result { throw ended(process, result) }
            guard context.clock.uptime() < end else {
                throw HoldfastError(
                    .limitExceeded, "the scratch server was not ready within \(patience)",
                    hint: "Give it more time, or look at the end of its log.", context: log(process))
            }
            guard let role = candidates.first, let database = databases.first else {
                throw HoldfastError(
                    .checkFailed, "the scratch server knows none of the roles \(roles.joined(separator: ", "))",
                    hint: "Let the role of the backup read the databases, so that snapshots note the superuser.")
            }
            let address = try address(place, role, database)
            do throws(HoldfastError) {
                _ = try PostgresConnection(
                    address, for: .database(database), clock: context.clock, cancellation: context.cancellation,
                    timeout: .seconds(5))
                return (address.text, role)
            } catch {
                if error.code == .interrupted { throw error }
                switch error.sqlstate {
                // The last is said to a role that is no superuser, since it may not set what a session begins with.
                case "28000", "28P01", "42501": candidates = candidates.dropFirst()
                case "3D000": databases = databases.dropFirst()
                default: context.clock.sleep(for: .milliseconds(100), unless: context.cancellation)
                }
            }
        }
    }

    static func address(
        _ place: ScratchPlace, _ role: String, _ database: String, options: String = sessionOptions
    ) throws(HoldfastError) -> PostgresAddress {
        func escaped(_ text: String) -> String {
            text.utf8.map { byte in
                let scalar = Unicode.Scalar(byte)
                let isPlain =
                    scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                return isPlain ? String(scalar) : "%" + Hex.encode([byte])
            }.joined()
        }
        return try PostgresAddress(
            "postgres:///\(escaped(database))?host=\(escaped(place.inner))&port=\(port)&user=\(escaped(role))&sslmode=disable"
                + (options.isEmpty ? "" : "&options=\(escaped(options))"))
    }

    private static func ended(_ process: any RunningProcess, _ result: ProcessResult) -> HoldfastError {
        let log = log(process)
        let blame = PostgresBlame.server(result, log: process.errorTail)
        if let failure = blame.failure(of: "the scratch server", "\(result)", context: log) { return failure }
        return HoldfastError(
            .checkFailed, "the scratch server did not start: \(result)",
            hint: "The end of its log says why; a damaged copy is restored again, or another snapshot is tried.",
            context: log)
    }

    private static func log(_ process: any RunningProcess) -> [(String, String)] {
        let tail = String(decoding: process.errorTail, as: UTF8.self)
        return tail.isEmpty ? [] : [("log", tail)]
    }

    // MARK: Checking

    /// All that a restored cluster is asked. Without a scratch server only its files are compared, and it says so.
    static func check(
        _ copy: RestoredCopy, _ scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        let missing = copy.record.roots.filter { copy.places[$0.path] == nil }
        guard missing.isEmpty else {
            return missing.map {
                WorkloadFinding(.error, "files", "\(printablePath($0.path)) was not restored", code: .checkFailed)
            }
        }
        if let scratch = scratch as? PostgresScratch {
            return try PostgresChecks(scratch, copy.record, context).run()
        }
        let preparation = try prepare(copy, context)
        return preparation.findings + [
            WorkloadFinding(
                .warning, "server", "no server was started, so nothing but files was compared",
                hint: "Start one over the copy.")
        ]
    }

    // MARK: After a crash

    /// Stops the server that was started over the copy at `data` from the scratch place of that name.
    ///
    /// The copy is its maker's, who may long have started a server of their own over it, which is left alone.
    package static func stopServer(over data: String, from place: String) {
        guard let process = try? PostgresDirectory(data).runningServer() else { return }
        // First of all a handle, so that what is looked at is what is stopped.
        let number = holdfast_process_handle(process)
        guard number >= 0 else { return }
        let handle = OwnedDescriptor(number)
        // The postmaster works in its data directory; another process that got its number does not.
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/\(process)/cwd", &buffer, buffer.count)
        guard count > 0, String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) == data else {
            return
        }
        // Where its configuration is says from where it was started.
        guard arguments(of: process).contains(where: { $0.hasSuffix("/\(place)/s/postgresql.conf") }) else { return }
        for signal in [SIGQUIT, SIGKILL] {
            guard holdfast_signal_process(handle.number, signal) == 0 else { break }
            // The handle can be read from when the process has ended.
            var watched = pollfd(fd: handle.number, events: Int16(POLLIN), revents: 0)
            if poll(&watched, 1, graceOfStop) > 0 { break }
        }
        if OpenFiles.residents(of: data, called: ["postgres", "postmaster"]).isEmpty { forget(data) }
    }

    /// In milliseconds.
    private static let graceOfStop: Int32 = 10_000

    private static func arguments(of process: Int32) -> [String] {
        let number = holdfast_openat(AT_FDCWD, "/proc/\(process)/cmdline", O_RDONLY, 0)
        guard number >= 0 else { return [] }
        let file = OwnedDescriptor(number)
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = Glibc.read(file.number, &bytes, bytes.count)
        guard count > 0 else { return [] }
        return bytes[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension PostgresScratch.Preparation {
    /// The words that start a program of the server's, which sees the copy and what else is named.
    func words(
        _ program: String, _ arguments: [String], seeing places: [String] = [], endsWithUs: Bool = true
    ) -> [String] {
        isolation.words(
            [programs.path(program)] + arguments, as: user, seeing: [data] + tablespaces + places + programs.places,
            endsWithUs: endsWithUs)
    }
}
