// What a verb of rotation works with: the policies of the configuration, their vaults, and the state.

import Configuring
import ControlPlane
import FoundationEssentials
import Primitives
import Repository
import Rotation
import Scheduling
import Sealing
import SecretVaults
import State
import Workloads

/// The policies of one source, and the secrets of them that a run is about.
struct RotationGroup {
    let source: ConfiguredSource
    let vault: any SecretVault
    var policies: [RotationPolicy]
    var subjects: [RotationSubject] = []

    var planner: RotationPlanner { RotationPlanner(policies: policies) }

    /// Those of the policies that have one.
    var servers: [String: PostgresTargetPlan] = [:]

    func target(_ subject: RotationSubject, _ programs: SecretPrograms, _ context: CommandContext) -> (
        any RotationTarget
    )? {
        let policy = policies[subject.policy]
        switch policy.strategy {
        case .valueOnly: return nil
        case .command:
            return CommandRotationTarget(
                policy.commands, place: policy.place, secret: subject.secret.name, programs)
        case .dualUser, .singleUser:
            guard let server = servers[policy.name] else { preconditionFailure("the configuration was checked") }
            return PostgresRotationTarget(
                server, clock: context.clock, entropy: context.environment.entropy,
                cancellation: context.cancellation)
        }
    }
}

/// What a run is about.
struct RotationSetting {
    /// Asking for each secret costs less than listing a vault, up to so many.
    private static let askedOneByOne = 50
    private static let page = 500

    let context: CommandContext
    let configuration: Configuration
    var groups: [RotationGroup]
    let programs: SecretPrograms

    /// - Parameters:
    ///   - names: Of policies, or of secrets of policies; empty for all.
    ///   - use: What the audit log says of accesses.
    /// - Throws: `.usage` for a name that neither a policy nor a secret of one has.
    init(_ names: [String], _ context: CommandContext, for use: VaultUse) throws(HoldfastError) {
        guard let configuration = try context.configuration() else {
            throw HoldfastError(
                .usage, "there is no configuration file to take policies of rotation from",
                hint: "Name a file with --config or HOLDFAST_CONFIG, with `rotations` in it.")
        }
        guard !configuration.rotations.isEmpty else {
            throw HoldfastError(
                .usage, "\(configuration.path) has no policies of rotation",
                hint: "Write one below `rotations`; docs/SECRET_ROTATION_GUIDE.md shows how.")
        }
        self.context = context
        self.configuration = configuration
        programs = SecretPrograms(context.runner, cancellation: context.cancellation)
        var chosen: [String: (policy: RotationPolicy, secrets: Set<SecretName>)] = [:]
        for configured in configuration.rotations {
            let policy = try RotationPolicy(configured)
            let isNamed = names.isEmpty || names.contains(policy.name)
            let secrets = policy.secrets.filter { isNamed || names.contains($0.text) }
            if !secrets.isEmpty { chosen[policy.name] = (policy, Set(secrets)) }
        }
        for name in names where configuration.rotations.allSatisfy({ $0.name != name }) {
            let owners = chosen.values.filter { $0.policy.secrets.contains { $0.text == name } }
            if owners.count > 1 {
                throw HoldfastError(
                    .usage, "the secret \(name) is in several policies",
                    hint: "Name one of \(owners.map(\.policy.name).sorted().joined(separator: ", ")).")
            }
            guard owners.isEmpty else { continue }
            throw HoldfastError(
                .usage, "\(configuration.path) has no policy and no rotated secret `\(name)`",
                hint: "`holdfast secrets list` shows those that there are.")
        }
        groups = []
        for source in configuration.sources {
            let own = configuration.rotations.compactMap { chosen[$0.name] }.filter { $0.policy.source == source.name }
            guard !own.isEmpty else { continue }
            var group = try Self.group(source, own, context, use)
            for rotation in configuration.rotations where chosen[rotation.name] != nil {
                guard let server = rotation.postgres else { continue }
                group.servers[rotation.name] = try context.postgresPlan(server, field: rotation.field)
            }
            groups.append(group)
        }
    }

    private static func group(
        _ source: ConfiguredSource, _ own: [(policy: RotationPolicy, secrets: Set<SecretName>)],
        _ context: CommandContext, _ use: VaultUse
    ) throws(HoldfastError) -> RotationGroup {
        guard case .urls(let urls) = source.origin, let url = urls.first else {
            throw HoldfastError(.configuration, "the source \(source.name) is no vault", hint: "Correct its `url`.")
        }
        let vault = try context.vaultOpener(source.vaultPassword, for: use).open(
            try VaultAddress.read(url.rest), clock: context.clock, entropy: context.environment.entropy,
            cancellation: context.cancellation)
        var group = RotationGroup(source: source, vault: vault, policies: own.map(\.policy))
        for (place, (policy, secrets)) in own.enumerated() {
            for name in policy.secrets where secrets.contains(name) {
                if let refusal = vault.capabilities.refusal(of: name) {
                    throw HoldfastError(
                        .configuration,
                        "the policy \(policy.name) has a secret that \(vault.location) can't have: "
                            + refusal, hint: "Correct its `secrets`.")
                }
                let secret = RotatedSecret(vault: vault.location, name: name.text)
                group.subjects.append(RotationSubject(secret: secret, policy: place))
            }
        }
        return group
    }

    // MARK: Facts

