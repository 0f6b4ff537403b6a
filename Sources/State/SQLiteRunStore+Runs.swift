// Claims, completions and the dead.

import GRDB
import Primitives
import Scheduling

extension SQLiteRunStore {
    package func begin(
        _ key: RunKey, _ trigger: RunTrigger, holder: RunHolder, lease: Duration, at now: Timestamp
    ) throws(HoldfastError) -> RunClaim {
        let (end, boot, uptime) = (self.lease(lease), clock.boot, self.uptime)
        return try write { database in
            let job = key.job.description
            let known = try Self.takeable(key, trigger, now, database)
            try refuseSecond(key, uptime, database)
            try Self.know(job, now, database)
            let fence = try Self.nextFence(now, database)
            let attempt = ((known?["attempt"] as Int?) ?? 0) + 1
            try database.execute(
                sql: """
                    INSERT INTO runs (job, scheduled, cause, state, attempt, fence, host, process, mark, boot, lease,
                        began, noted)
                    VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (job, scheduled) DO UPDATE SET state = 'running', attempt = excluded.attempt,
                        fence = excluded.fence, host = excluded.host, process = excluded.process, mark = excluded.mark,
                        boot = excluded.boot, lease = excluded.lease, began = excluded.began, retry = NULL,
                        noted = excluded.noted
                    """,
                arguments: [
                    job, key.scheduled.seconds, trigger.rawValue, attempt, fence, holder.host, holder.process,
                    holder.mark, boot, end, now.nanoseconds, now.nanoseconds,
                ])
            // A run that waits has moved it already, unless it is an operator's.
            if known == nil, trigger == .schedule {
                try Self.advance(job, through: key.scheduled.seconds, database)
            }
            return RunClaim(key: key, fence: fence, attempt: attempt, began: now)
        }
    }

    /// The line of a run that may still be taken; nil when there is none yet.
    ///
    /// - Throws: `.runTaken` for every other.
    private static func takeable(
        _ key: RunKey, _ trigger: RunTrigger, _ now: Timestamp, _ database: Database
    ) throws -> Row? {
        let known = try Row.fetchOne(
            database, sql: "SELECT state, attempt, began, host, process FROM runs WHERE job = ? AND scheduled = ?",
            arguments: [key.job.description, key.scheduled.seconds])
        if let known {
            let state: String = known["state"]
            if state != "waiting" { throw taken(key, state, known) }
        } else if trigger == .schedule {
            try refusePast(key, now, database)
        }
        return known
    }

    /// Two runs of one job never go together: here, since what its caller has looked at may be over by now.
    private func refuseSecond(_ key: RunKey, _ uptime: Int64, _ database: Database) throws {
        let other = try Row.fetchOne(
            database,
            sql: """
                SELECT * FROM runs
                WHERE state = 'running' AND job = ? AND scheduled <> ? AND boot = ? AND lease > ? LIMIT 1
                """, arguments: [key.job.description, key.scheduled.seconds, clock.boot, uptime])
        guard let other else { return }
        throw HoldfastError(
            .busy, "the run \(Self.key(other)) of the same job is under way",
            hint: "Wait for its end; `holdfast schedule history` shows it.")
    }

