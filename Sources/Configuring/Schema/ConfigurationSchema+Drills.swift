// The keys of plans of drills.

import Primitives

extension ConfigurationSchema {
    static let drills = Key(
        name: "drills", type: .sections(name: .name, drill),
        doc: "Plans of drills by name: `holdfast drill NAME` carries one out.", absence: "none",
        example: "{nightly: {systems: {database: {source: shop}}}}")

    // MARK: Plan

    static let systems = Key(
        name: "systems", type: .sections(name: .name, drillSystem),
        doc: "The systems that are recovered together, by name. Their sources are in one repository.",
        example: "{database: {source: shop}, site: {source: web, after: [database]}}", isRequired: true)
    static let drillChecks = Key(
        name: "checks", type: .sections(name: .name, drillCheck),
        doc: """
            Checks by name. Those of a plan concern several systems and are made when all are there: reconciliations \
            and commands. Those of a system are made over its copy.
            """,
        absence: "the engine's own checks alone", example: "{orders: {sql: SELECT count(*) > 0 FROM orders, expect: t}}"
    )
    static let scratch = Key(
        name: "scratch", type: .section(drillScratch), doc: "What the drill may use.", absence: "no limits",
        example: "{disk: 50G, memory: 2G, time: 2h}")
    static let approver = Key(
        name: "approver", type: .text(.line), doc: "Who approved the plan. Kept in the evidence.", absence: "not said",
        example: "head of operations")
    static let planRPO = Key(
        name: "rpo", type: .text(.duration),
        doc: "How much recent work may be lost. The drill fails when a system's newest point is older.",
        absence: "the objective of the source", example: "24h")
    static let planRTO = Key(
        name: "rto", type: .text(.duration),
        doc: "How long a recovery may take, with what is declared. The drill fails when it took longer.",
        absence: "the objective of the source", example: "2h")
    static let detect = declared("detect", "to notice that the service failed")
    static let decide = declared("decide", "to decide that it is to be recovered")
    static let cutover = declared("cutover", "to send its users to what was recovered")

    private static func declared(_ name: String, _ what: String) -> Key {
        Key(
            name: name, type: .text(.duration),
            doc: "How long it takes \(what). Declared, not measured, and marked so in the evidence.",
            absence: "not counted", example: "10m")
    }

    static let drill = Section(
        name: "Drill",
        doc: "A plan: what is recovered together, in which order, and what it is held to. See [DRILLS.md](DRILLS.md).",
        keys: [systems, drillChecks, scratch, planRPO, planRTO, detect, decide, cutover, approver])

    // MARK: System

    static let drilledSource = Key(
        name: "source", type: .text(.name), doc: "The name of a source of the file.", absence: "the system's own name",
        example: "shop")
    static let point = Key(
        name: "point", type: .text(.point), doc: "Which recovery point is tried.", absence: "`latest`",
        example: "worst-replay")
    static let after = Key(
        name: "after", type: .list(of: .name, minimum: 0), doc: "Systems that must be there before this one.",
        absence: "none", example: "[database]")

    static let drillSystem = Section(
        name: "System", doc: "One system of a plan.",
        keys: [drilledSource, point, after, drillChecks, planRPO, planRTO])

    // MARK: Limits

    static let scratchDirectory = Key(
        name: "directory", type: .text(.pathText),
        doc: "Where the scratch directory is made. `--scratch` goes before it.", absence: "TMPDIR, else `/var/tmp`",
        example: "/srv/scratch")
    static let scratchDisk = Key(
        name: "disk", type: .text(.size),
        doc:
            "The most that the scratch directory may take: looked at before and while it fills.",
        absence: "no limit",
        example: "50G")
    static let scratchMemory = Key(
        name: "memory", type: .text(.size),
        doc: "The most memory for all that the drill starts, looked at once a second.", absence: "no limit",
        example: "2G")
    static let scratchTime = Key(
        name: "time", type: .text(.duration), doc: "The longest time that the drill may take.", absence: "no limit",
        example: "2h")

    static let drillScratch = Section(
        name: "Scratch", doc: "Limits of a drill. What is over one is stopped, and the drill fails.",
        keys: [scratchDirectory, scratchDisk, scratchMemory, scratchTime])

    // MARK: Checks

