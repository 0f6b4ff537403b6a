// Every key of holdfast.yaml, declared once.

/// The whole file.
enum ConfigurationSchema {
    static let file = Section(
        name: "File",
        doc: """
            Repositories say where snapshots go, sources what they are of; defaults save repeating. A file that holds \
            an unknown key, a wrong type or a contradiction is refused as a whole.
            """,
        keys: [repositories, defaults, sources, drills, notifiers])

    static let repositories = Key(
        name: "repositories", type: .sections(name: .name, repository),
        doc: "Repositories by name. `--repo NAME` and `repository:` take these names.", absence: "none",
        example: "{main: {location: /mnt/backup/repository, password: file:/etc/holdfast/password}}")
    static let defaults = Key(
        name: "defaults", type: .section(defaultsSection),
        doc: "What holds for every source that does not say otherwise.",
        absence: "nothing", example: "{repository: main, retention: {daily: 7, weekly: 5}}")
    static let sources = Key(
        name: "sources", type: .sections(name: .name, source),
        doc: """
            Sources by name. The name is the identity of the source: "the previous snapshot", retention and \
            `latest:NAME` go by it.
            """,
        absence: "none", example: "{site: {url: 'dir:/srv/site'}}")

    // MARK: Repositories

    static let location = Key(
        name: "location", type: .text(.location), doc: "Where the repository is.", example: "/mnt/backup/repository",
        isRequired: true)
    static let password = Key(
        name: "password", type: .text(.secret),
        doc: """
            Where its password is. One of the variables of the environment that name a password or key goes before \
            this.
            """,
        absence: "the variables of the environment, else a terminal is asked", example: "file:/etc/holdfast/password")
    static let keyFile = Key(
        name: "keyFile", type: .text(.keyFile), doc: "Where its raw key is, in place of a password.",
        absence: "as for `password`", example: "file:/etc/holdfast/key")
    static let mirrors = Key(
        name: "mirrors", type: .list(of: .location, minimum: 0),
        doc: "Second copies. `holdfast mirror` without `--to` brings all of them up to date.", absence: "none",
        example: "[/mnt/second/repository]")

    static let offsite = Key(
        name: "offsite", type: .list(of: .location, minimum: 0),
        doc: """
            Which of `location` and `mirrors` are at another place than the sources; the others count as local. \
            Declared, not measured: `holdfast rpo` counts the exposure of each class by itself.
            """,
        absence: "all are local", example: "[/mnt/second/repository]")
    static let immutable = Key(
        name: "immutable", type: .list(of: .location, minimum: 0),
        doc: "Which of `location` and `mirrors` nobody can delete from or change for a time. Declared, not measured.",
        absence: "none is", example: "[/mnt/second/repository]")

    static let repository = Section(
        name: "Repository", doc: "One repository.",
        keys: [location, password, keyFile, mirrors, offsite, immutable],
        rules: [.atMostOne(["password", "keyFile"])])

    // MARK: Sources

    static let url = Key(
        name: "url", type: .oneOrMore(of: .sourceURL),
        doc: "What is backed up. Several directories make one snapshot.", example: "dir:/srv/site")
    static let command = Key(
        name: "command", type: .section(commandSection), doc: "A program whose output is backed up, in place of `url`.",
        example: "{dump: [pg_dump, -Fc, -Z0, shop], restore: [pg_restore, --dbname, shop]}")
    static let repositoryName = Key(
        name: "repository", type: .text(.name), doc: "The name of the repository that snapshots go to.",
        absence: "the only repository of the file", example: "main")
    static let owner = Key(
        name: "owner", type: .text(.line),
        doc: "Who answers for the data. Kept in each snapshot as the fact `declared.owner`.", absence: "not said",
        example: "shop-team@example.com")
    static let tier = Key(
        name: "tier", type: .text(.name),
        doc: "How important the data is, in your own scale. Kept in each snapshot as the fact `declared.tier`.",
        absence: "not said", example: "'1'")
    static let dataClass = Key(
        name: "dataClass", type: .text(.name),
        doc: """
            How confidential the data is, in your own scale. Kept in each snapshot as the fact `declared.dataClass`.
            """,
        absence: "not said", example: "personal")
    static let rpo = Key(
        name: "rpo", type: .text(.duration),
        doc: """
            The recovery point objective: how much recent work may be lost. An objective, not a measurement; kept in \
            each snapshot as the fact `declared.rpo`.
            """,
        absence: "no objective", example: "24h")
    static let rto = Key(
        name: "rto", type: .text(.duration),
        doc: """
            The recovery time objective: how long a recovery may take. An objective, not a measurement; kept in each \
            snapshot as the fact `declared.rto`.
            """,
        absence: "no objective", example: "2h")
    static let retention = Key(
        name: "retention", type: .section(retentionSection),
        doc: "What `holdfast forget` without rules keeps. Taken whole: the rules of `defaults` do not add to it.",
        absence: "such a forget leaves the source alone", example: "{daily: 7, weekly: 5, monthly: 12}")
    static let vaultPassword = Key(
        name: "vaultPassword", type: .text(.secret),
        doc: "What opens the vault of a source with the URL `vault:embedded:PATH`.",
        absence: "the environment, else a prompt", example: "'file:/etc/holdfast/vault-password'")
    static let tags = Key(
        name: "tags", type: .texts(name: .tagName, value: .line),
        doc: "Tags of each snapshot. Those of `defaults`, of the source and of `--tag` add up; the later one wins.",
        absence: "none", example: "{env: production}")
    static let excludes = Key(
        name: "excludes", type: .list(of: .pattern, minimum: 0),
        doc: "What is left out of directories. Those of `defaults`, of the source and of `--exclude` add up.",
        absence: "nothing is left out", example: "['*.tmp', cache/]")
    static let excludeCaches = Key(
        name: "excludeCaches", type: .flag,
        doc: "Leave out the contents of directories that hold a valid CACHEDIR.TAG.", absence: "`false`",
        example: "true")
    static let oneFileSystem = Key(
        name: "oneFileSystem", type: .flag, doc: "Stay on the file system of each directory.", absence: "`false`",
        example: "true")
    static let unpack = Key(
        name: "unpack", type: .flag, doc: "Take the tar archive on the stream apart into its members.",
        absence: "`false`", example: "true")
    static let minSize = Key(
        name: "minSize", type: .text(.size), doc: "Refuse a stream of fewer bytes.", absence: "one byte",
        example: "1M")
    static let compression = Key(
        name: "compression", type: .text(.codec), doc: "How new data is compressed.",
        absence: "the repository's own setting", example: "zstd:6")
    static let limitRead = Key(
        name: "limitRead", type: .text(.size), doc: "The most to read in a second.", absence: "no limit",
        example: "50M")
    static let limitWrite = Key(
        name: "limitWrite", type: .text(.size), doc: "The most to write to the repository in a second.",
        absence: "no limit", example: "20M")
    static let threads = Key(
        name: "threads", type: .count(1...256), doc: "The number of working threads.",
        absence: "one for each processor, at most 4", example: "2")

