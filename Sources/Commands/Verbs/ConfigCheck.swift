// holdfast config check: is the file good, and what does each source come to.

import ArgumentParser
import Compression
import Configuring
import Primitives
import Repository

struct ConfigCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check the configuration file, and show what its sources come to.",
        discussion: """
            All that is wrong is told at once, each with its line and column, and the exit status is 64. No \
            repository is opened and no secret is read.

            Examples:

              holdfast config check

              holdfast config check /etc/holdfast/holdfast.yaml --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The file, in place of the one that is found.", valueName: "file"))
    var file: String?

    func validate() throws {
        if file != nil, global.config != nil { throw ValidationError("Name the file once.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            guard let path = file ?? ConfigurationPlace.path(global, context.variables) else {
                throw HoldfastError(
                    .usage, "there is no configuration file to check",
                    hint: "Name one, or put it at \(ConfigurationPlace.standard.joined(separator: " or ")).")
            }
            switch try ConfigurationPlace.read(path) {
            case .good(let configuration):
                let report = ConfigCheckReport(configuration)
                for line in report.lines { try context.output.line(line) }
                try context.output.json(report)
                return .success
            case .bad(let problems):
                for problem in problems {
                    let place = "\(path):\(problem.position.line):\(problem.position.column)"
                    context.output.console.line(ShownText.line("\(place): \(problem.message)"))
                }
                try context.output.json(ConfigCheckReport(path, problems))
                return .usage
            }
        }
    }
}

/// `holdfast.config-check/1`.
struct ConfigCheckReport: Encodable {
    let schema = "holdfast.config-check/1"
    let file: String
    let isGood: Bool
    var problems: [Item] = []
    var repositories: [Place] = []
    var sources: [Source] = []
    var drills: [Plan] = []

    struct Item: Encodable {
        let line, column: Int
        let message: String
    }

    struct Place: Encodable {
        let name, location: String
        /// How it is opened: a reference, never a secret.
        let password, keyFile: String?
        let mirrors: [String]
        let offsite: [String]
        let immutable: [String]
        let isDefault: Bool
    }

    struct Source: Encodable {
        let name: String
        let url, dump, restore: [String]?
        let file, repository, owner, tier, dataClass, rpo, rto: String?
        let retention: Retention?
        let opensWith: [String]
        /// Secrets of vaults that open it, each as `VAULT:SECRET#FIELD as ROLE in DATABASE`.
        let openings: [String]
        let tags: [String: String]
        let excludes: [String]
        let excludeCaches, oneFileSystem, unpack: Bool
        let compression: String?
        let minSize, limitRead, limitWrite: UInt64?
        let threads: Int?
    }

    struct Retention: Encodable {
        let rules: [String: Int]
        let within: String?
        let tags: [String]
        let timezone: String
    }

    private enum CodingKeys: String, CodingKey { case schema, file, isGood, problems, repositories, sources, drills }

    init(_ file: String, _ problems: [Problem]) {
        self.file = file
        isGood = false
        self.problems = problems.map {
            Item(line: $0.position.line, column: $0.position.column, message: $0.message)
        }
    }

    init(_ configuration: Configuration) {
        file = configuration.path
        isGood = true
        repositories = configuration.repositories.map { repository in
            var password: String?
            var keyFile: String?
            switch repository.opening {
            case .unsaid: break
            case .password(let reference): password = reference.description
            case .rawKey(let path): keyFile = "file:\(path)"
            }
            return Place(
                name: repository.name, location: repository.location, password: password, keyFile: keyFile,
                mirrors: repository.mirrors, offsite: repository.offsite, immutable: repository.immutable,
                isDefault: repository.name == configuration.defaultRepository)
        }
        sources = configuration.sources.map(Self.source)
        drills = configuration.drills.map { Plan($0) }
    }

    private static func source(_ source: ConfiguredSource) -> Source {
        var urls: [String]?
        var command: ConfiguredCommand?
        switch source.origin {
        case .urls(let own): urls = own.map(\.text)
        case .command(let own): command = own
        }
        return Source(
            name: source.name, url: urls, dump: command?.dump, restore: command?.restore, file: command?.file,
            repository: source.repository, owner: source.owner, tier: source.tier, dataClass: source.dataClass,
            rpo: source.rpo?.lengthOfTime, rto: source.rto?.lengthOfTime,
            retention: source.retention.map(retention), opensWith: source.opensWith.map(\.description),
            openings: source.openings.map(\.description), tags: source.tags, excludes: source.excludes.map(\.text),
            excludeCaches: source.excludeCaches,
            oneFileSystem: source.oneFileSystem, unpack: source.unpack, compression: source.compression?.description,
            minSize: source.minSize?.bytes, limitRead: source.limitRead?.bytes, limitWrite: source.limitWrite?.bytes,
            threads: source.threads)
    }

    private static func retention(_ retention: SourceRetention) -> Retention {
        var rules = Dictionary(
            uniqueKeysWithValues: retention.policy.periods.map { ($0.key.rawValue, $0.value) }.filter { $0.1 > 0 })
        if retention.policy.last > 0 { rules["last"] = retention.policy.last }
        return Retention(
            rules: rules, within: retention.policy.within?.lengthOfTime,
            tags: retention.policy.tags.map { tag in tag.value.map { "\(tag.key)=\($0)" } ?? tag.key },
            timezone: retention.zone)
    }
}

extension ConfigCheckReport {
    /// The same for people: what is given or comes from the defaults, a line each.
    var lines: [String] {
        var lines = [
            "\(file) is good: \(repositories.count) repositories, \(sources.count) sources"
                + (drills.isEmpty ? "" : ", \(drills.count) drills")
        ]
        for repository in repositories {
            lines.append("repository \(repository.name)\(repository.isDefault ? " (default)" : "")")
            lines += Self.lines([
                ("location", repository.location), ("password", repository.password), ("keyFile", repository.keyFile),
                ("mirrors", Self.list(repository.mirrors)), ("offsite", Self.list(repository.offsite)),
                ("immutable", Self.list(repository.immutable)),
            ])
        }
        for source in sources {
            lines.append("source \(source.name)")
            let rules = source.retention.map { retention in
                let counts = retention.rules.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
                let within = retention.within.map { ["within \($0)"] } ?? []
                return (counts + within + retention.tags.map { "tag \($0)" } + [retention.timezone])
                    .joined(separator: ", ")
            }
            lines += Self.lines([
                ("url", Self.list(source.url ?? [])), ("dump", Self.list(source.dump ?? [])),
                ("restore", Self.list(source.restore ?? [])), ("file", source.file),
                ("repository", source.repository), ("owner", source.owner), ("tier", source.tier),
                ("dataClass", source.dataClass), ("rpo", source.rpo), ("rto", source.rto), ("retention", rules),
                ("opensWith", Self.list(source.opensWith)),
                ("openings", source.openings.isEmpty ? nil : source.openings.joined(separator: ", ")),
                ("tags", Self.list(source.tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })),
                ("excludes", Self.list(source.excludes)),
                ("flags", Self.list(Self.flags(source))), ("compression", source.compression),
                ("minSize", source.minSize.map { "\(ByteCount($0))" }),
                ("limitRead", source.limitRead.map { "\(ByteCount($0))" }),
                ("limitWrite", source.limitWrite.map { "\(ByteCount($0))" }),
                ("threads", source.threads.map { "\($0)" }),
            ])
        }
        for drill in drills { lines += drill.lines }
        return lines
    }

    private static func flags(_ source: Source) -> [String] {
        [
            ("excludeCaches", source.excludeCaches), ("oneFileSystem", source.oneFileSystem),
            ("unpack", source.unpack),
        ].filter(\.1).map(\.0)
    }

    private static func list(_ items: [String]) -> String? { items.isEmpty ? nil : items.joined(separator: " ") }

    private static func lines(_ pairs: [(String, String?)]) -> [String] {
        pairs.compactMap { name, value in
            value.map { "  \(name)\(String(repeating: " ", count: max(1, 13 - name.count)))\(ShownText.line($0))" }
        }
    }
}
