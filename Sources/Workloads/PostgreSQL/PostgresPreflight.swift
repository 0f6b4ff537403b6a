// What would make a cluster's backups fail, or its restores fall short: settings, rights and room.

import Primitives
import Repository

/// The look at a cluster beyond what its replication protocol tells by itself.
///
/// What the role may not see is said to be unknown; nothing here needs more rights than a backup.
struct PostgresPreflight {
    private let connection: PostgresConnection
    private let address: PostgresAddress
    private let cluster: PostgresCluster
    private let context: WorkloadContext

    init(
        _ connection: PostgresConnection, _ address: PostgresAddress, _ cluster: PostgresCluster,
        _ context: WorkloadContext
    ) {
        self.connection = connection
        self.address = address
        self.cluster = cluster
        self.context = context
    }

    func findings() throws(HoldfastError) -> [WorkloadFinding] {
        // To have got here takes the right REPLICATION, and a line in pg_hba.conf.
        var findings = [WorkloadFinding(.good, "rights", "the role may replicate, and pg_hba.conf lets it in")]
        findings += try settings()
        findings.append(try tools())
        let catalogue = PostgresCatalogue(address: address)
        let picture: PostgresPicture
        do throws(HoldfastError) {
            picture = try catalogue.picture(context)
        } catch {
            if error.code == .interrupted { throw error }
            findings.append(
                WorkloadFinding(
                    .good, "contents", "the role sees no database, so snapshots record no schemas: \(error.message)",
                    hint: "To have them compared after a restore, add a line for the role and all databases to "
                        + "pg_hba.conf."))
            return findings
        }
        findings += contents(picture)
        return findings
    }

    private func setting(_ name: String, over connection: PostgresConnection) throws(HoldfastError) -> String? {
        do throws(HoldfastError) {
            return try connection.rows("SHOW \(name)", for: "read the setting \(name)").first?.first ?? nil
        } catch {
            // Some settings are for superusers and pg_read_all_settings alone.
            guard error.sqlstate != nil else { throw error }
            return nil
        }
    }

    // MARK: Settings