    static let checkSQL = Key(
        name: "sql", type: .text(.statement),
        doc:
            """
            A statement that reads, over a database's copy. What it answers is held to `expect`, `atLeast` or `atMost`.
            """,
        absence: "see below", example: "SELECT count(*) FROM orders")
    static let checkHeartbeat = Key(
        name: "heartbeat", type: .text(.statement),
        doc: """
            A statement that gives the instant of the newest beat: a row that the source writes at regular times. Its \
            age at the recovery point is the measured loss.
            """,
        absence: "see below", example: "SELECT max(at) FROM heartbeat")
    static let checkCommand = Key(
        name: "command", type: .list(of: .argument, minimum: 1),
        doc: """
            A program and its arguments, run without network and as the copy's owner; it must exit 0. \
            `HOLDFAST_DRILL_DIRECTORY` is the copy, `HOLDFAST_DRILL_ADDRESS` its server.
            """,
        absence: "see below", example: "[/etc/holdfast/check-shop]")
    static let checkReconcile = Key(
        name: "reconcile", type: .section(reconciliation), doc: "Two statements that must answer the same.",
        absence: "see below", example: "{left: database, leftSQL: SELECT 1, right: ledger, rightSQL: SELECT 1}")
    static let checkDatabase = Key(
        name: "database", type: .text(.line),
        doc: "The database that `sql` or `heartbeat` asks: its name on the server, or the name of its file.",
        absence: "`postgres`, or the only file", example: "shop")
    static let checkExpect = Key(
        name: "expect", type: .text(.answer),
        doc: "What must be answered or printed: columns parted by `|`, rows by line feeds.", absence: "see `sql`",
        example: "t")
    static let checkLeast = Key(
        name: "atLeast", type: .text(.number), doc: "The least that the one number of the answer may be.",
        absence: "no bound", example: "1000")
    static let checkMost = Key(
        name: "atMost", type: .text(.number), doc: "The most that the one number of the answer may be.",
        absence: "no bound", example: "0")
    static let checkEvery = Key(
        name: "every", type: .text(.duration), doc: "How often there is a beat; the loss may be off by this.",
        absence: "not said", example: "10s")
    static let checkAge = Key(
        name: "maxAge", type: .text(.duration), doc: "How old the newest beat may be at the recovery point.",
        absence: "the RPO of the system, if any", example: "1m")
    static let checkTimeout = Key(
        name: "timeout", type: .text(.duration), doc: "After this the check is ended, and has failed.",
        absence: "`10m`",
        example: "30s")

    static let drillCheck = Section(
        name: "Check", doc: "One check. It has failed when it gives no answer.",
        keys: [
            checkSQL, checkHeartbeat, checkCommand, checkReconcile, checkDatabase, checkExpect, checkLeast, checkMost,
            checkEvery, checkAge, checkTimeout,
        ],
        rules: [.exactlyOne(["sql", "heartbeat", "command", "reconcile"])])

    static let reconcileLeft = Key(
        name: "left", type: .text(.name), doc: "A system of the plan.", example: "database", isRequired: true)
    static let reconcileLeftSQL = Key(
        name: "leftSQL", type: .text(.statement), doc: "The statement that it is asked.",
        example: "SELECT sum(total) FROM orders", isRequired: true)
    static let reconcileLeftDatabase = Key(
        name: "leftDatabase", type: .text(.line), doc: "As `database` of a check.", absence: "as there",
        example: "shop")
    static let reconcileRight = Key(
        name: "right", type: .text(.name), doc: "Another system of the plan.", example: "ledger", isRequired: true)
    static let reconcileRightSQL = Key(
        name: "rightSQL", type: .text(.statement), doc: "The statement that it is asked.",
        example: "SELECT sum(amount) FROM bookings", isRequired: true)
    static let reconcileRightDatabase = Key(
        name: "rightDatabase", type: .text(.line), doc: "As `database` of a check.", absence: "as there",
        example: "ledger")
    static let tolerance = Key(
        name: "tolerance", type: .text(.number), doc: "How far two numbers may be apart.", absence: "`0`",
        example: "0.01")

    static let reconciliation = Section(
        name: "Reconciliation", doc: "The same asked of two systems.",
        keys: [
            reconcileLeft, reconcileLeftSQL, reconcileLeftDatabase, reconcileRight, reconcileRightSQL,
            reconcileRightDatabase, tolerance,
        ])
}

extension TextForm {
    static let point = TextForm(
        name: "point", doc: "`latest`, `random`, `oldest`, `worst-replay`, or a time with its zone",
        pattern: "^(latest|random|oldest|worst-replay|[0-9]{4}-[0-9]{2}-[0-9]{2}.*)$"
    ) { text in
        if ["latest", "random", "oldest", "worst-replay"].contains(text) || Timestamp(text: text) != nil { return nil }
        return "expected latest, random, oldest, worst-replay or a time such as 2026-11-24T13:00:00Z, not `\(text)`"
    }

    static let statement = TextForm(
        name: "statement", doc: "a statement of SQL", pattern: #"^(.|\n)+$"#
    ) { $0.isEmpty || $0.utf8.count > 16_384 || $0.utf8.contains(0) ? "expected a statement of at most 16 KiB" : nil }

    static let answer = TextForm(
        name: "answer", doc: "a text", pattern: #"^(.|\n)*$"#
    ) { $0.utf8.count > 4096 ? "expected a text of at most 4 KiB" : nil }

    static let number = TextForm(
        name: "number", doc: "a number", pattern: "^-?[0-9]+(\\.[0-9]+)?$"
    ) { text in
        let isPlain = text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2D }
        return isPlain && Double(text) != nil ? nil : "expected a number such as 12 or 0.5, not `\(text)`"
    }

    static let pathText = TextForm(
        name: "path", doc: "a path; a relative one goes from the file's directory", pattern: "^.+$"
    ) { $0.isEmpty || $0.utf8.contains(0) ? "expected a path" : nil }
}
