// holdfast vault guard: what a vault is about to forget.

import ArgumentParser
import Configuring
import Primitives
import Recovery
import Repository
import SecretVaults
import VaultProviders
import Workloads

struct VaultGuard: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guard",
        abstract: "Tell which versions a vault is about to forget, and keep those that are needed.",
        discussion: """
            A vault forgets old versions by itself. This looks which ones the next put pushes out, and whether the \
            snapshots of the vault have their values. What snapshots of databases need is not looked at. \
            The exit status is 4 when a version goes that no snapshot has, \
            else 3 when something could not be looked at, which is named.

            --raise lets such secrets keep more versions, where the vault has limits; --pin puts labels on such \
            versions in AWS, and takes off those whose versions are in a snapshot. Both may be run again at any time.

            Examples:

              holdfast vault guard vault:embedded:secrets.vault

              holdfast vault guard secrets --ahead 5 --raise --dry-run

              holdfast vault guard vault:aws:eu-central-1 --pin
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("The vault, or the name of its source in the configuration.", valueName: "vault"))
    var subject: String

    @Option(name: .long, help: ArgumentHelp("How many puts to look ahead at.", valueName: "n"))
    var ahead = 1

    @Option(
        name: .long,
        help: ArgumentHelp("With --raise: room to make for so many further versions.", valueName: "n"))
    var margin = 10

    @Flag(name: .long, help: "Raise the limits of secrets that would lose what is needed.")
    var raise = false

    @Flag(name: .long, help: "Keep versions in AWS by labels, and take off those that are no longer needed.")
    var pin = false

    @Flag(name: .long, help: "Say what --raise and --pin would do, and change nothing.")
    var dryRun = false

    /// Versions of room.
    private static let margins = 1...1000

    func validate() throws {
        guard (1...VersionForecast.mostPuts).contains(ahead) else {
            throw ValidationError("--ahead takes a number from 1 to \(VersionForecast.mostPuts).")
        }
        guard Self.margins.contains(margin) else {
            throw ValidationError("--margin takes a number from 1 to \(Self.margins.upperBound).")
        }
        if dryRun, !raise, !pin { throw ValidationError("--dry-run goes with --raise or --pin.") }
        guard ConfiguredSource.isName(subject) || VaultArgument(argument: subject) != nil else {
            throw ValidationError("Name a source of the configuration, or \(VaultAddress.form).")
        }
    }

    func run() throws {
        try global.execute(onStepBack: raise || pin ? .refuse : .tell) { (context) throws(HoldfastError) in
            let found = try find(context)
            let repository = try context.openRepository(at: found.place)
            var run = GuardRun(
                context: context, vault: try found.open(context, audit.use), source: found.source,
                repository: repository)
            run.settings.ahead = ahead
            run.settings.margin = margin
            run.settings.raises = raise
            run.settings.pins = pin
            run.settings.isDryRun = dryRun
            let result = try run.run()
            try GuardText.show(result, ahead: ahead, on: context.output)
            try context.output.json(GuardReport(result, run.settings))
            return result.status
        }
    }

    private func find(_ context: CommandContext) throws(HoldfastError) -> GuardedSource {
        guard ConfiguredSource.isName(subject) else {
            let address = try VaultAddress.read(String(subject.dropFirst(6)))
            return GuardedSource(
                address: address, password: nil,
                name: BackupVerb.sourceName(of: ["vault:\(address.text)"], on: Host.name), place: nil)
        }
        guard let configuration = try context.configuration() else {
            throw HoldfastError(
                .usage, "there is no configuration file to take sources from",
                hint: "Give a URL, or name a file with --config or HOLDFAST_CONFIG.")
        }
        let source = try configuration.requireSource(named: subject)
        guard var found = GuardedSource(source) else {
            throw HoldfastError(
                .usage, "source `\(source.name)` is no vault",
                hint: "Name a source whose `url` is \(VaultAddress.form).")
        }
        found.place = try context.namedPlace()
        if found.place == nil { found.place = try context.place(of: source.repository, in: configuration) }
        return found
    }
}

/// A vault that is backed up, and where to.
struct GuardedSource {
    var address: VaultAddress
    var password: SecretReference?
    /// What its snapshots are filed under.
    var name: String
    /// Nil for the one that the options name.
    var place: RepositoryPlace?

    init(address: VaultAddress, password: SecretReference?, name: String, place: RepositoryPlace?) {
        self.address = address
        self.password = password
        self.name = name
        self.place = place
    }

    /// Nil for a source that is no vault.
    init?(_ source: ConfiguredSource) {
        guard case .urls(let urls) = source.origin, urls.count == 1, let url = urls.first,
            url.scheme == VaultWorkload.kind, let address = VaultAddress(url.rest)
        else { return nil }
        self.init(address: address, password: source.vaultPassword, name: source.name, place: nil)
    }

    var source: VersionKeepings.Source { VersionKeepings.Source(address: address.text, name: name) }

    func open(_ context: CommandContext, _ use: VaultUse) throws(HoldfastError) -> any SecretVault {
        try context.vaultOpener(password, for: use).open(
            address, clock: context.clock, entropy: context.environment.entropy,
            cancellation: context.cancellation)
    }
}
