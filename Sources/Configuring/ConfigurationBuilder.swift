// From checked values to a configuration: defaults are filled in, and what contradicts itself is found.

import Compression
import Primitives
import Repository
import Workloads

/// Builds a configuration out of a section that was held to the declarations.
struct ConfigurationBuilder {
    private typealias Keys = ConfigurationSchema

    let path: String
    /// Where relative paths go from.
    let directory: String
    let checkPattern: (String) -> String?
    var problems: ProblemList

    mutating func build(_ file: SectionValue) -> Configuration {
        let repositories = file.sections(Keys.repositories).map { repository($0.name, $0.value) }
        let defaults = file.section(Keys.defaults) ?? SectionValue(position: file.position)
        let names = repositories.map(\.name)
        let chosen = repositoryName(defaults, names)
        // What is wrong in the defaults is told once, and at its place.
        _ = patterns(defaults)
        var configuration = Configuration(
            path: path, repositories: repositories, sources: [],
            defaultRepository: chosen ?? (names.count == 1 ? names.first : nil))
        for (name, position, value) in file.sections(Keys.sources) {
            if let source = source(name, at: position, value, defaults, configuration) {
                configuration.sources.append(source)
            }
        }
        // A vault may stand behind what it opens.
        for (name, _, value) in file.sections(Keys.sources) { addOpenings(of: name, value, to: &configuration) }
        for (name, position, value) in file.sections(Keys.drills) {
            configuration.drills.append(drill(name, at: position, value, configuration))
        }
        for (name, position, value) in file.sections(Keys.notifiers) {
            if let notifier = notifier(name, at: position, value) { configuration.notifiers.append(notifier) }
        }
        return configuration
    }

    // MARK: Repositories

    private mutating func repository(_ name: String, _ value: SectionValue) -> ConfiguredRepository {
        let location = absolute(value.text(Keys.location) ?? "")
        var repository = ConfiguredRepository(name: name, location: location)
        if let reference = value.text(Keys.password).flatMap(secret) { repository.opening = .password(reference) }
        if case .file(let path)? = value.text(Keys.keyFile).flatMap(secret) { repository.opening = .rawKey(path: path) }
        for (text, position) in value.list(Keys.mirrors) ?? [] {
            let mirror = absolute(text)
            if mirror == repository.location {
                problems.add(position, "`mirrors`: repository `\(name)` cannot be its own mirror")
            } else if repository.mirrors.contains(mirror) {
                problems.add(position, "`mirrors`: the same location stands here twice")
            }
            repository.mirrors.append(mirror)
        }
        repository.offsite = copies(Keys.offsite, value, repository)
        repository.immutable = copies(Keys.immutable, value, repository)
        return repository
    }

    /// Copies of a repository that a list names.
    private mutating func copies(
        _ key: Key, _ value: SectionValue, _ repository: ConfiguredRepository
    ) -> [String] {
        (value.list(key) ?? []).map { text, position in
            let location = absolute(text)
            if location != repository.location, !repository.mirrors.contains(location) {
                problems.add(
                    position, "`\(key.name)`: this is neither the location nor a mirror of `\(repository.name)`")
            }
            return location
        }
    }

    /// The repository that a section names, when there is one of that name.
    private mutating func repositoryName(_ value: SectionValue, _ names: [String]) -> String? {
        guard let name = value.text(Keys.repositoryName) else { return nil }
        if names.contains(name) { return name }
        let nearest = Nearest.word(to: name, among: names).map { "; did you mean `\($0)`?" } ?? ""
        problems.add(value.position(of: Keys.repositoryName), "there is no repository `\(name)`\(nearest)")
        return nil
    }

    // MARK: Sources

    private mutating func source(
        _ name: String, at position: Position, _ value: SectionValue, _ defaults: SectionValue,
        _ configuration: Configuration
    ) -> ConfiguredSource? {
        let own = repositoryName(value, configuration.repositories.map(\.name))
        if !value.has(Keys.repositoryName), configuration.defaultRepository == nil,
            !defaults.has(Keys.repositoryName), configuration.repositories.count > 1
        {
            problems.add(
                position, "source `\(name)` does not say which of the repositories it goes to; add `repository`")
        }
        guard let origin = origin(name, value) else { return nil }
        var source = ConfiguredSource(name: name, origin: origin)
        source.repository = own ?? configuration.defaultRepository
        let layers = [value, defaults]
        func first(_ key: Key) -> String? { layers.lazy.compactMap { $0.text(key) }.first }
        source.owner = first(Keys.owner)
        source.tier = first(Keys.tier)
        source.dataClass = first(Keys.dataClass)
        source.rpo = first(Keys.rpo).flatMap { Duration(lengthOfTime: $0) }
        source.rto = first(Keys.rto).flatMap { Duration(lengthOfTime: $0) }
        source.retention = layers.lazy.compactMap { $0.section(Keys.retention) }.first.map(Self.retention)
        source.vaultPassword = value.text(Keys.vaultPassword).flatMap(secret)
        source.opensWith = references(value)
        for layer in layers.reversed() {
            for (name, text) in layer.texts(Keys.tags) { source.tags[name] = text }
        }
        source.compression = first(Keys.compression).flatMap { CompressionSetting($0) }
        source.limitRead = first(Keys.limitRead).flatMap { ByteCount($0) }
        source.limitWrite = first(Keys.limitWrite).flatMap { ByteCount($0) }
        source.threads = layers.lazy.compactMap { $0.count(Keys.threads) }.first
        let ownPatterns = patterns(value)
        if isTree(origin) {
            source.excludes = Self.patternValues(defaults) + ownPatterns
            source.excludeCaches = layers.lazy.compactMap { $0.flag(Keys.excludeCaches) }.first ?? false
            source.oneFileSystem = layers.lazy.compactMap { $0.flag(Keys.oneFileSystem) }.first ?? false
        } else if isStream(origin) {
            source.unpack = value.flag(Keys.unpack) ?? false
            source.minSize = value.text(Keys.minSize).flatMap { ByteCount($0) }
        }
        checkMeaning(value, origin)
        return source
    }