    /// What sources and defaults share.
    private static let shared = [
        repositoryName, owner, tier, dataClass, rpo, rto, retention, tags, excludes, excludeCaches, oneFileSystem,
        compression, limitRead, limitWrite, threads,
    ]

    static let source = Section(
        name: "Source", doc: "One source. One run of `holdfast backup NAME` makes one snapshot of it.",
        keys: [url, command, vaultPassword, opensWith] + shared + [unpack, minSize],
        rules: [.exactlyOne(["url", "command"])])

    static let defaultsSection = Section(
        name: "Defaults",
        doc: """
            The same keys as in a source. Exclusions and the like mean nothing to streams and commands and are not \
            applied to them.
            """,
        keys: shared)

    // MARK: Commands and retention

    static let dump = Key(
        name: "dump", type: .list(of: .argument, minimum: 1),
        doc: """
            The program and its arguments. What it prints on standard output is backed up; unless it exits 0 and \
            prints something, nothing is committed.
            """,
        example: "[pg_dump, -Fc, -Z0, shop]", isRequired: true)
    static let restore = Key(
        name: "restore", type: .list(of: .argument, minimum: 1),
        doc: """
            The program and its arguments that take the same on standard input. `holdfast restore SNAPSHOT --to \
            command:` runs it; unless it reads all and exits 0, the restore has failed.
            """,
        absence: "not said", example: "[pg_restore, --dbname, shop]")
    static let streamName = Key(
        name: "file", type: .text(.streamName), doc: "The name of the file in the snapshot.",
        absence: "the name of the source", example: "shop.dump")

    static let commandSection = Section(
        name: "Command", doc: "A program whose output is backed up. There is no shell: words reach it as they are.",
        keys: [dump, restore, streamName])

    static let last = period("last", "the newest N")
    static let hourly = period("hourly", "the newest of each of N hours in which there is one")
    static let daily = period("daily", "the newest of each of N days in which there is one")
    static let weekly = period("weekly", "the newest of each of N weeks in which there is one")
    static let monthly = period("monthly", "the newest of each of N months in which there is one")
    static let yearly = period("yearly", "the newest of each of N years in which there is one")
    static let within = Key(
        name: "within", type: .text(.duration), doc: "Keep all that are no older than this, from the newest back.",
        absence: "the rule does not apply", example: "30d")
    static let keptTags = Key(
        name: "tags", type: .list(of: .tagRule, minimum: 1), doc: "Keep all with one of these tags.",
        absence: "the rule does not apply", example: "[keep, reason=audit]")
    static let timeZone = Key(
        name: "timezone", type: .text(.timeZone), doc: "Where days and months begin.", absence: "`UTC`",
        example: "Europe/Berlin")

    static let retentionSection = Section(
        name: "Retention",
        doc: "A snapshot that any rule keeps is kept. The newest snapshot, and the newest whole one, always are.",
        keys: [last, hourly, daily, weekly, monthly, yearly, within, keptTags, timeZone],
        rules: [.atLeastOne(["last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "tags"])])

    private static func period(_ name: String, _ what: String) -> Key {
        Key(
            name: name, type: .count(1...100_000), doc: "Keep \(what).",
            absence: "the rule does not apply", example: "7")
    }
}
