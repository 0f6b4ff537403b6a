// Secrets that open what is backed up: references, and secrets of vaults that are sources of the file.

import Primitives
import SecretVaults
import Workloads

extension ConfigurationBuilder {
    private typealias Keys = ConfigurationSchema

    /// Files and variables that hold secrets which open the source.
    func references(_ value: SectionValue) -> [SecretReference] {
        value.items(Keys.opensWith).compactMap { item in
            guard case .text(let text) = item.content else { return nil }
            return secret(text)
        }
    }

    /// Adds the secrets of vaults that open the source `name`.
    mutating func addOpenings(of name: String, _ value: SectionValue, to configuration: inout Configuration) {
        let items = value.items(Keys.opensWith).filter { if case .section = $0.content { true } else { false } }
        // Most sources have none, and there may be thousands.
        guard !items.isEmpty, let place = configuration.sources.firstIndex(where: { $0.name == name }) else { return }
        for item in items {
            guard case .section(let keys) = item.content,
                let opening = opening(configuration.sources[place], keys, at: item.position, configuration)
            else { continue }
            if configuration.sources[place].openings.contains(opening) {
                problems.add(item.position, "`opensWith`: the same secret stands here twice for one role and database")
            }
            configuration.sources[place].openings.append(opening)
        }
    }

    private mutating func opening(
        _ source: ConfiguredSource, _ keys: SectionValue, at position: Position, _ configuration: Configuration
    ) -> ConfiguredOpening? {
        guard let vault = keys.text(Keys.openingVault), let secret = keys.text(Keys.openingSecret),
            let role = keys.text(Keys.openingRole), let database = keys.text(Keys.openingDatabase)
        else { return nil }
        guard let address = source.postgresAddress else {
            problems.add(
                position, "`opensWith`: a secret of a vault opens PostgreSQL alone; write file:PATH or env:NAME")
            return nil
        }
        if let own = address.database, source.kind == DumpWorkload.kind, own != database {
            problems.add(
                keys.position(of: Keys.openingDatabase),
                "`database`: the source is of `\(own)` alone, so that no restore of it has `\(database)`")
        }
        checkVault(vault, of: source, at: keys.position(of: Keys.openingVault), configuration)
        return ConfiguredOpening(
            vault: vault, secret: secret, field: keys.text(Keys.openingField), role: role, database: database)
    }

    private mutating func checkVault(
        _ name: String, of source: ConfiguredSource, at position: Position, _ configuration: Configuration
    ) {
        guard let vault = configuration.source(named: name) else {
            let nearest = Nearest.word(to: name, among: configuration.sources.map(\.name))
                .map { "; did you mean `\($0)`?" }
            problems.add(position, "`vault`: there is no source `\(name)`\(nearest ?? "")")
            return
        }
        guard vault.kind == VaultWorkload.kind else {
            problems.add(position, "`vault`: the source `\(name)` is no vault")
            return
        }
        if vault.repository != source.repository {
            problems.add(
                position,
                "`vault`: `\(name)` goes to another repository than `\(source.name)`, so that neither can be drilled "
                    + "with the other")
        }
    }
}

extension ConfiguredSource {
    /// The scheme of its one URL; nil for commands, and for several.
    package var kind: String? {
        guard case .urls(let urls) = origin, urls.count == 1 else { return nil }
        return urls[0].scheme
    }

    /// Where the PostgreSQL server is that it is of; nil for anything else.
    fileprivate var postgresAddress: PostgresAddress? {
        guard case .urls(let urls) = origin, urls.count == 1, let url = urls.first else { return nil }
        return try? PostgresAddress(url.scheme == DumpWorkload.kind ? url.rest : url.text)
    }

    /// The vault that it is; nil for anything else.
    package var vaultAddress: VaultAddress? {
        guard case .urls(let urls) = origin, urls.count == 1, urls[0].scheme == VaultWorkload.kind else { return nil }
        return VaultAddress(urls[0].rest)
    }
}
