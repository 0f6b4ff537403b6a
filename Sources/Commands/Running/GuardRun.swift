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

    struct Change {
        enum Kind {
            /// As it is wanted; where it was done, as it is.
            case raise(to: Int?)
            case pin(SecretVersionID)
            case release(SecretVersionID)
        }

        enum Outcome {
            case planned, done
            case failed(HoldfastError)
        }

        var name: SecretName
        var kind: Kind
        var outcome = Outcome.planned

        var failure: HoldfastError? { if case .failed(let error) = outcome { error } else { nil } }
    }

    struct Result {
        /// After the changes.
        var verdict: VersionGuard
        var look: VersionLook
        var snapshots: Int
        /// Snapshots that may be of this vault or not.
        var untold: Int
        var changes: [Change] = []

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
    /// What must stay in the vault itself, whatever snapshots of it have.
    var needed: [NeededVersion] = []

    /// Who sets pins.
    private var owner: String { String(repository.id.description.prefix(12)) }

    /// - Throws: `.usage` for a change that this kind of vault does not know.
    func run() throws(HoldfastError) -> Result {
        try check()
        var look = try VersionLook(
            vault, puts: settings.ahead, owner: owner, cancellation: context.cancellation)
        var keepings = try VersionKeepings(source, in: repository)
        if look.secrets == 0 { try keepings.doubtEmptiness() }
        var known = try keepings.find(look.asked)
        let verdict = judge(look, known, keepings)
        var result = Result(
            verdict: verdict, look: look, snapshots: keepings.snapshotCount, untold: keepings.untold)
        if settings.isDryRun {
            result.changes = raises(of: verdict) + pins(of: verdict).flatMap(\.planned)
            return result
        }
        if settings.raises { result.changes += try raise(verdict, look) }
        if settings.pins { result.changes += try pin(verdict) }
        guard !result.changes.isEmpty else { return result }
        // What was done is told by the vault.
        let changed = Set(result.changes.map(\.name))
        try look.refresh(changed, in: vault, cancellation: context.cancellation)
        known.merge(try keepings.find(look.asked.filter { changed.contains($0.key) })) { $1 }
        result.look = look
        result.verdict = judge(look, known, keepings)
        return result
    }

    private func judge(
        _ look: VersionLook, _ known: [SecretName: [SecretVersionID: VersionKeeping]], _ keepings: VersionKeepings
    ) -> VersionGuard {
        VersionGuard(
            look, keepings: known, unseen: keepings.unseen, needed: needed,
            margin: max(settings.margin, settings.ahead), now: context.clock.now())
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

    // MARK: Limits

    private func raises(of verdict: VersionGuard) -> [Change] {
        guard settings.raises else { return [] }
        return verdict.findings.compactMap { finding in
            finding.wanted.map { Change(name: finding.name, kind: .raise(to: $0)) }
        }
    }

    private func raise(_ verdict: VersionGuard, _ look: VersionLook) throws(HoldfastError) -> [Change] {
        let wanted = Dictionary(verdict.findings.map { ($0.name, $0.wanted) }) { first, _ in first }
        return try verdict.raiseLimits(in: vault, look, cancellation: context.cancellation).map { change in
            switch change.outcome {
            case .done(let limit): Change(name: change.name, kind: .raise(to: limit), outcome: .done)
            case .failed(let error):
                Change(name: change.name, kind: .raise(to: wanted[change.name] ?? nil), outcome: .failed(error))
            }
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
        return verdict.findings.compactMap { finding in
            // A removed secret, and one that another service of AWS manages, take no label.
            guard finding.record.removal == nil, finding.record.extras["OwningService"] ?? "" == "" else { return nil }
            let pins = VersionPins(finding.record, needed: finding.labelled, owner: owner)
            guard !pins.changes.isEmpty else { return nil }
            let planned = pins.changes.compactMap { change -> Change? in
                switch change {
                case .label(_, _, let to?): Change(name: finding.name, kind: .pin(to))
                case .label(_, let from?, nil): Change(name: finding.name, kind: .release(from))
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
                    told.outcome = .done
                } catch {
                    guard VersionLook.isOfOne(error) else { throw error }
                    told.outcome = .failed(error)
                }
                made.append(told)
            }
        }
        return made
    }
}
