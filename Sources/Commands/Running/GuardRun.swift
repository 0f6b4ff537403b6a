// One vault, watched over once: what it is about to forget, who needs that, and what is done about it.

import Primitives
import Recovery
import Repository
import SecretVaults
import VaultProviders
import Workloads

/// A look at a vault and at the snapshots of it, with the changes that were asked for.
struct GuardRun {
    struct Settings: Sendable {
        /// Puts to look ahead at.
        var ahead = 1
        /// Room to make for further versions, where a limit is raised.
        var margin = 10
        var raises = false
        var pins = false
        /// Say what would be changed, and change nothing.
        var isDryRun = false
    }

    /// A change that was made, that failed, or that would be made.
    struct Change {
        enum Kind {
            case raised(to: Int)
            case pinned(SecretVersionID)
            case released(SecretVersionID)
        }

        var name: SecretName
        var kind: Kind
        var failure: HoldfastError?
    }

    struct Result {
        /// After the changes.
        var verdict: VersionGuard
        var look: VersionLook
        var snapshots: Int
        var changes: [Change] = []
        var areChangesPlanned = false

        /// Whether nothing that is needed goes, everything could be told, and every change was made.
        var status: ExitStatus {
            if !verdict.inDanger.isEmpty { return .checkFailed }
            return verdict.isComplete && !changes.contains { $0.failure != nil } ? .success : .partial
        }
    }

    let context: CommandContext
    let vault: any SecretVault
    let source: VersionKeepings.Source
    let repository: Repository
    var settings = Settings()
    /// What backups of databases need in the vault itself.
    var needed: [NeededVersion] = []

    /// - Throws: `.usage` for a change that this kind of vault does not know.
    func run() throws(HoldfastError) -> Result {
        try check()
        var (look, verdict, snapshots) = try judged()
        guard settings.raises || settings.pins else {
            return Result(verdict: verdict, look: look, snapshots: snapshots)
        }
        guard !settings.isDryRun else {
            let planned = raises(of: verdict) + pins(of: verdict).flatMap(\.planned)
            return Result(
                verdict: verdict, look: look, snapshots: snapshots, changes: planned, areChangesPlanned: true)
        }
        var changes: [Change] = []
        if settings.raises { changes += try raise(verdict, look) }
        if settings.pins { changes += try pin(verdict) }
        // What was done is told by the vault.
        if !changes.isEmpty { (look, verdict, snapshots) = try judged() }
        return Result(verdict: verdict, look: look, snapshots: snapshots, changes: changes)
    }

    private func check() throws(HoldfastError) {
        let capabilities = vault.capabilities
        if settings.raises, !capabilities.fields.contains(.limits) {
            throw HoldfastError(
                .usage, "a vault of kind \(capabilities.kind.rawValue) has no limits to raise",
                hint: capabilities.kind == .aws ? "Pin versions with --pin." : "Take snapshots more often.")
        }
        if settings.pins, capabilities.kind != .aws {
            throw HoldfastError(
                .usage, "a vault of kind \(capabilities.kind.rawValue) keeps no version by a label",
                hint: capabilities.fields.contains(.limits) ? "Raise limits with --raise." : "Leave --pin out.")
        }
    }

    private func judged() throws(HoldfastError) -> (VersionLook, VersionGuard, Int) {
        let look = try VersionLook(
            vault, puts: settings.ahead, cancellation: context.cancellation, isOwn: VersionPins.isPin)
        var keepings = try VersionKeepings(source, in: repository)
        let found = try keepings.find(look.endangered.map(\.record))
        let verdict = VersionGuard(
            look, keepings: found, unseen: keepings.unseen, needed: needed,
            margin: max(settings.margin, settings.ahead), now: context.clock.now())
        return (look, verdict, keepings.snapshotCount)
    }

    // MARK: Limits

    private func raises(of verdict: VersionGuard) -> [Change] {
        guard settings.raises else { return [] }
        return verdict.findings.compactMap { finding in
            finding.wanted.map { Change(name: finding.name, kind: .raised(to: $0)) }
        }
    }

    private func raise(_ verdict: VersionGuard, _ look: VersionLook) throws(HoldfastError) -> [Change] {
        let made = try verdict.raiseLimits(in: vault, look, cancellation: context.cancellation)
        let planned = Dictionary(raises(of: verdict).map { ($0.name, $0) }) { first, _ in first }
        return made.compactMap { change in
            guard var told = planned[change.name] else { return nil }
            if case .failed(let error) = change.outcome { told.failure = error }
            return told
        }
    }

    // MARK: Pins

    private struct Pinning {
        var name: SecretName
        var changes: [SecretChange]
        var planned: [Change]
    }

    private func pins(of verdict: VersionGuard) -> [Pinning] {
        guard settings.pins else { return [] }
        let owner = String(repository.id.description.prefix(12))
        return verdict.findings.compactMap { finding in
            let pins = VersionPins(finding.record, needed: finding.labelled, owner: owner)
            guard !pins.changes.isEmpty else { return nil }
            let planned = pins.changes.compactMap { change -> Change? in
                switch change {
                case .label(_, _, let to?): Change(name: finding.name, kind: .pinned(to))
                case .label(_, let from?, nil): Change(name: finding.name, kind: .released(from))
                default: nil
                }
            }
            return Pinning(name: finding.name, changes: pins.changes, planned: planned)
        }
    }

    /// Each change by itself: labels are compared by the service, and what is done already is found so.
    private func pin(_ verdict: VersionGuard) throws(HoldfastError) -> [Change] {
        var made: [Change] = []
        for pinning in pins(of: verdict) {
            for (change, planned) in zip(pinning.changes, pinning.planned) {
                try context.cancellation.check()
                var told = planned
                do throws(HoldfastError) {
                    try vault.change(pinning.name, change)
                } catch {
                    guard VersionLook.isOfOne(error) else { throw error }
                    told.failure = error
                }
                made.append(told)
            }
        }
        return made
    }
}
