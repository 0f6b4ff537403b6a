// How much of the history is kept, and by which clock.

import GRDB
import Primitives
import Scheduling

extension SQLiteRunStore {
    /// Notes that all that was written down before `end` is sealed in a repository. From the first time on nothing is
    /// thinned out before it is sealed, within ``HistoryLimits/unsealedLines`` and twice ``HistoryLimits/age``.
    package func noteSealed(until end: Timestamp) throws(HoldfastError) {
        try write { try Self.set(Self.sealed, end.nanoseconds, $0) }
    }

    /// A new token. With every ``HistoryLimits/interval``th one, whoever takes it and for what, one job after another
    /// has its history thinned out, whatever becomes of that job.
    static func nextFence(_ now: Timestamp, _ database: Database) throws -> Int64 {
        try database.execute(sql: "UPDATE counters SET value = value + 1 WHERE name = 'fence'")
        let fence = try counter("fence", database) ?? 0
        let mayAge = try mayAge(now, database)
        guard fence % HistoryLimits.interval == 0 else { return fence }
        let count = try Int64.fetchOne(database, sql: "SELECT count(*) FROM jobs") ?? 0
        guard count > 0 else { return fence }
        let job = try String.fetchOne(
            database, sql: "SELECT job FROM jobs ORDER BY job LIMIT 1 OFFSET ?",
            arguments: [fence / HistoryLimits.interval % count])
        if let job { try thinOut(job, mayAge ? now : nil, database) }
        return fence
    }

    /// Whether lines may be removed for their age, and not only for their number: not while the clock is one that went
    /// ahead a short while ago. It may be wrong, and all that was before would be too old by it.
    static func mayAge(_ now: Timestamp, _ database: Database) throws -> Bool {
        let newest = "SELECT max(noted) FROM runs"
        let before = try counter(clock, database) ?? Int64.fetchOne(database, sql: newest) ?? now.nanoseconds
        var step = try counter(clockStep, database)
        if now.nanoseconds.subtracted(before) > HistoryLimits.clockStep.nanosecondsClamped { step = now.nanoseconds }
        if let since = step {
            let age = now.nanoseconds.subtracted(since)
            // What was before the step was right after all, or enough time has gone by.
            if age < 0 || age >= HistoryLimits.clockProof.nanosecondsClamped { step = nil }
        }
        try set(clock, now.nanoseconds, database)
        if let step {
            try set(clockStep, step, database)
        } else {
            try database.execute(sql: "DELETE FROM counters WHERE name = ?", arguments: [clockStep])
        }
        return step == nil
    }

    // MARK: Counters

    /// The clock at the newest token; when it was found to have gone ahead; and up to where the history is sealed.
    private static let (clock, clockStep, sealed) = ("clock", "clock-step", "sealed")

    private static func counter(_ name: String, _ database: Database) throws -> Int64? {
        try Int64.fetchOne(database, sql: "SELECT value FROM counters WHERE name = ?", arguments: [name])
    }

    private static func set(_ name: String, _ value: Int64, _ database: Database) throws {
        try database.execute(sql: "INSERT OR REPLACE INTO counters VALUES (?, ?)", arguments: [name, value])
    }

    // MARK: Removing

    /// Removes the lines of a job that are too old or too many. Those of runs that have not ended stay.
    ///
    /// - Parameter now: Nil when no line is too old.
    private static func thinOut(_ job: String, _ now: Timestamp?, _ database: Database) throws {
        let sealed = try counter(sealed, database)
        let oldest = now.map { now in
            let age = HistoryLimits.age.nanosecondsClamped
            let oldest = now.nanoseconds.subtracted(age)
            return sealed.map { min(oldest, max($0, oldest.subtracted(age))) } ?? oldest
        }
        // Of runs the newest stays, however old: it tells that the job has a past.
        let kept = "AND state IN ('ended', 'not-run') AND scheduled < (SELECT max(scheduled) FROM runs WHERE job = ?)"
        for (table, column) in [("runs", "scheduled"), ("refusals", "noted")] {
            func place(_ lines: Int) throws -> Int64 {
                try Int64.fetchOne(
                    database,
                    sql: "SELECT \(column) FROM \(table) WHERE job = ? ORDER BY \(column) DESC LIMIT 1 OFFSET ?",
                    arguments: [job, lines]) ?? .min
            }
            let last = try place(HistoryLimits.lines)
            let lastUnsealed = sealed == nil ? last : try place(HistoryLimits.unsealedLines)
            var arguments: StatementArguments = [job, oldest ?? .min, last, sealed ?? .max, lastUnsealed]
            if table == "runs" { arguments += [job] }
            try database.execute(
                sql: """
                    DELETE FROM \(table) WHERE job = ?
                        AND (noted < ? OR (\(column) <= ? AND noted < ?) OR \(column) <= ?)
                        \(table == "runs" ? kept : "")
                    """, arguments: arguments)
        }
    }
}

extension Int64 {
    /// The difference, or the nearest number that there is.
    fileprivate func subtracted(_ other: Int64) -> Int64 {
        let (difference, isOver) = subtractingReportingOverflow(other)
        return isOver ? (other < 0 ? .max : .min) : difference
    }
}
