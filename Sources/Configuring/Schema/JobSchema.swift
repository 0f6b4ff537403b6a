// Every key of a job file, declared once.

import Primitives
import Scheduling

/// A file of the directory of jobs.
enum JobSchema {
    static let file = Section(
        name: "Job",
        doc: """
            One job a file: what is done, when, and what holds for its runs. A file that holds an unknown key, a wrong \
            type or a contradiction is refused as a whole.
            """,
        keys: [
            name, backup, forget, check, drill, mirror, ledger, rotate, command, repository, when, timeZone, jitter,
            windows,
            blackouts,
            after, before, concurrency, retries, deadlines, catchUp, duration, enabled, paused,
        ],
        rules: [.exactlyOne(["backup", "forget", "check", "drill", "mirror", "ledger", "rotate", "command"])])

    static let name = Key(
        name: "name", type: .text(.name), doc: "The name of the job, by which runs are remembered and other jobs wait.",
        absence: "the name of the file without `.yaml`", example: "nightly")
    static let repository = Key(
        name: "repository", type: .text(.name), doc: "The repository that the job works on, by its name.",
        absence: "that of each source; for other jobs the configuration's default", example: "main")

    // MARK: What is done

    static let backup = Key(
        name: "backup", type: .section(backupSection), doc: "Take a snapshot of each source.",
        absence: "not done", example: "{sources: [home, web]}")
    static let backupSources = Key(
        name: "sources", type: .list(of: .name, minimum: 1), doc: "Sources of the configuration.",
        absence: "all sources", example: "[home, web]")
    static let backupSection = Section(
        name: "Backup", doc: "What `holdfast backup` does. `{}` stands for all sources.", keys: [backupSources])

    static let forget = Key(
        name: "forget", type: .section(forgetSection), doc: "Drop the snapshots that retention does not keep.",
        absence: "not done", example: "{prune: true}")
    static let forgetSources = Key(
        name: "sources", type: .list(of: .name, minimum: 1), doc: "Sources of the configuration that have retention.",
        absence: "all that have retention", example: "[home]")
    static let prune = Key(
        name: "prune", type: .flag, doc: "Free the space afterwards.", absence: "`true`", example: "false")
    static let forgetSection = Section(
        name: "Forget", doc: "What `holdfast forget` does by the rules of the configuration.",
        keys: [forgetSources, prune])

    static let check = Key(
        name: "check", type: .section(checkSection), doc: "Check the repository.", absence: "not done",
        example: "{time: 1h}")
    static let readData = Key(
        name: "readData", type: .flag, doc: "Read every pack, and decode every chunk.", absence: "`false`",
        example: "true")
    static let checkTime = Key(
        name: "time", type: .text(.duration),
        doc: "Read packs for so long, those first whose last check lies furthest back. A pack that was begun is ended.",
        absence: "no packs are read", example: "1h")
    static let checkBytes = Key(
        name: "bytes", type: .text(.size), doc: "Read so much of packs, in the same order.",
        absence: "no packs are read", example: "50G")
    static let checkSection = Section(
        name: "Check", doc: "What `holdfast check` does. `{}` stands for the structure alone.",
        keys: [readData, checkTime, checkBytes], rules: [.atMostOne(["readData", "time", "bytes"])])

    static let drill = Key(
        name: "drill", type: .section(drillSection), doc: "Restore into scratch space, check, and leave evidence.",
        absence: "not done", example: "{plan: nightly}")
    static let plan = Key(
        name: "plan", type: .text(.name), doc: "A plan of the configuration, or a source.", example: "shop",
        isRequired: true)
    static let drillSection = Section(name: "Drill", doc: "What `holdfast drill` does.", keys: [plan])

    static let mirror = Key(
        name: "mirror", type: .section(mirrorSection), doc: "Bring copies of the repository up to date.",
        absence: "not done", example: "{}")
    static let mirrorTo = Key(
        name: "to", type: .list(of: .location, minimum: 1), doc: "Where the copies are.",
        absence: "all mirrors of the repository", example: "[/mnt/second/repository]")
    static let mirrorSection = Section(
        name: "Mirror", doc: "What `holdfast mirror` does. `{}` stands for all mirrors of the repository.",
        keys: [mirrorTo])

