// What becomes of versions that a vault is about to forget, and what to do about it, as a value.

import Primitives
import Repository
import SecretVaults
import Workloads

/// A version that something needs in the vault itself, whatever snapshots of the vault have: such as the password that
/// a snapshot of a database opens with. Nobody names any yet.
package struct NeededVersion: Sendable, Hashable {
    package var name: SecretName
    package var version: SecretVersionID
    /// Who needs it, as it is shown.
    package var reason: String

    package init(_ name: SecretName, _ version: SecretVersionID, reason: String) {
        self.name = name
        self.version = version
        self.reason = reason
    }
}

/// A verdict on each secret of a vault that loses a version with the next puts.
///
/// | verdict | when |
/// |---|---|
/// | needed | a version goes whose value no snapshot has that this key reads, or that somebody named |
/// | unknown | it may go, and whether it does, or whether a snapshot has it, could not be told |
/// | restorable | all that goes is in a snapshot, which is the only place that it can be had from then on |
package struct VersionGuard: Sendable, Hashable {
    /// Why a version is needed.
    package enum Need: Sendable, Hashable {
        /// No snapshot names it: it was not backed up yet.
        case unsaved
        /// This snapshot names it, and no one has its value.
        case named(SnapshotID)
        /// No snapshot has its value, and as it stands no backup can read it. No limit is raised for that alone.
        case unreadable(Obstacle)
        /// Somebody said so.
        case asked(String)
    }

    /// What keeps backups from reading a value.
    package enum Obstacle: Sendable, Hashable {
        case deleted, disabled
        /// The secret as a whole.
        case removed

        init?(_ version: SecretVersion, of record: SecretRecord) {
            if record.removal != nil {
                self = .removed
                return
            }
            switch version.state {
            case .live, .destroyed: return nil
            case .disabled: self = .disabled
            case .softDeleted: self = .deleted
            }
        }
    }

    /// A version that goes.
    package struct Drop: Sendable, Hashable {
        package var version: SecretVersion
        package var needs: [Need] = []
        /// The newest snapshot that has its value.
        package var held: SnapshotID?
        /// Until when the vault keeps it, whatever is put.
        package var sparedUntil: Timestamp?

        /// Whether the vault is to keep it.
        package var isToBeKept: Bool {
            needs.contains { if case .unreadable = $0 { false } else { true } }
        }
    }

    package enum Verdict: Sendable, Hashable {
        case needed
        case unknown(String)
        case restorable
    }

    package struct Finding: Sendable, Hashable {
        package var record: SecretRecord
        package var limit: VersionLimit
        /// Oldest first.
        package var drops: [Drop]
        package var verdict: Verdict
        /// How many versions the secret must keep so that nothing that is to be kept goes with the next puts and those
        /// of the margin; nil where that can't be set, or is over ``VersionGuard/largestLimit``.
        package var wanted: Int?
        /// Versions that must have a pin of ours; empty in vaults without pins.
        package var labelled: Set<SecretVersionID> = []

        package var name: SecretName { record.name }
    }

    /// No limit is raised beyond this.
    package static let largestLimit = SecretBounds.versions

    /// By name: those that lose something, and those that have pins of ours.
    package let findings: [Finding]
    /// What could not be looked at; no word here says that it is safe.
    package let unseen: [UnseenPart]
    package let secrets: UInt64

    /// - Parameters:
    ///   - keepings: What snapshots know of the versions that are in danger.
    ///   - needed: Versions that somebody named.
    ///   - margin: Room for so many further versions.
    package init(
        _ look: VersionLook, keepings: [SecretName: [SecretVersionID: VersionKeeping]], unseen: [UnseenPart] = [],
        needed: [NeededVersion] = [], margin: Int, now: Timestamp
    ) {
        let asked = Dictionary(grouping: needed, by: \.name)
        findings = look.endangered.map { one in
            Self.judge(one, look, keepings[one.name] ?? [:], asked[one.name] ?? [], margin: margin, now: now)
        }
        self.unseen = look.unseen + unseen
        secrets = look.secrets
    }

    private static func judge(
        _ one: VersionLook.Endangered, _ look: VersionLook, _ keepings: [SecretVersionID: VersionKeeping],
        _ asked: [NeededVersion], margin: Int, now: Timestamp
    ) -> Finding {
        let kind = look.capabilities.kind
        func drop(_ version: SecretVersion) -> Drop {
            let keeping = keepings[version.id]
            var drop = Drop(
                version: version, held: keeping?.held,
                sparedUntil: one.record.removal?.purge ?? VersionForecast.sparedUntil(version, kind, now: now))
            if keeping?.held == nil {
                let obstacle = Obstacle(version, of: one.record).map { Need.unreadable($0) }
                drop.needs.append(obstacle ?? (keeping?.named).map { Need.named($0) } ?? .unsaved)
            }
            drop.needs += asked.filter { $0.version == version.id }.map { .asked($0.reason) }
            return drop
        }
        let drops = one.dropped.map(drop)
        var finding = Finding(record: one.record, limit: one.limit, drops: drops, verdict: .restorable)
        let isNeeded = drops.contains { !$0.needs.isEmpty }
        if isNeeded {
            finding.verdict = .needed
            if case .least = one.limit, one.record.removal == nil { finding.verdict = .unknown(Self.noLimit) }
        } else if !drops.isEmpty, !look.capabilities.keepsVersions {
            finding.verdict = .unknown(Self.oneValue)
        } else if !drops.isEmpty, one.record.removal != nil, !look.capabilities.tellsRemovedVersions {
            finding.verdict = .unknown(Self.newestAlone)
        }
        // Nothing of a secret that is removed can be kept by changing it.
        guard one.record.removal == nil else { return finding }
        if look.capabilities.fields.contains(.limits) {
            let needed = Set(drops.filter(\.isToBeKept).map(\.version.id))
            let wanted = VersionForecast.limit(keeping: needed, of: one.record, kind, puts: margin)
            finding.wanted = wanted.flatMap { $0 <= Self.largestLimit ? $0 : nil }
        }
        if kind == .aws {
            let needed = one.asked.map(drop).filter(\.isToBeKept).map(\.version.id)
            finding.labelled = look.labelled(one, needed: Set(needed))
        }
        return finding
    }

    private static let noLimit = "how many versions it keeps can't be told, since the vault's own limit may not be read"
    private static let oneValue =
        "the vault keeps one value of it, and whether that is the snapshot's can't be told without reading it"

    private static let newestAlone = "the vault tells of a removed secret its newest version alone"

    /// Those that lose something: first what is needed, then what is unknown; by name.
    package var losses: [Finding] {
        let losing = findings.filter { !$0.drops.isEmpty }
        func are(_ isWanted: (Verdict) -> Bool) -> [Finding] { losing.filter { isWanted($0.verdict) } }
        return are { $0 == .needed } + are { if case .unknown = $0 { true } else { false } } + are { $0 == .restorable }
    }

    /// Secrets that would lose what is needed.
    package var inDanger: [Finding] { findings.filter { $0.verdict == .needed } }

    /// Whether everything was looked at and told.
    package var isComplete: Bool {
        unseen.isEmpty && findings.allSatisfy { if case .unknown = $0.verdict { false } else { true } }
    }
}
