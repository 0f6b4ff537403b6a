// The audit log of a verb, and the watcher in front of every vault that a verb opens.

import ArgumentParser
import ControlPlane
import Glibc
import Primitives
import Repository
import SecretVaults
import State
import Synchronization

/// Why a value is wanted.
struct AuditOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Why, for the audit log: a ticket, a sentence.", valueName: "text"))
    var reason: String?

    func validate() throws {
        guard (reason?.utf8.count ?? 0) <= AuditLimits.reason else {
            throw ValidationError("--reason takes up to \(AuditLimits.reason) bytes. Name a ticket that says more.")
        }
    }

    var use: VaultUse { VaultUse(reason: reason) }
}

/// What the audit log says of a verb's accesses to a vault.
struct VaultUse: Sendable {
    var reads = AuditAction.read
    var reason: String?
}

extension CommandContext {
    /// The log of the state.
    ///
    /// - Throws: `.usage` when nothing says where the state is: then there is no access to a value either.
    func auditLog() throws(HoldfastError) -> AuditLog {
        let user = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(getuid())"
        let first = getuid() == 0 ? variables["SUDO_USER"].map { "\($0) as " } ?? "" : ""
        let actor = AuditActor(
            user: String((first + user).prefix(256)), uid: getuid(), host: Host.name, run: variables[RunMark.run])
        let output = output
        return AuditLog(
            state: try stateDirectory(), actor: actor, clock: clock, entropy: environment.entropy,
            remark: { output.warning(ShownText.line($0)) })
    }

    /// The newest record, to be signed into a repository; nil when there is none, and when the log is damaged, which is
    /// told and keeps nothing else from being signed.
    func auditHead() throws(HoldfastError) -> AuditHead? {
        do throws(HoldfastError) {
            return try auditLog().head()
        } catch {
            guard error.code == .corruptObject else { throw error }
            output.warning(ShownText.line(error.message))
            return nil
        }
    }

    /// Takes `entry` down, then lets `access` begin, and takes down its failure.
    func audited<R>(
        _ entry: AuditEntry, _ access: () throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        let log = try auditLog()
        let number = try log.append([entry])
        do throws(HoldfastError) {
            return try access()
        } catch {
            log.tellEnd(of: number, entry, error, output)
            throw error
        }
    }
}

extension AuditTrail {
    /// Says of an access that was allowed that it failed. The access is over either way: that this can't be written
    /// down as well is a warning.
    func tellEnd(of number: UInt64, _ entry: AuditEntry, _ error: HoldfastError, _ output: Output) {
        var end = entry
        switch error.code {
        case .vaultAccessDenied, .vaultLoginFailed, .accessDenied, .notPermitted, .wrongKey: end.outcome = .denied
        default: end.outcome = .failed
        }
        end.code = error.code.rawValue
        end.about = number
        do throws(HoldfastError) {
            _ = try append([end])
        } catch {
            output.warning("the end of access \(number) is not in the audit log: \(ShownText.line(error.message))")
        }
    }
}

/// Opens vaults, each with the audit log in front of it.
struct AuditingOpener: VaultOpener {
    private let opener: any VaultOpener
    private let context: CommandContext
    private let use: VaultUse

    init(_ opener: any VaultOpener, _ context: CommandContext, for use: VaultUse) {
        self.opener = opener
        self.context = context
        self.use = use
    }

    func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy, cancellation: Cancellation
    ) throws(HoldfastError) -> any SecretVault {
        AuditedVault(
            try opener.open(address, clock: clock, entropy: entropy, cancellation: cancellation), context, for: use)
    }

    func openCluster(
        _ location: VaultClusterLocation, clock: any Primitives.Clock, cancellation: Cancellation
    ) throws(HoldfastError) -> any VaultCluster {
        AuditedCluster(try opener.openCluster(location, clock: clock, cancellation: cancellation), context, for: use)
    }
}

/// A vault whose accesses are in the audit log before they take place.
///
/// What was announced is taken down together: one fsync(2) for a group. Everything else is a record of its own.
final class AuditedVault: SecretVault {
    private struct State: Sendable {
        var log: AuditLog?
        /// Numbers of the records of what was announced; of the newest group alone.
        var reading: [SecretAccess: UInt64] = [:]
        var restoring: [SecretAccess: UInt64] = [:]
        /// What is written is told as a restore.
        var restores = true
        /// Of the secret whose versions are restored, the first.
        var first: [SecretName: UInt64] = [:]
    }