    /// Refuses what lies before what the schedule of the job was run or recorded through. Of a job of which nothing is
    /// known but when it was seen first, nothing is in the past: the first run of a timer is due at that very instant.
    private static func refusePast(_ key: RunKey, _ now: Timestamp, _ database: Database) throws {
        let job = key.job.description
        try stepBack([job], now, database)
        let through = try Int64.fetchOne(database, sql: "SELECT through FROM jobs WHERE job = ?", arguments: [job])
        guard let through, key.scheduled.seconds <= through,
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM runs WHERE job = ? AND cause = ?)",
                arguments: [job, RunTrigger.schedule.rawValue]) == true
        else { return }
        throw HoldfastError(
            .runTaken,
            "the run \(key) is in the past of its job, which was run or recorded through "
                + "\(Timestamp(seconds: through))", hint: "Nothing is to be done: no run takes place twice.")
    }

    package func conclude(
        _ key: RunKey, _ trigger: RunTrigger, _ completion: RunCompletion, at now: Timestamp
    ) throws(HoldfastError) {
        let boot = clock.boot
        try write { database in
            let job = key.job.description
            let known = try Self.takeable(key, trigger, now, database)
            try Self.know(job, now, database)
            let fence = try Self.nextFence(now, database)
            try database.execute(
                sql: """
                    INSERT INTO runs (job, scheduled, cause, state, attempt, fence, host, process, boot, lease, began,
                        noted)
                    VALUES (?, ?, ?, 'ended', 1, ?, '', 0, ?, 0, ?, ?)
                    ON CONFLICT (job, scheduled) DO UPDATE SET fence = excluded.fence
                    """,
                arguments: [
                    job, key.scheduled.seconds, trigger.rawValue, fence, boot, now.nanoseconds, now.nanoseconds,
                ])
            if known == nil, trigger == .schedule {
                try Self.advance(job, through: key.scheduled.seconds, database)
            }
            var last = completion
            last.retryAt = nil
            let began = Timestamp(nanoseconds: (known?["began"] as Int64?) ?? now.nanoseconds)
            try Self.end(key, last, began: began, at: now, database)
        }
    }

    private static func taken(_ key: RunKey, _ state: String, _ row: Row) -> HoldfastError {
        switch state {
        case "running":
            HoldfastError(
                .runTaken, "the run \(key) is under way",
                hint: "Wait for it to end; process \(row["process"] as Int32) on \(row["host"] as String) holds it.")
        case "not-run":
            HoldfastError(
                .runTaken, "the run \(key) was recorded as not run",
                hint: "Run the job for now instead: leave out --scheduled-for.")
        default:
            HoldfastError(
                .runTaken, "the run \(key) has ended", hint: "Run the job for now instead: leave out --scheduled-for.")
        }
    }

    package func renew(_ claim: RunClaim, lease: Duration) throws(HoldfastError) {
        let end = self.lease(lease)
        try write { database in
            try database.execute(
                sql: "UPDATE runs SET lease = ? WHERE job = ? AND scheduled = ? AND fence = ? AND state = 'running'",
                arguments: [end, claim.key.job.description, claim.key.scheduled.seconds, claim.fence])
            if database.changesCount == 0 { throw Self.lost(claim) }
        }
    }

    private static func lost(_ claim: RunClaim) -> HoldfastError {
        HoldfastError(
            .leaseLost, "the run \(claim.key) is not ours any more: it was not renewed in time",
            hint: "Look at `holdfast schedule history`; what it did is done, and its end was recorded without it.",
            context: [("fence", "\(claim.fence)")])
    }

    package func complete(
        _ claim: RunClaim, _ completion: RunCompletion, at now: Timestamp
    ) throws(HoldfastError) {
        let oldest = now.nanoseconds - Self.outputAge
        let ended = completion.ended ?? now
        try write { database in
            let (job, scheduled) = (claim.key.job.description, claim.key.scheduled.seconds)
            let known = try Row.fetchOne(
                database, sql: "SELECT state, fence, outcome FROM runs WHERE job = ? AND scheduled = ?",
                arguments: [job, scheduled])
            guard let known, (known["fence"] as Int64) == claim.fence else { throw Self.lost(claim) }
            let state: String = known["state"]
            let isFinal = completion.retryAt == nil
            if state != "running" {
                // The answer to an earlier call may have been lost; another's word on this run is not ours.
                guard (known["outcome"] as String?) == completion.outcome.rawValue,
                    state == (isFinal ? "ended" : "waiting")
                else { throw Self.lost(claim) }
                return
            }
            try Self.end(claim.key, completion, began: claim.began, at: now, database)
            if let check = try Self.check(of: claim, completion, database) {
                try Self.note(
                    check, completion.outcome, of: claim.key.job, began: claim.fence, at: ended, now, database)
            }
            if isFinal { try Self.tell(completion, of: claim.key.job, at: now, database) }
            try database.execute(
                sql: "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    job, scheduled, claim.attempt, now.nanoseconds, completion.output, completion.errors,
                ])
            if try Self.mayAge(now, database) {
                try database.execute(sql: "DELETE FROM outputs WHERE noted < ?", arguments: [oldest])
            }
        }
    }

    private static func note(
        _ check: CheckNote, _ outcome: RunOutcome, of job: JobName, began: Int64, at ended: Timestamp,
        _ now: Timestamp, _ database: Database
    ) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO checks (repository, job, extent, memory, outcome, began, noted, ended)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                check.repository ?? "", job.description, check.extent.rawValue, check.memory ?? "", outcome.rawValue,
                began, try nextFence(now, database), ended.nanoseconds,
            ])
    }

    package func beginCheck(at now: Timestamp) throws(HoldfastError) -> Int64 {
        try write { try Self.nextFence(now, $0) }
    }

    package func endCheck(
        _ token: Int64, _ check: CheckNote, _ outcome: RunOutcome, at now: Timestamp
    ) throws(HoldfastError) {
        try write { try Self.note(check, outcome, of: CheckRecord.byHand, began: token, at: now, now, $0) }
    }

    /// Writes the end of an attempt, and of the run when it is the last.
    private static func end(
        _ key: RunKey, _ completion: RunCompletion, began: Timestamp, at now: Timestamp, _ database: Database
    ) throws {
        let (job, scheduled) = (key.job.description, key.scheduled.seconds)
        let ended = completion.ended ?? now
        try database.execute(
            sql: """
                UPDATE runs SET state = ?, ended = ?, retry = ?, outcome = ?, code = ?, message = ?, noted = ?
                WHERE job = ? AND scheduled = ?
                """,
            arguments: [
                completion.retryAt == nil ? "ended" : "waiting", ended.nanoseconds, completion.retryAt?.nanoseconds,
                completion.outcome.rawValue, completion.code, completion.message, now.nanoseconds, job, scheduled,
            ])
        guard completion.retryAt == nil else { return }
        let isGood = completion.outcome == .succeeded
        try database.execute(
            sql: """
                UPDATE jobs SET last_scheduled = ?, last_began = ?, last_ended = ?, last_outcome = ?,
                    failures = CASE WHEN ? THEN 0 ELSE failures + 1 END WHERE job = ?
                """,
            arguments: [scheduled, began.nanoseconds, ended.nanoseconds, completion.outcome.rawValue, isGood, job])
        if !completion.outcome.isByOrder {
            try database.execute(
                sql: """
                    UPDATE jobs SET verdict_scheduled = last_scheduled, verdict_began = last_began,
                        verdict_ended = last_ended, verdict_outcome = last_outcome WHERE job = ?
                    """,
                arguments: [job])
        }
        guard isGood else { return }
        try database.execute(
            sql: "UPDATE jobs SET good_scheduled = ?, good_began = ?, good_ended = ? WHERE job = ?",
            arguments: [scheduled, began.nanoseconds, ended.nanoseconds, job])
    }

    package func record(
        _ nonRuns: [NonRun], of job: JobName, _ trigger: RunTrigger, at now: Timestamp
    ) throws(HoldfastError) {
        guard !nonRuns.isEmpty else { return }
        let boot = clock.boot
        try write { database in
            try Self.know(job.description, now, database)
            // None is given to anybody: it counts towards the next look at the history.
            _ = try Self.nextFence(now, database)
            for nonRun in nonRuns {
                guard trigger == .schedule else {
                    try Self.refuse(nonRun, job.description, now, database)
                    continue
                }
                try database.execute(
                    sql: """
                        INSERT INTO runs (job, scheduled, last, count, cause, state, attempt, fence, host, process,
                            boot, lease, reason, noted)
                        VALUES (?, ?, ?, ?, ?, 'not-run', 0, 0, '', 0, ?, 0, ?, ?)
                        ON CONFLICT (job, scheduled) DO NOTHING
                        """,
                    arguments: [
                        job.description, nonRun.first.seconds, nonRun.last.seconds, nonRun.count, trigger.rawValue,
                        boot, nonRun.reason.rawValue, now.nanoseconds,
                    ])
                try Self.advance(job.description, through: nonRun.last.seconds, database)
                if nonRun.reason == .skipped {
                    try database.execute(
                        sql: """
                            UPDATE jobs SET skip_reason = NULL, skip_actor = NULL, skip_since = NULL WHERE job = ?
                            """, arguments: [job.description])
                }
            }
        }
    }

    /// Notes that what an operator asked for was refused. It takes no key: what is asked for later may run.
    private static func refuse(_ nonRun: NonRun, _ job: String, _ now: Timestamp, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO refusals (job, noted, scheduled, last, count, reason) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT DO NOTHING
                """,
            arguments: [
                job, now.nanoseconds, nonRun.first.seconds, nonRun.last.seconds, nonRun.count, nonRun.reason.rawValue,
            ])
    }

    package func buryDead(
        gone holder: RunHolder?, sparing tokens: Set<Int64>, at now: Timestamp
    ) throws(HoldfastError) -> [DeadRun] {
        let (uptime, boot) = (self.uptime, clock.boot)
        return try write { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM runs WHERE state = 'running'
                        AND (boot <> ? OR lease <= ? OR (host = ? AND process = ? AND mark = ?)) LIMIT ?
                    """,
                arguments: [
                    boot, uptime, holder?.host, holder?.process, holder?.mark, Self.maximumBuried + tokens.count,
                ])
            return try rows.filter { !tokens.contains($0["fence"]) }.prefix(Self.maximumBuried).map { row in
                let key = Self.key(row)
                let isRestarted = (row["restarts"] as Int) < Self.maximumRestarts
                var completion = RunCompletion(
                    .died, code: ErrorCode.processFailed.rawValue,
                    message: "its process went away without a word, or did not renew its lease")
                completion.retryAt = isRestarted ? now : nil
                let began = Timestamp(nanoseconds: (row["began"] as Int64?) ?? now.nanoseconds)
                try Self.end(key, completion, began: began, at: now, database)
                // A fence of nobody: the dead one may yet come back and must be told.
                try database.execute(
                    sql: "UPDATE runs SET restarts = restarts + 1, fence = ? WHERE job = ? AND scheduled = ?",
                    arguments: [try Self.nextFence(now, database), key.job.description, key.scheduled.seconds])
                return DeadRun(
                    key: key, attempt: row["attempt"], fence: row["fence"],
                    holder: Self.holder(row), isRestarted: isRestarted)
            }
        }
    }

    // MARK: Parts of transactions

    /// Makes the line of a job that was not there yet.
    static func know(_ job: String, _ now: Timestamp, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO jobs (job, through) VALUES (?, ?) ON CONFLICT (job) DO NOTHING",
            arguments: [job, now.seconds])
    }

    private static func advance(_ job: String, through: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE jobs SET through = max(through, ?) WHERE job = ?", arguments: [through, job])
    }

    /// Sets back memories that lie further ahead than can be. Says whether there were any.
    @discardableResult
    static func stepBack(_ jobs: [String], _ now: Timestamp, _ database: Database) throws -> Bool {
        guard now >= RunMemoryLimits.oldestClock else { return false }
        let limit = (now + RunMemoryLimits.ahead).seconds
        var isAny = false
        for job in jobs {
            try database.execute(
                sql: "UPDATE jobs SET through = ? WHERE job = ? AND through > ?", arguments: [now.seconds, job, limit])
            if database.changesCount > 0 { isAny = true }
        }
        return isAny
    }

    static func holder(_ row: Row) -> RunHolder {
        RunHolder(host: row["host"], process: row["process"], mark: row["mark"])
    }

    static func key(_ row: Row) -> RunKey {
        RunKey(job: JobName(row["job"]), scheduled: Timestamp(seconds: row["scheduled"]))
    }
}
