// What a verb gets to work with, and how its end becomes an exit status.

import ArgumentParser
import ControlPlane
import Glibc
import Logging
import ObjectStore
import Primitives
import Repository

/// The surroundings of one run of a verb.
struct CommandContext: Sendable {
    let options: GlobalOptions
    let output: Output
    let environment: Environment
    let variables: Variables
    let runner: any ProcessRunner
    /// Taken out of the process's environment at the start.
    let inheritedPassword: SecretBytes?
    /// That of an embedded vault, likewise.
    var inheritedVaultPassword: SecretBytes?

    var cancellation: Cancellation { environment.cancellation }
    var clock: any Clock { environment.clock }

    /// Opens the repository with whatever key the environment, the configuration or the terminal gives.
    func openRepository(
        _ transfer: TransferOptions? = nil, at place: RepositoryPlace? = nil
    ) throws(HoldfastError) -> Repository {
        guard let place else { return try openRepository(transfer, at: self.place()) }
        let store = decorated(try StoreLocation.open(place.location), transfer)
        // A missing repository is told before anyone is asked for a password.
        _ = try Repository.readFormat(in: store, trusted: nil)
        let key = try SecretSource(self).key(confirming: false, opening: place.opening)
        return try Repository.open(store, secret: key.secret, environment: environment)
    }

    /// This with the password that a daemon handed on, read now: its later steps need it also when the daemon is gone.
    ///
    /// - Throws: What ``SecretFile/read(_:limit:)`` throws, as when the daemon is gone already.
    func keepingHandedPassword() throws(HoldfastError) -> CommandContext {
        guard inheritedPassword == nil, let path = variables["HOLDFAST_PASSWORD_FILE"], HandedPassword.isHanded(path)
        else { return self }
        let file = try SecretFile.read(path, limit: SecretSource.maximumPassword)
        var own = CommandContext(
            options: options, output: output, environment: environment, variables: variables, runner: runner,
            inheritedPassword: file.bytes)
        own.inheritedVaultPassword = inheritedVaultPassword
        return own
    }

    /// `store` with retries, and with the limits of `transfer`.
    func decorated(_ store: any ObjectStore, _ transfer: TransferOptions?) -> any ObjectStore {
        let retrying = RetryingStore(
            store, clock: clock, entropy: environment.entropy, cancellation: cancellation)
        return transfer?.throttled(retrying, clock: clock, cancellation: cancellation) ?? retrying
    }

    /// Runs `body` while its progress is shown on standard error.
    func withProgress<R>(_ body: (Progress) throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        let progress = Progress()
        let shown = output.isQuiet ? nil : ProgressDisplay(progress, on: output.console, clock: clock)
        defer { shown?.stop() }
        return try body(progress)
    }
}

extension GlobalOptions {
    /// Runs the body of a verb: takes the password out of the environment, catches signals, and turns what comes out
    /// into messages and an exit status.
    ///
    /// - Parameter stepBack: What a store leads to that shows less than was seen of it before. A verb that writes on
    ///   the ground of what it sees refuses it; one that looks goes on, tells, and ends with status 4.
    func execute(
        onStepBack stepBack: StoreWitness.Answer = .refuse, _ body: (CommandContext) throws(HoldfastError) -> ExitStatus
    ) throws {
        // First of all, while this is the only thread.
        let password = ProcessEnvironment.take("HOLDFAST_PASSWORD")
        let vaultPassword = ProcessEnvironment.take("HOLDFAST_VAULT_PASSWORD")
        let cancellation = Signals.install()
        // A step of a run: nothing of it goes on when the process that holds the run is gone.
        if ProcessEnvironment.value(RunMark.run) != nil { Descendants.endWithParent() }
        let output = Output(isJSON: json, isQuiet: quiet)
        let console = output.console
        let level: Logger.Level = verbose ? .debug : quiet ? .error : .warning
        let logger = Logger(label: "holdfast") { _ in ConsoleLog(console: console, logLevel: level) }
        let variables = Variables.process
        let witness = stateDirectory(variables, isRoot: geteuid() == 0).map { directory in
            StoreWitness(directory: directory, answer: acceptRollback ? .accept : stepBack) { remark in
                switch remark {
                case .alarm(let text): output.alarm(text)
                case .accepted(let text): output.warning("accepted as it is now: \(ShownText.line(text))")
                case .memory(let text): output.warning(ShownText.line(text))
                }
            }
        }
        let environment = Environment(
            logger: logger, cacheDirectory: cacheDirectory(variables), cancellation: cancellation, witness: witness)
        let context = CommandContext(
            options: self, output: output, environment: environment, variables: variables,
            runner: SystemProcessRunner(), inheritedPassword: password, inheritedVaultPassword: vaultPassword)
        var status = ExitStatus.success.rawValue
        do throws(HoldfastError) {
            status = try body(context).rawValue
            witness?.save()
            if !output.alarms.isEmpty, status == 0 || status == ExitStatus.partial.rawValue {
                status = ExitStatus.checkFailed.rawValue
            }
            try output.flush()
        } catch {
            witness?.save()
            if !output.isClosed { output.report(error, verbose: verbose) }
            status = cancellation.isRaised ? ErrorCode.interrupted.exitStatus : error.code.exitStatus
        }
        if status != 0 { throw ExitCode(status) }
    }
}
