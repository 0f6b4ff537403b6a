// What the store tells: memories of jobs, runs under way, the history.

import GRDB
import Primitives
import Scheduling

extension SQLiteRunStore {
    package func memories(of jobs: [JobName], at now: Timestamp) throws(HoldfastError) -> [JobName: JobMemory] {
        var found = try known()
        let wanted = Set(jobs)
        let ahead = now + RunMemoryLimits.ahead
        let early = jobs.filter { (found[$0]?.through ?? now) > ahead }
        if !early.isEmpty, now >= RunMemoryLimits.oldestClock,
            try write({ try Self.stepBack(early.map(\.description), now, $0) })
        {
            found = try known()
        }
        let fresh = jobs.filter { found[$0] == nil }
        if !fresh.isEmpty {
            try write { database in
                for job in fresh { try Self.know(job.description, now, database) }
            }
            for job in fresh { found[job] = JobMemory(through: Timestamp(seconds: now.seconds)) }
        }
        return found.filter { wanted.contains($0.key) }
    }

    private func known() throws(HoldfastError) -> [JobName: JobMemory] {
        try read { database in
            var found: [JobName: JobMemory] = [:]
            let rows = try Row.fetchCursor(database, sql: "SELECT * FROM jobs")
            while let row = try rows.next() { found[JobName(row["job"])] = Self.memory(row) }
            return found
        }
    }

    private static func memory(_ row: Row) -> JobMemory {
        var memory = JobMemory(through: Timestamp(seconds: row["through"]))
        memory.last = ended(row, "last", outcome: (row["last_outcome"] as String?).flatMap { RunOutcome(rawValue: $0) })
        memory.verdict = ended(
            row, "verdict", outcome: (row["verdict_outcome"] as String?).flatMap { RunOutcome(rawValue: $0) })
        memory.lastSuccess = ended(row, "good", outcome: .succeeded)
        memory.failures = row["failures"]
        memory.pause = order(row, "pause", until: row["pause_until"])
        memory.skip = order(row, "skip", until: nil)
        return memory
    }

    private static func ended(_ row: Row, _ prefix: String, outcome: RunOutcome?) -> JobMemory.Ended? {
        guard let scheduled: Int64 = row["\(prefix)_scheduled"], let began: Int64 = row["\(prefix)_began"],
            let ended: Int64 = row["\(prefix)_ended"], let outcome
        else { return nil }
        return JobMemory.Ended(
            scheduled: Timestamp(seconds: scheduled), began: Timestamp(nanoseconds: began),
            ended: Timestamp(nanoseconds: ended), outcome: outcome)
    }

    private static func order(_ row: Row, _ prefix: String, until: Int64?) -> StandingOrder? {
        guard let reason: String = row["\(prefix)_reason"], let actor: String = row["\(prefix)_actor"],
            let since: Int64 = row["\(prefix)_since"]
        else { return nil }
        return StandingOrder(
            reason: reason, actor: actor, since: Timestamp(nanoseconds: since),
            until: until.map { Timestamp(nanoseconds: $0) })
    }