    private mutating func origin(_ name: String, _ value: SectionValue) -> ConfiguredSource.Origin? {
        if let command = value.section(Keys.command) {
            for key in [Keys.dump, Keys.restore] {
                let words = command.list(key) ?? []
                if let refusal = ClearSecret.refusal(ofCommand: words.map(\.text)) {
                    problems.add(words[refusal.index].position, "`\(key.name)`: \(refusal.reason)")
                }
                if words.first?.text.isEmpty == true {
                    problems.add(words[0].position, "`\(key.name)`: the name of the program is empty")
                }
            }
            guard let dump = command.list(Keys.dump) else { return nil }
            return .command(
                ConfiguredCommand(
                    dump: dump.map(\.text), restore: command.list(Keys.restore)?.map(\.text),
                    file: command.text(Keys.streamName) ?? name))
        }
        guard let given = value.list(Keys.url) else { return nil }
        var urls: [SourceURL] = []
        for (text, position) in given {
            guard let url = SourceURL(text)?.resolved(from: directory) else { continue }
            if given.count > 1, url.kind?.capabilities.canBeJoined != true {
                problems.add(position, "`url`: \(url.scheme): is backed up alone; give it a source of its own")
            }
            if urls.contains(url) { problems.add(position, "`url`: the same URL stands here twice") }
            if let first = urls.first, first.scheme != url.scheme, url.kind?.capabilities.canBeJoined == true {
                problems.add(
                    position, "`url`: sources of one snapshot are of one kind, not \(first.scheme): and \(url.scheme):")
            }
            urls.append(url)
        }
        return .urls(urls)
    }

    private func isTree(_ origin: ConfiguredSource.Origin) -> Bool {
        guard case .urls(let urls) = origin else { return false }
        return urls.contains { $0.kind?.capabilities.isTree == true }
    }

    private func isStream(_ origin: ConfiguredSource.Origin) -> Bool {
        guard case .urls(let urls) = origin else { return true }
        return urls.contains { $0.kind?.isStream == true }
    }

    /// Keys that mean nothing for what the source is.
    private mutating func checkMeaning(_ value: SectionValue, _ origin: ConfiguredSource.Origin) {
        let (isTree, isStream) = (isTree(origin), isStream(origin))
        var wrong: [Key] = []
        if !isTree { wrong += [Keys.excludes, Keys.excludeCaches, Keys.oneFileSystem] }
        if !isStream { wrong += [Keys.unpack, Keys.minSize] }
        let what = isTree ? "directories" : isStream ? "streams and commands" : "databases"
        for key in wrong where value.has(key) {
            problems.add(value.position(of: key), "`\(key.name)` means nothing for \(what)")
        }
    }

    // MARK: Values

    private mutating func patterns(_ value: SectionValue) -> [ConfiguredSource.Pattern] {
        let patterns = Self.patternValues(value)
        for pattern in patterns {
            if let refusal = checkPattern(pattern.text) { problems.add(pattern.position, "`excludes`: \(refusal)") }
        }
        return patterns
    }

    private static func patternValues(_ value: SectionValue) -> [ConfiguredSource.Pattern] {
        (value.list(ConfigurationSchema.excludes) ?? []).map { .init(text: $0.text, position: $0.position) }
    }

    private static func retention(_ value: SectionValue) -> SourceRetention {
        var policy = RetentionPolicy()
        policy.last = value.count(Keys.last) ?? 0
        policy.periods = [
            .hourly: value.count(Keys.hourly) ?? 0, .daily: value.count(Keys.daily) ?? 0,
            .weekly: value.count(Keys.weekly) ?? 0, .monthly: value.count(Keys.monthly) ?? 0,
            .yearly: value.count(Keys.yearly) ?? 0,
        ]
        policy.within = value.text(Keys.within).flatMap { Duration(lengthOfTime: $0) }
        policy.tags = (value.list(Keys.keptTags) ?? []).map { item in
            let parts = item.text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
        }
        return SourceRetention(policy: policy, zone: value.text(Keys.timeZone) ?? "UTC")
    }

    func secret(_ text: String) -> SecretReference? {
        guard case .file(let path)? = SecretReference(text) else { return SecretReference(text) }
        return .file(path: path.hasPrefix("/") ? path : "\(directory)/\(path)")
    }

    private func absolute(_ location: String) -> String { StoreAddress.absolute(location, from: directory) }
}

/// Where a repository or a copy is.
enum StoreAddress {
    /// A location whose relative path goes from `directory`.
    static func absolute(_ location: String, from directory: String) -> String {
        let (scheme, path) = location.hasPrefix("dir:") ? ("dir:", String(location.dropFirst(4))) : ("", location)
        return path.hasPrefix("/") || path.hasPrefix("file:") ? location : "\(scheme)\(directory)/\(path)"
    }
}
