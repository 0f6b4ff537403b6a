// Policies of rotation: what they name must be there, and what is given must mean something.

import Glibc
import Primitives
import Scheduling
import SecretVaults
import Workloads

extension ConfigurationBuilder {
    private typealias Keys = ConfigurationSchema

    mutating func rotation(
        _ name: String, at position: Position, _ value: SectionValue, _ configuration: Configuration
    ) -> ConfiguredRotation? {
        guard let source = value.text(Keys.rotatedSource), let period = length(value, Keys.rotationPeriod),
            let zone = try? TimeZoneRules(named: value.text(Keys.rotationZone) ?? "UTC")
        else { return nil }
        checkSource(source, value, configuration)
        if period < .seconds(3600) {
            problems.add(value.position(of: Keys.rotationPeriod), "`period`: a value is used for an hour at least")
        }
        var rotation = ConfiguredRotation(
            name: name, source: source, secrets: secrets(value, source, configuration), period: period, zone: zone)
        rotation.jitter = length(value, Keys.rotationJitter) ?? .zero
        if rotation.jitter >= period {
            problems.add(value.position(of: Keys.rotationJitter), "`jitter`: it must be shorter than `period`")
        }
        for (text, position) in value.list(Keys.rotationWindows) ?? [] {
            do throws(HoldfastError) {
                rotation.windows.append(try Span(text))
            } catch {
                problems.add(position, "`windows`: \(error.message)")
            }
        }
        if value.has(Keys.rotationZone), rotation.windows.isEmpty {
            problems.add(value.position(of: Keys.rotationZone), "`timeZone` means nothing without `windows`")
        }
        rotation.alerts = value.list(Keys.rotationAlerts)
            .map { $0.compactMap { Duration(lengthOfTime: $0.text) }.sorted(by: >) }
        rotation.strategy = value.text(Keys.rotationStrategy) ?? rotation.strategy
        rotation.commands = value.section(Keys.rotationCommands).map { commands($0) }
        rotation.postgres = value.section(Keys.rotationPostgres).flatMap { server($0) }
        if let section = value.section(Keys.rotationGenerator), let made = generator(section) {
            rotation.generator = made
        }
        rotation.field = value.text(Keys.rotationField)
        rotation.publicField = value.text(Keys.rotationPublicField)
        rotation.grace = length(value, Keys.rotationGrace) ?? .zero
        rotation.attempts = value.count(Keys.rotationAttempts)
        checkMeaning(rotation, value, at: position)
        return rotation
    }

    private mutating func checkSource(_ source: String, _ value: SectionValue, _ configuration: Configuration) {
        let place = value.position(of: Keys.rotatedSource)
        guard let found = configuration.source(named: source) else {
            let nearest = Nearest.word(to: source, among: configuration.sources.map(\.name))
            problems.add(
                place, "there is no source `\(source)`\(nearest.map { "; did you mean `\($0)`?" } ?? "")")
            return
        }
        if case .urls(let urls) = found.origin, urls.count == 1, urls[0].scheme == VaultWorkload.kind { return }
        problems.add(place, "`source`: the source `\(source)` is no vault, such as vault:embedded:PATH")
    }

    /// Of a secret one policy decides.
    private mutating func secrets(
        _ value: SectionValue, _ source: String, _ configuration: Configuration
    ) -> [SecretName] {
        var names: [SecretName] = []
        var seen: Set<SecretName> = []
        for (text, position) in value.list(Keys.rotatedSecrets) ?? [] {
            guard let name = try? SecretName(text) else { continue }
            if !seen.insert(name).inserted {
                problems.add(position, "`secrets`: the same secret stands here twice")
            }
            names.append(name)
        }
        for other in configuration.rotations where other.source == source {
            if let twice = other.secrets.first(where: seen.contains) {
                problems.add(
                    value.position(of: Keys.rotatedSecrets),
                    "`secrets`: the policy `\(other.name)` has `\(twice)` already")
            }
        }
        return names
    }

    private mutating func commands(_ value: SectionValue) -> ConfiguredRotation.Commands {
        ConfiguredRotation.Commands(
            apply: program(value, Keys.applyProgram), verify: program(value, Keys.verifyProgram),
            retire: program(value, Keys.retireProgram))
    }

    private mutating func server(_ value: SectionValue) -> ConfiguredRotation.Server? {
        guard let url = value.text(Keys.serverURL), let users = value.list(Keys.serverUsers) else { return nil }
        var server = ConfiguredRotation.Server(
            url: url, password: value.text(Keys.serverPassword).flatMap(secret), users: users.map(\.text))
        if Set(server.users).count < server.users.count {
            problems.add(users[0].position, "`users`: the same login stands here twice")
        }
        server.role = value.text(Keys.serverRole)
        server.endpoints = (value.list(Keys.serverEndpoints) ?? []).map(\.text)
        server.sessions = value.text(Keys.serverSessions) ?? server.sessions
        server.userField = value.text(Keys.serverUserField) ?? server.userField
        return server
    }