    static let ledger = Key(
        name: "ledger", type: .section(ledgerSection),
        doc: "Seal what ran and did not run on the days that are over into the repository.", absence: "not done",
        example: "{}")
    static let ledgerSection = Section(name: "Ledger", doc: "What `holdfast schedule seal` does.", keys: [])

    static let rotate = Key(
        name: "rotate", type: .section(rotateSection),
        doc: "Rotate the secrets that are due, and go on with rotations that are under way.", absence: "not done",
        example: "{policies: [database]}")
    static let rotatePolicies = Key(
        name: "policies", type: .list(of: .name, minimum: 1), doc: "Policies of the configuration's `rotations`.",
        absence: "all of them", example: "[database]")
    static let rotateSection = Section(
        name: "Rotate", doc: "What `holdfast rotate` does. `{}` stands for all policies.", keys: [rotatePolicies])

    static let command = Key(
        name: "command", type: .list(of: .argument, minimum: 1),
        doc: "Run a program with its arguments. There is no shell; the run is good when it exits 0.",
        absence: "not done", example: "[/usr/local/bin/report, --weekly]")

    // MARK: When

    static let when = Key(
        name: "when", type: .section(whenSection), doc: "When it is due.", example: "{cron: 30 4 * * *}",
        isRequired: true)
    static let cron = Key(
        name: "cron", type: .text(.cron), doc: "As in a crontab.", absence: "not said", example: "30 4 * * 1-5")
    static let calendar = Key(
        name: "calendar", type: .text(.calendar),
        doc: "As in a timer of systemd. One that begins with `*` stands in quotes, since YAML has a meaning for it.",
        absence: "not said", example: "'*-*-* 04:30'")
    static let every = Key(
        name: "every", type: .text(.duration),
        doc: "At the multiples of this length, counted from 1970-01-01T00:00:00Z.", absence: "not said", example: "15m")
    static let whenSection = Section(
        name: "When", doc: "See [Calendars](SCHEDULING.md#calendars).", keys: [cron, calendar, every],
        rules: [.exactlyOne(["cron", "calendar", "every"])])
    static let timeZone = Key(
        name: "timeZone", type: .text(.timeZone), doc: "The zone of `when`, `windows` and `blackouts`.",
        absence: "the zone of the calendar expression, else `UTC`", example: "Europe/Berlin")
    static let jitter = Key(
        name: "jitter", type: .text(.duration),
        doc: "Every run is put off by less than this, by a delay that depends on the job and the host alone.",
        absence: "`0s`", example: "10m")
    static let windows = Key(
        name: "windows", type: .list(of: .span, minimum: 1),
        doc: "Runs start inside one of these; what is due outside is recorded as not run.", absence: "at any time",
        example: "[Mon..Fri 22:00-06:00, Sat..Sun 00:00-24:00]")
    static let blackouts = Key(
        name: "blackouts", type: .list(of: .span, minimum: 1),
        doc: "No run starts inside one of these; what is due there is recorded as not run.", absence: "none",
        example: "[2026-12-24..2026-12-26]")

    // MARK: How

    static let after = Key(
        name: "after", type: .list(of: .name, minimum: 1),
        doc: """
            Jobs that come first: this one starts when each of them has a run that ended well and began after the last \
            run of this one.
            """,
        absence: "none", example: "[nightly]")
    static let before = Key(
        name: "before", type: .list(of: .name, minimum: 1), doc: "Jobs that get this one into their `after`.",
        absence: "none", example: "[mirror]")
    static let concurrency = Key(
        name: "concurrency", type: .section(concurrencySection),
        doc: "What becomes of a run when another of its group is under way.",
        absence: "`{source: skip}`", example: "{source: queue, host: queue}")
    static let concurrencySection = Section(
        name: "Concurrency",
        doc: "Groups of jobs of which one runs at a time. A job is in a group when its key is given.",
        keys: [
            group("source", "jobs that name one of the same sources, and the job itself", absence: "`skip`"),
            group("repository", "jobs of the same repository", absence: "not in the group"),
            group("host", "jobs of this host", absence: "not in the group"),
        ])