    private func settings() throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        let level = try setting("wal_level", over: connection) ?? ""
        findings.append(
            level == "minimal"
                ? WorkloadFinding(
                    .error, "wal_level", "is minimal, which no base backup can be taken with",
                    hint: "Set wal_level to replica and start the server again.")
                : WorkloadFinding(.good, "wal_level", "is \(level)"))
        let senders = try number("max_wal_senders")
        let sendersInUse = try count("SELECT count(*) FROM pg_stat_replication")
        findings.append(
            room(
                "max_wal_senders", senders, inUse: sendersInUse, isNeeded: true,
                hint: "Raise max_wal_senders, or end what replicates; a backup needs one."))
        let slots = try number("max_replication_slots")
        let slotsInUse = try count("SELECT count(*) FROM pg_replication_slots")
        findings.append(
            room(
                "max_replication_slots", slots, inUse: slotsInUse, isNeeded: false,
                hint: "Raise max_replication_slots, or set wal_keep_size above what is written during a backup."))
        findings.append(try places())
        if let libraries = try setting("shared_preload_libraries", over: connection), !libraries.isEmpty {
            findings.append(
                WorkloadFinding(
                    .good, "libraries", "\(libraries) are loaded at the start, which scratch servers leave out",
                    hint: "Types and tables that need one of them cannot be checked in a scratch server."))
        }
        return findings
    }

    private func number(_ name: String) throws(HoldfastError) -> Int {
        try setting(name, over: connection).flatMap { Int($0) } ?? 0
    }

    /// A count by a statement in a database; nil where the role may not ask.
    private func count(_ statement: String) throws(HoldfastError) -> Int? {
        do throws(HoldfastError) {
            let database = try PostgresCatalogue(address: address)
                .connect(to: address.database ?? "postgres", context)
            return try database.rows(statement, for: "count").first?.first.flatMap { $0 }.flatMap { Int($0) }
        } catch {
            if error.code == .interrupted { throw error }
            return nil
        }
    }

    private func room(
        _ name: String, _ most: Int, inUse: Int?, isNeeded: Bool, hint: String
    ) -> WorkloadFinding {
        guard let inUse else {
            return most > 0
                ? WorkloadFinding(.good, name, "is \(most); how many are in use is not known")
                : WorkloadFinding(isNeeded ? .error : .warning, name, "is 0", hint: hint)
        }
        // This look itself is one of the senders.
        let used = isNeeded ? max(0, inUse - 1) : inUse
        return used < most
            ? WorkloadFinding(.good, name, "\(most - used) of \(most) are free")
            : WorkloadFinding(isNeeded ? .error : .warning, name, "all \(most) are in use", hint: hint)
    }

    /// Whether the configuration lies in the data directory, and so in the backup.
    private func places() throws(HoldfastError) -> WorkloadFinding {
        guard let data = try setting("data_directory", over: connection) else {
            return WorkloadFinding(
                .good, "configuration", "where it lies is not shown to this role",
                hint: "If it lies outside of the data directory, as on Debian, back /etc/postgresql up too.")
        }
        var outside: [String] = []
        for name in ["config_file", "hba_file", "ident_file"] {
            guard let path = try setting(name, over: connection), !path.isEmpty else { continue }
            if !path.hasPrefix(data + "/") { outside.append(path) }
        }
        guard let first = outside.first else {
            return WorkloadFinding(.good, "configuration", "lies in the data directory \(data)")
        }
        let directory = first[..<(first.lastIndex(of: "/") ?? first.endIndex)]
        return WorkloadFinding(
            .good, "configuration",
            "\(outside.joined(separator: ", ")) lie outside of the data directory and its backup",
            hint: "Back them up too: dir:\(directory).")
    }

    // MARK: Tools

    /// The programs by which a restored copy is checked; a backup itself needs none.
    private func tools() throws(HoldfastError) -> WorkloadFinding {
        let major = cluster.number / 10_000
        do throws(HoldfastError) {
            let programs = try PostgresPrograms.find("postgres", major: major, context)
            let lacking = ["pg_controldata", "pg_verifybackup", "pg_amcheck", "pg_dump"].filter { !programs.has($0) }
            guard !lacking.isEmpty else {
                return WorkloadFinding(
                    .good, "programs",
                    "those of PostgreSQL \(major) are in \(programs.directory), for checks of restores")
            }
            return WorkloadFinding(
                .good, "programs", "\(programs.directory) lacks \(lacking.joined(separator: ", "))",
                hint: "Install the server's contrib programs to check restores in full.")
        } catch {
            if error.code == .interrupted { throw error }
            return WorkloadFinding(
                .good, "programs", "\(error.message), so restores cannot be checked by a scratch server here",
                hint: error.hint)
        }
    }

    // MARK: Contents

    private func contents(_ picture: PostgresPicture) -> [WorkloadFinding] {
        var findings = [
            WorkloadFinding(
                .good, "contents", "the schemas of \(picture.schemas.count) databases are recorded with each snapshot")
        ]
        for (name, reason) in picture.unseen.sorted(by: { $0.key < $1.key }).prefix(20) {
            findings.append(
                WorkloadFinding(
                    .good, "contents", "\(name) is not recorded: \(reason)",
                    hint: "Grant CONNECT on it to the role of the backup."))
        }
        if picture.unlogged > 0 {
            findings.append(
                WorkloadFinding(
                    .good, "unlogged tables", "\(picture.unlogged) come back empty: they are not in a base backup",
                    hint: "Make what must not be lost LOGGED, or dump it."))
        }
        let places = picture.tablespaces.filter { $0.hasPrefix("/") }
        if !places.isEmpty {
            findings.append(
                WorkloadFinding(
                    .good, "tablespaces", places.joined(separator: ", "),
                    hint: "A restore on another machine says with --tablespace OLD=NEW where each goes."))
        }
        return findings
    }
}
