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
        try write { try Self.fire(key, severity, summary, now, $0) }
    }

    static func fire(
        _ key: String, _ severity: AlertRecord.Severity, _ summary: String, _ now: Timestamp, _ database: Database
    ) throws -> AlertRecord? {
        let known = try alert(key, database)
        // A lesser failure takes nothing away from a greater one that nobody has seen to.
        let severity = known?.state == .firing ? max(severity, known?.severity ?? severity) : severity
        if let known, known.state == .firing, known.severity == severity, known.summary == summary { return nil }
        let since = known?.state == .firing ? known?.since ?? now : now
        let alert = AlertRecord(
            key: key, severity: severity, state: .firing, summary: summary, since: since, changed: now)
        try put(alert, database)
        return alert
    }

    package func resolve(_ key: String, at now: Timestamp) throws(HoldfastError) -> AlertRecord? {
        try write { try Self.resolve(key, now, $0) }
    }

    static func resolve(_ key: String, _ now: Timestamp, _ database: Database) throws -> AlertRecord? {
        guard var alert = try alert(key, database), alert.state == .firing else { return nil }
        alert.state = .resolved
        alert.changed = now
        try put(alert, database)
        return alert
    }

    /// Fires or resolves the alert of a job with the end of its run.
    static func tell(
        _ completion: RunCompletion, of job: JobName, at now: Timestamp, _ database: Database
    ) throws {
        let key = JobAlert.key(job)
        guard completion.outcome == .succeeded else {
            let (severity, summary) = JobAlert.firing(job, completion)
            _ = try fire(key, severity, summary, now, database)
            return
        }
        let own = try alert(key, database)
        let mayBeDamage = own?.state == .firing && own?.severity == .critical
        guard completion.check != nil || mayBeDamage else {
            _ = try resolve(key, now, database)
            return
        }
        let grave = try String.fetchAll(
            database, sql: "SELECT key FROM alerts WHERE state = 'firing' AND severity = ?",
            arguments: [AlertRecord.Severity.critical.rawValue])
        let over = JobAlert.over(job, grave: Set(grave), try checks(database))
        if over.isOwn { _ = try resolve(key, now, database) }
        guard completion.check != nil else { return }
        for other in over.mayBe {
            let last = try String.fetchOne(
                database, sql: "SELECT last_outcome FROM jobs WHERE job = ?", arguments: [other.description])
            guard JobAlert.isOver(last.flatMap { RunOutcome(rawValue: $0) }) else { continue }
            _ = try resolve(JobAlert.key(other), now, database)
        }
    }

    package func alerts(all: Bool) throws(HoldfastError) -> [AlertRecord] {
        try read { database in
            let condition = all ? "" : " WHERE state = 'firing'"
            return try Row.fetchAll(database, sql: "SELECT * FROM alerts\(condition) ORDER BY key LIMIT 10000")
                .map { Self.alert($0) }
        }
    }

    package func untoldAlerts(
        for notifier: String, from severity: AlertRecord.Severity, after last: AlertRecord?, at now: Timestamp
    ) throws(HoldfastError) -> [AlertRecord] {
        let since = try known(notifier, at: now)
        let grave = AlertRecord.Severity.allCases.filter { $0 >= severity }.map(\.rawValue)
        return try read { database in
            let marks = grave.map { _ in "?" }.joined(separator: ", ")
            return try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM alerts WHERE told IS NOT changed
                        AND (severity IN (\(marks))
                            -- Whom it told that it fires it tells that it is over, though it is a lesser one by now.
                            OR state = 'resolved' AND EXISTS (
                                SELECT 1 FROM tellings AS t
                                WHERE t.key = alerts.key AND t.notifier = ? AND t.state = 'firing'))
                        AND (state = 'firing' OR changed >= ?)
                        AND NOT EXISTS (
                            SELECT 1 FROM tellings AS t
                            WHERE t.key = alerts.key AND t.notifier = ? AND t.changed = alerts.changed)
                        AND (? IS NULL OR (changed, key) > (?, ?))
                    ORDER BY changed, key LIMIT 100
                    """,
                arguments: StatementArguments(grave) + [notifier, since, notifier]
                    + [last?.key, last?.changed.nanoseconds, last?.key]
            ).map { Self.alert($0) }
        }
    }

    /// Since when there is this notifier, in nanoseconds; its first mention is remembered.
    private func known(_ notifier: String, at now: Timestamp) throws(HoldfastError) -> Int64 {
        let sql = "SELECT changed FROM tellings WHERE key = '' AND notifier = ?"
        if let since = try read({ try Int64.fetchOne($0, sql: sql, arguments: [notifier]) }) { return since }
        return try write { database in
            try database.execute(
                sql: "INSERT OR IGNORE INTO tellings (key, notifier, changed) VALUES ('', ?, ?)",
                arguments: [notifier, now.nanoseconds])
            return try Int64.fetchOne(database, sql: sql, arguments: [notifier]) ?? now.nanoseconds
        }
    }

    package func markTold(_ alert: AlertRecord, to notifier: String) throws(HoldfastError) {
        try write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO tellings (key, notifier, changed, state) VALUES (?, ?, ?, ?)",
                arguments: [alert.key, notifier, alert.changed.nanoseconds, alert.state.rawValue])
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