    private static func group(_ name: String, _ what: String, absence: String) -> Key {
        Key(
            name: name, type: .text(.overlap),
            doc: "For \(what): `queue` waits, `skip` records that it was not run, `replace` ends the other.",
            absence: absence, example: "queue")
    }

    static let retries = Key(
        name: "retries", type: .section(retriesSection), doc: "Whether a run that failed is tried again.",
        absence: "it is not", example: "{attempts: 3, backoff: 1m}")
    static let attempts = Key(
        name: "attempts", type: .count(1...20), doc: "Runs in all.", example: "3", isRequired: true)
    static let backoff = Key(
        name: "backoff", type: .text(.duration), doc: "The wait before the second; it doubles from then on.",
        absence: "`1m`", example: "1m")
    static let longestBackoff = Key(
        name: "longestBackoff", type: .text(.duration), doc: "No wait is longer.", absence: "`1h`", example: "30m")
    static let retriedCodes = Key(
        name: "on", type: .list(of: .errorCode, minimum: 1),
        doc: "Only failures with one of these codes are tried again. [errors.md](errors.md) lists them.",
        absence: "those that may pass, by what the failure says of itself", example: "[store-unavailable, busy]")
    static let retriesSection = Section(
        name: "Retries", doc: "A run that was tried again is one run with several attempts.",
        keys: [attempts, backoff, longestBackoff, retriedCodes])

    static let deadlines = Key(
        name: "deadlines", type: .section(deadlinesSection), doc: "How late and how long a run may be.",
        absence: "see below", example: "{start: 1h, run: 6h}")
    static let startDeadline = Key(
        name: "start", type: .text(.duration),
        doc: "A run that could not start so long after it was due is recorded as not run.",
        absence: "until the next is due", example: "1h")
    static let runDeadline = Key(
        name: "run", type: .text(.duration), doc: "A run that takes longer is ended, and has failed.",
        absence: "as long as it takes", example: "6h")
    static let deadlinesSection = Section(
        name: "Deadlines", doc: "Counted from the instant at which the run was due.",
        keys: [startDeadline, runDeadline])

    static let catchUp = Key(
        name: "catchUp", type: .section(catchUpSection), doc: "What becomes of runs that were missed.",
        absence: "`{policy: once, within: 1w}`", example: "{policy: all, within: 1d}")
    static let catchUpPolicy = Key(
        name: "policy", type: .text(.catchUp),
        doc: "`none` records them as missed, `once` runs the newest, `all` runs each, the newest 100 at most.",
        example: "once", isRequired: true)
    static let catchUpWithin = Key(
        name: "within", type: .text(.duration), doc: "Runs that were due longer ago are not made up for.",
        absence: "`1w`", example: "1d")
    static let catchUpSection = Section(
        name: "CatchUp", doc: "For the time in which nothing ran jobs. See [Missed runs](SCHEDULING.md#missed-runs).",
        keys: [catchUpPolicy, catchUpWithin])

    static let duration = Key(
        name: "duration", type: .text(.duration),
        doc: "How long a run is expected to take, for `holdfast schedule lint`, where it was not measured.",
        absence: "not known", example: "20m")
    static let enabled = Key(
        name: "enabled", type: .flag, doc: "Whether the job runs at all.", absence: "`true`", example: "false")
    static let paused = Key(
        name: "paused", type: .section(pausedSection), doc: "The job is not to run for a while.", absence: "it runs",
        example: "{reason: migration, until: 2026-12-01T00:00:00Z}")
    static let pauseReason = Key(
        name: "reason", type: .text(.line), doc: "Why. Kept with each run that does not take place.",
        example: "migration of the database", isRequired: true)
    static let pauseUntil = Key(
        name: "until", type: .text(.instant), doc: "When it runs again.", absence: "when this is taken away",
        example: "2026-12-01T00:00:00Z")
    static let pausedSection = Section(
        name: "Paused", doc: "An objective is not met while its job is paused; the lint says so.",
        keys: [pauseReason, pauseUntil])
}
