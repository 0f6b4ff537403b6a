// Rotations in the state database.

import FoundationEssentials
import GRDB
import Primitives
import Scheduling

extension StateSchema {
    /// `body` is a RotationRecord, `standing` a SecretStanding, both as JSON.
    static let rotations = """
        CREATE TABLE rotations (
            id TEXT PRIMARY KEY NOT NULL,
            vault TEXT NOT NULL,
            secret TEXT NOT NULL,
            -- The fencing token of the first claim: later ones have larger numbers.
            number INTEGER NOT NULL,
            is_open INTEGER NOT NULL,
            body TEXT NOT NULL,
            candidate BLOB,
            -- Of the newest claim; without a lease nobody works on it.
            fence INTEGER NOT NULL,
            host TEXT NOT NULL, process INTEGER NOT NULL, mark TEXT NOT NULL,
            boot TEXT NOT NULL,
            lease INTEGER
        );
        CREATE UNIQUE INDEX rotations_open ON rotations (vault, secret) WHERE is_open = 1;
        CREATE INDEX rotations_secret ON rotations (vault, secret, number);
        CREATE TABLE rotation_steps (
            rotation TEXT NOT NULL,
            number INTEGER NOT NULL,
            state TEXT NOT NULL,
            phase TEXT NOT NULL,
            at INTEGER NOT NULL,
            note TEXT NOT NULL,
            PRIMARY KEY (rotation, number)
        ) WITHOUT ROWID;
        CREATE TABLE rotated_secrets (
            vault TEXT NOT NULL,
            secret TEXT NOT NULL,
            standing TEXT NOT NULL,
            PRIMARY KEY (vault, secret)
        ) WITHOUT ROWID;
        """
}

extension SQLiteRunStore: RotationJournal {
    package func take(
        _ records: [RotationRecord], holder: RunHolder, lease: Duration, isGone: @Sendable (RunHolder) -> Bool
    ) throws(HoldfastError) -> [RotationTaking] {
        precondition(records.count <= RotationLimits.group, "a group is bounded")
        guard !records.isEmpty else { return [] }
        let (end, boot, uptime) = (self.lease(lease), clock.boot, self.uptime)
        return try write { database in
            // One token for all of them: each is compared with its own line alone.
            let fence = try Self.nextFence(Timestamp(nanoseconds: records.map(\.began).max() ?? 0), database)
            var takings: [RotationTaking] = []
            for record in records {
                var (record, candidate): (RotationRecord, [UInt8]?) = (record, nil)
                if let row = try Self.open(record.secret, database) {
                    record = try Self.record(row)
                    candidate = (row["candidate"] as Data?).map { [UInt8]($0) }
                    let other = RunHolder(host: row["host"], process: row["process"], mark: row["mark"])
                    let isHeld = (row["boot"] as String) == boot && ((row["lease"] as Int64?) ?? 0) > uptime
                    if isHeld, !isGone(other) {
                        takings.append(.held(record, by: other))
                        continue
                    }
                    try database.execute(
                        sql: """
                            UPDATE rotations SET fence = ?, host = ?, process = ?, mark = ?, boot = ?, lease = ?
                            WHERE id = ?
                            """,
                        arguments: [fence, holder.host, holder.process, holder.mark, boot, end, record.id])
                } else {
                    try database.execute(
                        sql: "INSERT INTO rotations VALUES (?, ?, ?, ?, 1, ?, NULL, ?, ?, ?, ?, ?, ?)",
                        arguments: [
                            record.id, record.secret.vault, record.secret.name, fence, try Self.json(record), fence,
                            holder.host, holder.process, holder.mark, boot, end,
                        ])
                    let step = RotationStep(
                        RotationState.planned.rawValue, .done, at: Timestamp(nanoseconds: record.began),
                        note: record.trigger.rawValue)
                    try Self.add([step], to: record.id, database)
                }
                takings.append(.taken(RotationClaim(record: record, fence: fence, candidate: candidate)))
            }
            return takings
        }
    }

    package func write(
        _ updates: [RotationUpdate], lease: Duration
    ) throws(HoldfastError) -> Set<String> {
        precondition(updates.count <= RotationLimits.group, "a group is bounded")
        guard !updates.isEmpty else { return [] }
        let end = self.lease(lease)
        return try write { database in
            var lost: Set<String> = []
            for update in updates {
                if try Self.write(update, until: end, database) == false { lost.insert(update.record.id) }
            }
            return lost
        }
    }

    /// - Returns: false when the claim is lost.
    private static func write(_ update: RotationUpdate, until end: Int64, _ database: Database) throws -> Bool {
        let (record, isOver) = (update.record, update.record.state.isOver)
        try database.execute(
            sql: "UPDATE rotations SET body = ?, is_open = ?, lease = ? WHERE id = ? AND fence = ? AND is_open = 1",
            arguments: [try json(record), isOver ? 0 : 1, isOver ? nil : end, record.id, update.fence])
        guard database.changesCount == 1 else { return false }
        switch update.candidate {
        case .asItIs: break
        case .sealed(let sealed):
            try database.execute(
                sql: "UPDATE rotations SET candidate = ? WHERE id = ?", arguments: [Data(sealed), record.id])
        case .erased:
            // Zeros of the same length take the same place in the page.
            try database.execute(
                sql: "UPDATE rotations SET candidate = zeroblob(length(candidate)) WHERE id = ?",
                arguments: [record.id])
            try database.execute(sql: "UPDATE rotations SET candidate = NULL WHERE id = ?", arguments: [record.id])
        }
        try add(update.steps, to: record.id, database)
        if let standing = update.standing {
            try database.execute(
                sql: "INSERT OR REPLACE INTO rotated_secrets VALUES (?, ?, ?)",
                arguments: [record.secret.vault, record.secret.name, try json(standing)])
        }
        if isOver { try thin(record.secret, database) }
        return true
    }