    /// What the journal and the vaults know of the secrets; no value is read.
    mutating func look(_ journal: SQLiteRunStore?) throws(HoldfastError) {
        let standings = try journal?.standings() ?? [:]
        var open: [RotatedSecret: RotationRecord] = [:]
        for record in try journal?.unfinished() ?? [] { open[record.secret] = record }
        for index in groups.indices {
            let records = try records(groups[index])
            for place in groups[index].subjects.indices {
                var subject = groups[index].subjects[place]
                let standing = standings[subject.secret]
                let record = records[subject.secret.name]
                let current = record.flatMap { record in record.current.flatMap { record[$0] } }
                subject.succeeded = standing?.succeeded.map { Timestamp(nanoseconds: $0) }
                subject.notBefore = standing?.notBefore.map { Timestamp(nanoseconds: $0) }
                subject.created = current?.created
                subject.expires = current?.attributes.expires
                subject.open = open[subject.secret]
                groups[index].subjects[place] = subject
            }
        }
    }

    /// The records of a group's secrets, by name; without those that are not there.
    private func records(_ group: RotationGroup) throws(HoldfastError) -> [String: SecretRecord] {
        var records: [String: SecretRecord] = [:]
        var left = Set(group.subjects.map(\.secret.name))
        if left.count > Self.askedOneByOne {
            var mark: VaultPageMark?
            repeat {
                try context.cancellation.check()
                let page = try group.vault.list(under: "", after: mark, limit: Self.page)
                for listing in page.secrets where left.contains(listing.name.text) {
                    guard let record = listing.record else { continue }
                    records[record.name.text] = record
                    left.remove(record.name.text)
                }
                mark = page.next
            } while mark != nil
        }
        for text in left.sorted() {
            try context.cancellation.check()
            do throws(HoldfastError) {
                records[text] = try group.vault.describe(try SecretName(text))
            } catch {
                guard error.code == .secretNotFound else { throw error }
            }
        }
        return records
    }

    /// The run store where there is one. A verb that looks makes none.
    static func journal(_ context: CommandContext) throws(HoldfastError) -> SQLiteRunStore? {
        guard FileManager.default.fileExists(atPath: try context.runStorePath()) else { return nil }
        return try context.openRunStore()
    }

    // MARK: Engine

    func engine(
        _ group: RotationGroup, _ journal: SQLiteRunStore
    ) throws(HoldfastError) -> (engine: RotationEngine, keeper: SnapshotKeeper) {
        var place = try context.namedPlace()
        if place == nil { place = try context.place(of: group.source.repository, in: configuration) }
        guard let place else { preconditionFailure("a place or a failure") }
        let host = Host.name
        let keeper = SnapshotKeeper(context, group.source, at: place, group.vault)
        let tools = RotationTools(
            vault: group.vault, journal: journal, audit: try context.auditLog(),
            keeper: keeper,
            key: try RotationKey.open(inState: try context.stateDirectory(), entropy: context.environment.entropy),
            programs: programs, clock: context.clock, entropy: context.environment.entropy,
            cancellation: context.cancellation, holder: HolderProcess.own(host: host),
            isGone: { HolderProcess.isGone($0, host: host) })
        return (RotationEngine(tools), keeper)
    }
}

extension CommandContext {
    /// A server of the configuration; its administrator's password is read when a connection needs it.
    fileprivate func postgresPlan(
        _ server: ConfiguredRotation.Server, field: String?
    ) throws(HoldfastError) -> PostgresTargetPlan {
        let (context, reference) = (self, server.password)
        var plan = PostgresTargetPlan(
            admin: try PostgresAddress(server.url),
            adminPassword: { () throws(HoldfastError) -> SecretBytes? in
                guard let reference else { return nil }
                return try context.secret(reference, named: "the password of the rotations' administrator")
            }, users: server.users, role: server.role)
        for text in server.endpoints { plan.endpoints.append(try PostgresAddress(text)) }
        plan.sessions = OldSessions(rawValue: server.sessions) ?? .wait
        plan.fields = LoginFields(user: server.userField, password: field ?? "password")
        return plan
    }

    /// The secret that a reference of the configuration stands for.
    private func secret(_ reference: SecretReference, named name: String) throws(HoldfastError) -> SecretBytes {
        switch reference {
        case .file(let path): return try SecretSource(self).password(fromFile: path).secret
        case .environment(let variable):
            guard let secret = variables.secret(variable) else {
                throw HoldfastError(
                    .configuration, "the variable \(variable), which should hold \(name), is not set",
                    hint: "Set it for holdfast alone, or let the configuration name a file.")
            }
            return secret
        }
    }
}

extension RotationPolicy {
    init(_ configured: ConfiguredRotation) throws(HoldfastError) {
        self.init(
            name: configured.name, source: configured.source, secrets: configured.secrets, period: configured.period,
            opening: Opening(windows: configured.windows, blackouts: [], zone: configured.zone))
        jitter = configured.jitter
        guard let strategy = RotationStrategy(rawValue: configured.strategy) else {
            throw HoldfastError(
                .configuration, "the strategy `\(configured.strategy)` is none", hint: "Correct the policy.")
        }
        self.strategy = strategy
        if let commands = configured.commands {
            self.commands = RotationCommands(
                apply: commands.apply, verify: commands.verify, retire: commands.retire)
        }
        switch configured.generator {
        case .text(let length, let alphabet):
            generator = .text(length: length, alphabet: alphabet.map { Array($0.utf8) } ?? SecretGenerator.letters)
        case .bytes(let count, let encoding):
            generator = .bytes(count: count, SecretGenerator.Encoding(rawValue: encoding) ?? .base64)
        case .keyPair(let kind): generator = .keyPair(KeyPairKind(rawValue: kind) ?? .ed25519)
        case .command(let words): generator = .command(words)
        }
        place = ValuePlace(field: configured.field, publicField: configured.publicField)
        grace = configured.grace
        if let alerts = configured.alerts { self.alerts = alerts }
        if let attempts = configured.attempts { retries.attempts = attempts }
    }
}