    private mutating func program(_ value: SectionValue, _ key: Key) -> [String]? {
        guard let words = value.list(key) else { return nil }
        if words.first?.text.isEmpty == true {
            problems.add(words[0].position, "`\(key.name)`: the name of the program is empty")
        }
        if let refusal = ClearSecret.refusal(ofCommand: words.map(\.text)) {
            problems.add(words[refusal.index].position, "`\(key.name)`: \(refusal.reason)")
        }
        return words.map(\.text)
    }

    private mutating func generator(_ value: SectionValue) -> ConfiguredRotation.Generator? {
        if value.has(Keys.generatedAlphabet), !value.has(Keys.generatedLength) {
            problems.add(value.position(of: Keys.generatedAlphabet), "`alphabet` goes with `length`")
        }
        if value.has(Keys.generatedEncoding), !value.has(Keys.generatedBytes) {
            problems.add(value.position(of: Keys.generatedEncoding), "`encoding` goes with `bytes`")
        }
        if let length = value.count(Keys.generatedLength) {
            let alphabet = value.text(Keys.generatedAlphabet)
            let bits = Double(length) * log2(Double(alphabet?.utf8.count ?? 62))
            if bits < 64 {
                problems.add(
                    value.position(of: Keys.generatedLength), "`length`: such a value has fewer than 64 bits; draw more"
                )
            }
            return .text(length: length, alphabet: alphabet)
        }
        if let count = value.count(Keys.generatedBytes) {
            return .bytes(count: count, encoding: value.text(Keys.generatedEncoding) ?? "base64")
        }
        if let kind = value.text(Keys.generatedPair) { return .keyPair(kind) }
        return program(value, Keys.generatedOutput).map { .command($0) }
    }

    /// Keys that mean nothing beside what else is given.
    private mutating func checkMeaning(
        _ rotation: ConfiguredRotation, _ value: SectionValue, at position: Position
    ) {
        let isCommand = rotation.strategy == "command"
        if isCommand, rotation.commands == nil {
            problems.add(position, "the strategy `command` needs `commands`")
        }
        if !isCommand, rotation.commands != nil {
            problems.add(
                value.position(of: Keys.rotationCommands), "`commands` goes with the strategy `command`")
        }
        checkServer(rotation, value, at: position)
        if value.has(Keys.rotationGrace), rotation.commands?.retire == nil, rotation.strategy != "dual-user" {
            problems.add(
                value.position(of: Keys.rotationGrace), "`grace` means nothing where no old value is retired")
        }
        if rotation.publicField != nil {
            if case .keyPair = rotation.generator {
            } else {
                problems.add(
                    value.position(of: Keys.rotationPublicField), "`publicField` goes with the generator `keyPair`")
            }
        }
    }

    private mutating func checkServer(
        _ rotation: ConfiguredRotation, _ value: SectionValue, at position: Position
    ) {
        let isDual = rotation.strategy == "dual-user"
        guard isDual || rotation.strategy == "single-user" else {
            if value.has(Keys.rotationPostgres) {
                problems.add(
                    value.position(of: Keys.rotationPostgres),
                    "`postgres` goes with the strategies `dual-user` and `single-user`")
            }
            return
        }
        guard let server = rotation.postgres else {
            if !value.has(Keys.rotationPostgres) {
                problems.add(position, "the strategy `\(rotation.strategy)` needs `postgres`")
            }
            return
        }
        let place = value.position(of: Keys.rotationPostgres)
        if server.users.count != (isDual ? 2 : 1) {
            problems.add(place, "`users`: `\(rotation.strategy)` takes \(isDual ? "two logins" : "one login")")
        }
        if isDual, server.role == nil {
            problems.add(place, "`role`: without a role that owns what they make the two logins lock each other out")
        }
        if rotation.secrets.count > 1 {
            problems.add(
                value.position(of: Keys.rotatedSecrets), "`secrets`: these logins are in one secret; give one")
        }
        switch rotation.generator {
        case .text, .command: break
        case .bytes(_, let encoding) where encoding != "raw": break
        case .bytes, .keyPair:
            problems.add(
                value.position(of: Keys.rotationGenerator), "`generator`: a password is a text; draw letters")
        }
    }

    private func length(_ value: SectionValue, _ key: Key) -> Duration? {
        value.text(key).flatMap { Duration(lengthOfTime: $0) }
    }
}