    /// Of a secret the newest rotations are kept.
    private static func thin(_ secret: RotatedSecret, _ database: Database) throws {
        let old = try String.fetchAll(
            database,
            sql: """
                SELECT id FROM rotations WHERE vault = ? AND secret = ? AND is_open = 0
                ORDER BY number DESC LIMIT -1 OFFSET ?
                """, arguments: [secret.vault, secret.name, RotationLimits.kept])
        for id in old {
            try database.execute(sql: "DELETE FROM rotation_steps WHERE rotation = ?", arguments: [id])
            try database.execute(sql: "DELETE FROM rotations WHERE id = ?", arguments: [id])
        }
    }

    private static func add(_ steps: [RotationStep], to id: String, _ database: Database) throws {
        guard !steps.isEmpty else { return }
        var number =
            try Int64.fetchOne(
                database, sql: "SELECT max(number) FROM rotation_steps WHERE rotation = ?", arguments: [id]) ?? 0
        for step in steps where number < RotationLimits.steps {
            number += 1
            try database.execute(
                sql: "INSERT INTO rotation_steps VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [id, number, step.state, step.phase.rawValue, step.at.nanoseconds, step.note])
        }
    }

    package func release(_ claims: [RotationClaim]) throws(HoldfastError) {
        guard !claims.isEmpty else { return }
        try write { database in
            for claim in claims {
                try database.execute(
                    sql: "UPDATE rotations SET lease = NULL WHERE id = ? AND fence = ?",
                    arguments: [claim.record.id, claim.fence])
            }
        }
    }

    // MARK: Looking

    package func rotations(of secret: RotatedSecret?, limit: Int) throws(HoldfastError) -> [RotationRecord] {
        try read { database in
            let rows =
                if let secret {
                    try Row.fetchAll(
                        database,
                        sql: "SELECT body FROM rotations WHERE vault = ? AND secret = ? ORDER BY number DESC LIMIT ?",
                        arguments: [secret.vault, secret.name, limit])
                } else {
                    try Row.fetchAll(
                        database, sql: "SELECT body FROM rotations ORDER BY number DESC, id LIMIT ?",
                        arguments: [limit])
                }
            return try rows.map(Self.record)
        }
    }

    package func unfinished() throws(HoldfastError) -> [RotationRecord] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT body FROM rotations WHERE is_open = 1 ORDER BY number, id")
                .map(Self.record)
        }
    }

    package func candidate(of rotation: String) throws(HoldfastError) -> [UInt8]? {
        try read { database in
            try Data.fetchOne(
                database, sql: "SELECT candidate FROM rotations WHERE id = ? AND candidate IS NOT NULL",
                arguments: [rotation]
            ).map { [UInt8]($0) }
        }
    }

    package func steps(of rotation: String) throws(HoldfastError) -> [RotationStep] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM rotation_steps WHERE rotation = ? ORDER BY number", arguments: [rotation]
            ).compactMap { row in
                RotationStep.Phase(rawValue: row["phase"]).map {
                    RotationStep(row["state"], $0, at: Timestamp(nanoseconds: row["at"]), note: row["note"])
                }
            }
        }
    }

    package func unattested(at vault: String, limit: Int) throws(HoldfastError) -> [RotationRecord] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT body FROM rotations
                    WHERE vault = ? AND is_open = 0 AND json_extract(body, '$.evidence') IS NULL
                    ORDER BY number, id LIMIT ?
                    """, arguments: [vault, limit]
            ).map(Self.record)
        }
    }

    package func markAttested(_ rotations: [String], by evidence: String) throws(HoldfastError) {
        try write { database in
            for id in rotations {
                try database.execute(
                    sql: "UPDATE rotations SET body = json_set(body, '$.evidence', ?) WHERE id = ? AND is_open = 0",
                    arguments: [evidence, id])
            }
        }
    }

    package func standings() throws(HoldfastError) -> [RotatedSecret: SecretStanding] {
        try read { database in
            var standings: [RotatedSecret: SecretStanding] = [:]
            for row in try Row.fetchAll(database, sql: "SELECT * FROM rotated_secrets") {
                standings[RotatedSecret(vault: row["vault"], name: row["secret"])] =
                    try Self.value(SecretStanding.self, row["standing"])
            }
            return standings
        }
    }

    // MARK: Rows

    private static func open(_ secret: RotatedSecret, _ database: Database) throws -> Row? {
        try Row.fetchOne(
            database, sql: "SELECT * FROM rotations WHERE vault = ? AND secret = ? AND is_open = 1",
            arguments: [secret.vault, secret.name])
    }

    private static func record(_ row: Row) throws -> RotationRecord { try value(RotationRecord.self, row["body"]) }

    private static func value<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw HoldfastError(
                .corruptObject, "the state database has a rotation that makes no sense",
                hint: "It may be of a newer holdfast; else restore the state, and run `holdfast secrets reconcile`.",
                cause: error)
        }
    }

    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