    package func run(_ key: RunKey) throws(HoldfastError) -> RunRecord? {
        try read { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM runs WHERE job = ? AND scheduled = ?",
                arguments: [key.job.description, key.scheduled.seconds]
            ).map { Self.line($0) }
        }
    }

    package func checks() throws(HoldfastError) -> [CheckRecord] { try read { try Self.checks($0) } }

    static func checks(_ database: Database) throws -> [CheckRecord] {
        try Row.fetchAll(database, sql: "SELECT * FROM checks").compactMap { row in
            guard let extent = CheckExtent(rawValue: row["extent"]),
                let outcome = RunOutcome(rawValue: row["outcome"])
            else { return nil }
            let (repository, memory): (String, String) = (row["repository"], row["memory"])
            return CheckRecord(
                job: JobName(row["job"]),
                note: CheckNote(
                    extent, repository: repository.isEmpty ? nil : repository,
                    memory: memory.isEmpty ? nil : memory), outcome: outcome,
                began: row["began"], noted: row["noted"], ended: Timestamp(nanoseconds: row["ended"]))
        }
    }

    package func active() throws(HoldfastError) -> [ActiveRun] {
        let (uptime, boot) = (self.uptime, clock.boot)
        return try read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM runs WHERE state IN ('running', 'waiting') ORDER BY scheduled, job"
            ).map { row in
                let retry: Int64? = row["retry"]
                let isRunning = (row["state"] as String) == "running"
                let (lease, isOfBoot) = (row["lease"] as Int64, (row["boot"] as String) == boot)
                let isHeld = isOfBoot && lease > uptime
                return ActiveRun(
                    key: Self.key(row), trigger: RunTrigger(rawValue: row["cause"]) ?? .schedule,
                    phase: isRunning
                        ? .running(Self.holder(row), fence: row["fence"])
                        : .waiting(until: Timestamp(nanoseconds: retry ?? 0)),
                    attempt: row["attempt"], began: Timestamp(nanoseconds: (row["began"] as Int64?) ?? 0),
                    isHeld: isHeld,
                    silence: isRunning && isOfBoot && !isHeld ? .nanoseconds(uptime - max(0, lease)) : nil)
            }
        }
    }

    package func revision() throws(HoldfastError) -> Int64 {
        try read { database in
            // The one counts the commits of others, the other our own rows; neither takes a page.
            let others = try Int64.fetchOne(database, sql: "PRAGMA data_version") ?? 0
            return others << 40 ^ Int64(database.totalChangesCount)
        }
    }

    package func history(_ query: HistoryQuery) throws(HoldfastError) -> [RunRecord] {
        var conditions: [String] = []
        var arguments: [any DatabaseValueConvertible] = []
        if let job = query.job {
            conditions.append("job = ?")
            arguments.append(job.description)
        }
        if let from = query.from {
            conditions.append("noted >= ?")
            arguments.append(from.nanoseconds)
        }
        if let until = query.until {
            conditions.append("noted < ?")
            arguments.append(until.nanoseconds)
        }
        let filter = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
        let order = query.job == nil ? "noted DESC, scheduled DESC" : "scheduled DESC, noted DESC"
        let all = StatementArguments((arguments + [query.limit]).map(\.databaseValue))
        return try read { database in
            let found = try ["runs", "refusals"].flatMap { table in
                try Row.fetchAll(
                    database, sql: "SELECT * FROM \(table)\(filter) ORDER BY \(order) LIMIT ?", arguments: all
                ).map { row in
                    let (noted, scheduled): (Int64, Int64) = (row["noted"], row["scheduled"])
                    let order = query.job == nil ? (noted, scheduled) : (scheduled, noted)
                    return (order: order, line: table == "runs" ? Self.line(row) : Self.refusal(row))
                }
            }
            return found.sorted { $0.order > $1.order }.prefix(query.limit).map(\.line)
        }
    }

    private static func refusal(_ row: Row) -> RunRecord {
        RunRecord(
            key: key(row), trigger: .manual, state: notRun(row), attempt: 0, fence: 0, host: "", began: nil, ended: nil,
            code: nil, message: nil)
    }

    private static func notRun(_ row: Row) -> RunRecord.State {
        let reason = (row["reason"] as String?).flatMap { NonRun.Reason(rawValue: $0) } ?? .missed
        let last: Int64 = row["last"] ?? row["scheduled"]
        return .notRun(reason, last: Timestamp(seconds: last), count: row["count"])
    }

    private static func line(_ row: Row) -> RunRecord {
        let state: RunRecord.State
        switch row["state"] as String {
        case "running": state = .running
        case "waiting": state = .waiting(until: Timestamp(nanoseconds: (row["retry"] as Int64?) ?? 0))
        case "ended":
            state = .ended((row["outcome"] as String?).flatMap { RunOutcome(rawValue: $0) } ?? .failed)
        default: state = notRun(row)
        }
        return RunRecord(
            key: key(row), trigger: RunTrigger(rawValue: row["cause"]) ?? .schedule, state: state,
            attempt: row["attempt"], fence: row["fence"], host: row["host"],
            began: (row["began"] as Int64?).map { Timestamp(nanoseconds: $0) },
            ended: (row["ended"] as Int64?).map { Timestamp(nanoseconds: $0) }, code: row["code"],
            message: row["message"])
    }

    /// The kept ends of what the newest attempt of a run printed.
    package func output(of key: RunKey) throws(HoldfastError) -> (output: String, errors: String)? {
        try read { database in
            try Row.fetchOne(
                database,
                sql: "SELECT output, errors FROM outputs WHERE job = ? AND scheduled = ? ORDER BY attempt DESC LIMIT 1",
                arguments: [key.job.description, key.scheduled.seconds]
            ).map { ($0["output"], $0["errors"]) }
        }
    }
}
