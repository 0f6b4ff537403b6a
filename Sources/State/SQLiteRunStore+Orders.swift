// Orders of operators, and alerts.

import GRDB
import Primitives
import Scheduling

extension SQLiteRunStore: OrderStore {
    package func pause(
        _ job: JobName, _ order: StandingOrder?, at now: Timestamp
    ) throws(HoldfastError) -> Bool {
        try write { database in
            try Self.know(job.description, now, database)
            let had = try String.fetchOne(
                database, sql: "SELECT pause_reason FROM jobs WHERE job = ?", arguments: [job.description])
            try database.execute(
                sql: """
                    UPDATE jobs SET pause_reason = ?, pause_actor = ?, pause_since = ?, pause_until = ? WHERE job = ?
                    """,
                arguments: [
                    order?.reason, order?.actor, order?.since.nanoseconds, order?.until?.nanoseconds, job.description,
                ])
            return had != nil
        }
    }

    package func skip(
        _ job: JobName, _ order: StandingOrder?, at now: Timestamp
    ) throws(HoldfastError) -> Bool {
        try write { database in
            try Self.know(job.description, now, database)
            let had = try String.fetchOne(
                database, sql: "SELECT skip_reason FROM jobs WHERE job = ?", arguments: [job.description])
            try database.execute(
                sql: "UPDATE jobs SET skip_reason = ?, skip_actor = ?, skip_since = ? WHERE job = ?",
                arguments: [order?.reason, order?.actor, order?.since.nanoseconds, job.description])
            return had != nil
        }
    }
}

extension SQLiteRunStore: AlertStore {
    package func fire(
        _ key: String, _ severity: AlertRecord.Severity, _ summary: String, at now: Timestamp
    ) throws(HoldfastError) -> AlertRecord? {
        try write { database in
            let known = try Self.alert(key, database)
            if let known, known.state == .firing, known.severity == severity, known.summary == summary { return nil }
            let since = known?.state == .firing ? known?.since ?? now : now
            let alert = AlertRecord(
                key: key, severity: severity, state: .firing, summary: summary, since: since, changed: now)
            try Self.put(alert, database)
            return alert
        }
    }

    package func resolve(_ key: String, at now: Timestamp) throws(HoldfastError) -> AlertRecord? {
        try write { database in
            guard var alert = try Self.alert(key, database), alert.state == .firing else { return nil }
            alert.state = .resolved
            alert.changed = now
            try Self.put(alert, database)
            return alert
        }
    }

    package func alerts(all: Bool) throws(HoldfastError) -> [AlertRecord] {
        try read { database in
            let condition = all ? "" : " WHERE state = 'firing'"
            return try Row.fetchAll(database, sql: "SELECT * FROM alerts\(condition) ORDER BY key LIMIT 10000")
                .map { Self.alert($0) }
        }
    }

    package func untoldAlerts() throws(HoldfastError) -> [AlertRecord] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM alerts WHERE told IS NOT changed ORDER BY changed, key LIMIT 100"
            ).map { Self.alert($0) }
        }
    }

    package func markTold(_ alert: AlertRecord) throws(HoldfastError) {
        try write { database in
            try database.execute(
                sql: "UPDATE alerts SET told = changed WHERE key = ? AND changed = ?",
                arguments: [alert.key, alert.changed.nanoseconds])
        }
    }

    private static func alert(_ key: String, _ database: Database) throws -> AlertRecord? {
        try Row.fetchOne(database, sql: "SELECT * FROM alerts WHERE key = ?", arguments: [key]).map { alert($0) }
    }

    private static func alert(_ row: Row) -> AlertRecord {
        AlertRecord(
            key: row["key"], severity: AlertRecord.Severity(rawValue: row["severity"]) ?? .critical,
            state: AlertRecord.State(rawValue: row["state"]) ?? .firing, summary: row["summary"],
            since: Timestamp(nanoseconds: row["since"]), changed: Timestamp(nanoseconds: row["changed"]))
    }

    private static func put(_ alert: AlertRecord, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO alerts (key, severity, state, summary, since, changed) VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                alert.key, alert.severity.rawValue, alert.state.rawValue, alert.summary, alert.since.nanoseconds,
                alert.changed.nanoseconds,
            ])
    }
}