    private let vault: any SecretVault
    private let context: CommandContext
    private let use: VaultUse
    private let state = Mutex(State())

    init(_ vault: any SecretVault, _ context: CommandContext, for use: VaultUse) {
        self.vault = vault
        self.context = context
        self.use = use
    }

    /// Opened with the first access, so that looking at names needs none.
    private func log() throws(HoldfastError) -> AuditLog {
        try state.withLock { (state) throws(HoldfastError) in
            if let log = state.log { return log }
            let log = try context.auditLog()
            state.log = log
            return log
        }
    }

    private func entry(_ action: AuditAction, _ name: SecretName, _ version: SecretVersionID?) -> AuditEntry {
        AuditEntry(action, vault: location, secret: name.text, version: version?.text, reason: use.reason)
    }

    private func audited<R>(
        _ entry: AuditEntry, known: UInt64?, _ access: () throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        let log = try log()
        let number: UInt64
        if let known { number = known } else { number = try log.append([entry]) }
        do throws(HoldfastError) {
            return try access()
        } catch {
            log.tellEnd(of: number, entry, error, context.output)
            throw error
        }
    }

    // MARK: SecretVault

    var capabilities: VaultCapabilities { vault.capabilities }
    var location: String { vault.location }

    func announce(_ use: SecretUse, _ accesses: [SecretAccess]) throws(HoldfastError) {
        precondition(accesses.count <= SecretBounds.announced, "an announcement is bounded")
        guard !accesses.isEmpty else { return }
        let action: AuditAction =
            switch use {
            case .read: self.use.reads
            case .compare: .compared
            case .restore: .restored
            case .write: .changed
            }
        let number = try log().append(accesses.map { entry(action, $0.name, $0.version) })
        state.withLock { state in
            state.reading = [:]
            state.restoring = [:]
            state.first = [:]
            state.restores = use == .restore
            for (offset, access) in accesses.enumerated() {
                guard use == .restore || use == .write else {
                    state.reading[access] = number + UInt64(offset)
                    continue
                }
                state.restoring[access] = number + UInt64(offset)
                state.first[access.name] = state.first[access.name] ?? number + UInt64(offset)
            }
        }
    }

    func failed(_ access: SecretAccess, _ error: HoldfastError) {
        let (log, number) = state.withLock { ($0.log, $0.restoring[access]) }
        guard let log, let number else { return }
        log.tellEnd(of: number, entry(.restored, access.name, access.version), error, context.output)
    }

    /// The head of the log. A snapshot is worth more than that: what keeps it from being had is a warning.
    var testimony: [String: String] {
        do throws(HoldfastError) {
            guard let head = try context.auditHead() else { return [:] }
            return head.facts(ofState: try context.stateDirectory(), on: Host.name)
        } catch {
            context.output.warning("the snapshot has no head of the audit log: \(ShownText.line(error.message))")
            return [:]
        }
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        try vault.list(under: prefix, after: mark, limit: limit)
    }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord { try vault.describe(name) }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        let access = SecretAccess(name, version)
        // Once: the same again is another access.
        let known = state.withLock { $0.reading.removeValue(forKey: access) }
        return try audited(entry(use.reads, name, version), known: known) { () throws(HoldfastError) in
            try vault.read(name, version)
        }
    }

    /// The number of the record that tells of a write already.
    private func restoring(_ name: SecretName, _ version: SecretVersionID?) -> UInt64? {
        state.withLock { $0.restoring[SecretAccess(name, version)] ?? $0.first[name] }
    }

    private func written(_ known: UInt64?) -> AuditAction {
        known != nil && state.withLock(\.restores) ? .restored : .changed
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        let known = restoring(put.name, put.id)
        let entry = entry(written(known), put.name, put.id)
        return try audited(entry, known: known) { () throws(HoldfastError) in try vault.put(put) }
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        var version: SecretVersionID?
        if case .state(_, let changed) = change { version = changed }
        let known = restoring(name, version)
        let entry = entry(written(known), name, version)
        try audited(entry, known: known) { () throws(HoldfastError) in try vault.change(name, change) }
    }
}
