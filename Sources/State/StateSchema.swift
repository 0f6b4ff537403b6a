// The tables of the state database.

import GRDB
import Primitives

/// The tables and how they came to be what they are.
///
/// Instants of schedules are whole seconds, others nanoseconds, both since 1970-01-01T00:00:00Z.
enum StateSchema {
    /// Steps from one version of the tables to the next; a step that was released is never changed.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in try database.execute(sql: first) }
        migrator.registerMigration("2") { database in try database.execute(sql: second) }
        migrator.registerMigration("tellings") { database in try database.execute(sql: tellings) }
        migrator.registerMigration("checks") { database in try database.execute(sql: checks) }
        migrator.registerMigration("told-states") { database in try database.execute(sql: toldStates) }
        migrator.registerMigration("check-memories") { database in try database.execute(sql: checkMemories) }
        migrator.registerMigration("unended") { database in try database.execute(sql: unended) }
        migrator.registerMigration("marks") { database in try database.execute(sql: marks) }
        migrator.registerMigration("verdicts") { database in try database.execute(sql: verdicts) }
        migrator.registerMigration("rotations") { database in try database.execute(sql: rotations) }
        return migrator
    }

    /// Of a job whose newest run was ended by order, what was before it is in the history.
    private static let verdicts = """
        -- The newest run that was not ended by order.
        ALTER TABLE jobs ADD COLUMN verdict_scheduled INTEGER;
        ALTER TABLE jobs ADD COLUMN verdict_began INTEGER;
        ALTER TABLE jobs ADD COLUMN verdict_ended INTEGER;
        ALTER TABLE jobs ADD COLUMN verdict_outcome TEXT;
        UPDATE jobs SET (verdict_scheduled, verdict_began, verdict_ended, verdict_outcome) = (
            SELECT scheduled, began, ended, outcome FROM runs
            WHERE runs.job = jobs.job AND state = 'ended' AND began IS NOT NULL AND ended IS NOT NULL
                AND outcome NOT IN ('stopped', 'replaced')
            ORDER BY scheduled DESC LIMIT 1);
        """

    /// Nothing is known of processes of before.
    private static let marks = """
        -- What tells the process of a run from others of its number.
        ALTER TABLE runs ADD COLUMN mark TEXT NOT NULL DEFAULT '';
        """

    /// Runs that a process of before this may end, which writes no check down; and what was found by a check that
    /// waited for another attempt when checks began to be remembered.
    private static let unended = """
        CREATE TABLE unended (
            job TEXT NOT NULL,
            scheduled INTEGER NOT NULL,
            fence INTEGER NOT NULL,
            PRIMARY KEY (job, scheduled)
        ) WITHOUT ROWID;
        INSERT INTO unended SELECT job, scheduled, fence FROM runs WHERE state = 'running';
        INSERT OR IGNORE INTO checks (repository, job, extent, outcome, began, noted, ended)
            SELECT '', job, 'everything', 'check-failed', max(fence), max(fence), max(ended) FROM runs AS bad
            WHERE state = 'waiting' AND outcome = 'check-failed' AND NOT EXISTS (
                SELECT 1 FROM checks WHERE checks.job = bad.job AND checks.began = bad.fence)
            GROUP BY job;
        """

    private static let checkMemories = """
        CREATE TABLE remembered_checks (
            repository TEXT NOT NULL,
            job TEXT NOT NULL,
            extent TEXT NOT NULL,
            -- Of a check with a budget; empty where there is none.
            memory TEXT NOT NULL DEFAULT '',
            outcome TEXT NOT NULL,
            began INTEGER NOT NULL,
            noted INTEGER NOT NULL,
            ended INTEGER NOT NULL,
            PRIMARY KEY (repository, job, extent, memory, outcome)
        ) WITHOUT ROWID;
        INSERT INTO remembered_checks (repository, job, extent, outcome, began, noted, ended)
            SELECT repository, job, extent, outcome, began, noted, ended FROM checks;
        DROP TABLE checks;
        ALTER TABLE remembered_checks RENAME TO checks;
        """

    /// What was told before is taken for a firing: a notifier may hear once more that something is over.
    private static let toldStates = """
        -- How the alert stood when it was told of.
        ALTER TABLE tellings ADD COLUMN state TEXT NOT NULL DEFAULT 'firing';
        """

    /// `told` of an alert counts for those that were told before each notifier was asked for itself.
    private static let tellings = """
        -- The change of an alert that a notifier was told of last; with an empty key, since when there is that one.
        CREATE TABLE tellings (
            key TEXT NOT NULL,
            notifier TEXT NOT NULL,
            changed INTEGER NOT NULL,
            PRIMARY KEY (key, notifier)
        ) WITHOUT ROWID;
        """

    /// Of checks before this table nobody knows how much they read: what they found damaged takes a whole one.
    private static let checks = """
        -- The newest check of each kind and outcome. An empty repository may be any.
        CREATE TABLE checks (
            repository TEXT NOT NULL,
            job TEXT NOT NULL,
            extent TEXT NOT NULL,
            outcome TEXT NOT NULL,
            -- Fencing tokens: of the claim, and of when the end was written.
            began INTEGER NOT NULL,
            noted INTEGER NOT NULL,
            ended INTEGER NOT NULL,
            PRIMARY KEY (repository, job, extent, outcome)
        ) WITHOUT ROWID;
        INSERT INTO checks
            SELECT '', job, 'everything', 'check-failed', fence, fence, max(ended) FROM runs AS bad
            WHERE outcome = 'check-failed' AND state = 'ended' AND NOT EXISTS (
                SELECT 1 FROM runs AS good
                WHERE good.job = bad.job AND good.outcome = 'succeeded' AND good.fence > bad.fence)
            GROUP BY job;
        """

    private static let first = """
        CREATE TABLE runs (
            job TEXT NOT NULL,
            scheduled INTEGER NOT NULL,
            -- Of a line of several non-runs: the last of them, and how many there are.
            last INTEGER,
            count INTEGER,
            cause TEXT NOT NULL,
            -- running, waiting, ended, not-run
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            restarts INTEGER NOT NULL DEFAULT 0,
            fence INTEGER NOT NULL,
            host TEXT NOT NULL,
            process INTEGER NOT NULL,
            boot TEXT NOT NULL,
            -- Nanoseconds of the uptime of that boot.
            lease INTEGER NOT NULL,
            began INTEGER,
            ended INTEGER,
            retry INTEGER,
            outcome TEXT,
            reason TEXT,
            code TEXT,
            message TEXT,
            noted INTEGER NOT NULL,
            PRIMARY KEY (job, scheduled)
        ) WITHOUT ROWID;
        CREATE INDEX runs_active ON runs (state) WHERE state IN ('running', 'waiting');
        CREATE INDEX runs_noted ON runs (noted);
        CREATE TABLE outputs (
            job TEXT NOT NULL,
            scheduled INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            noted INTEGER NOT NULL,
            output TEXT NOT NULL,
            errors TEXT NOT NULL,
            PRIMARY KEY (job, scheduled, attempt)
        );
        CREATE INDEX outputs_noted ON outputs (noted);
        -- What the next decision about a job rests upon, so that none reads the history.
        CREATE TABLE jobs (
            job TEXT PRIMARY KEY NOT NULL,
            through INTEGER NOT NULL,
            last_scheduled INTEGER, last_began INTEGER, last_ended INTEGER, last_outcome TEXT,
            good_scheduled INTEGER, good_began INTEGER, good_ended INTEGER,
            failures INTEGER NOT NULL DEFAULT 0,
            pause_reason TEXT, pause_actor TEXT, pause_since INTEGER, pause_until INTEGER,
            skip_reason TEXT, skip_actor TEXT, skip_since INTEGER
        ) WITHOUT ROWID;
        CREATE TABLE alerts (
            key TEXT PRIMARY KEY NOT NULL,
            severity TEXT NOT NULL,
            state TEXT NOT NULL,
            summary TEXT NOT NULL,
            since INTEGER NOT NULL,
            changed INTEGER NOT NULL,
            -- The change that somebody was told of.
            told INTEGER
        ) WITHOUT ROWID;
        CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO counters VALUES ('fence', 0);
        """

    /// A refusal of what an operator asked for is no run: it takes no key, and many can come within one second.
    private static let second = """
        CREATE TABLE refusals (
            job TEXT NOT NULL,
            noted INTEGER NOT NULL,
            scheduled INTEGER NOT NULL,
            last INTEGER NOT NULL,
            count INTEGER,
            reason TEXT NOT NULL,
            PRIMARY KEY (job, noted, scheduled, reason)
        ) WITHOUT ROWID;
        CREATE INDEX refusals_noted ON refusals (noted);
        INSERT INTO refusals (job, noted, scheduled, last, count, reason)
            SELECT job, noted, scheduled, coalesce(last, scheduled), count, coalesce(reason, 'missed') FROM runs
            WHERE state = 'not-run' AND cause = 'manual';
        DELETE FROM runs WHERE state = 'not-run' AND cause = 'manual';
        """
}
