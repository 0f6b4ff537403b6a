// What a guard found in a vault, for people and for programs.

import Primitives
import Recovery
import SecretVaults
import Workloads

/// A guard's result in lines.
enum GuardText {
    static func show(_ result: GuardRun.Result, ahead: Int, on output: Output) throws(HoldfastError) {
        for change in result.changes { try output.line(line(change)) }
        let rows = rows(result.verdict)
        if !rows.isEmpty {
            var table = Table([
                ("SECRET", .left), ("VERSIONS", .right), ("LIMIT", .right), ("GOES", .left), ("VERDICT", .left),
                ("WHY", .left),
            ])
            for row in rows { table.add(row) }
            for line in table.lines { try output.line(line) }
        }
        for line in end(result, ahead) { try output.line(line) }
        for name in result.look.overAzuresOwn {
            output.warning(
                "\(ShownText.name(name.text)) has so many versions that Azure's own backup does not take it")
        }
    }

    private static func line(_ change: GuardRun.Change) -> String {
        let name = ShownText.name(change.name.text)
        let (verb, done, what): (String, String, String) =
            switch change.kind {
            case .raise(let limit?): ("raise the", "raised", "limit of \(name) to \(limit) versions")
            case .raise(nil): ("raise the", "raised", "limit of \(name), which has none now")
            case .pin(let version): ("pin", "pinned", "version \(ShownText.name(version.text)) of \(name)")
            case .release(let version): ("release", "released", "version \(ShownText.name(version.text)) of \(name)")
            }
        switch change.outcome {
        case .planned: return "would \(verb) \(what)"
        case .done: return "\(done) the \(what)"
        case .failed(let error): return "could not \(verb) \(what): \(ShownText.line(error.message))"
        }
    }

    // MARK: The table

    private static func rows(_ verdict: VersionGuard) -> [[String]] {
        var rows: [[String]] = []
        for finding in verdict.losses {
            let start = [
                ShownText.name(finding.name.text), "\(finding.record.versions.count)", Self.limit(finding.limit),
            ]
            for drop in finding.drops {
                let (word, why) = Self.verdict(drop, of: finding)
                rows.append(start + [ShownText.name(drop.version.id.text), word, why])
            }
        }
        for part in verdict.unseen {
            rows.append([ShownText.name(part.what), "-", "-", "-", "unknown", ShownText.line(part.why)])
        }
        return rows
    }

    private static func limit(_ limit: VersionLimit) -> String {
        switch limit {
        case .none: "-"
        case .most(let number): "\(number)"
        case .least(let number): "\(number) or more"
        }
    }

    private static func verdict(
        _ drop: VersionGuard.Drop, of finding: VersionGuard.Finding
    ) -> (word: String, why: String) {
        let why = GuardReport.why(drop)
        let until = drop.sparedUntil.map { ", not before \($0)" } ?? ""
        if case .unknown(let reason) = finding.verdict { return ("unknown", "\(reason); \(why)\(until)") }
        if drop.isToBeKept { return ("needed", why + until) }
        return (drop.needs.isEmpty ? "restorable" : "unreadable", why + until)
    }

    // MARK: The end

    private static func end(_ result: GuardRun.Result, _ ahead: Int) -> [String] {
        let verdict = result.verdict
        let puts = ahead == 1 ? "the next put" : "the next \(ahead) puts"
        let seen = "\(verdict.secrets) secrets and \(result.snapshots) snapshots looked at"
        guard !verdict.inDanger.isEmpty else {
            let what = verdict.isComplete ? "nothing" : "nothing of what could be told"
            return ["\(what) that is needed goes with \(puts); \(seen)"]
        }
        let many = verdict.inDanger.count == 1 ? "1 secret loses" : "\(verdict.inDanger.count) secrets lose"
        var lines = ["\(many) versions that no snapshot has with \(puts); \(seen)"]
        if result.untold > 0 {
            lines.append("\(result.untold) snapshots are of sources that this key can't tell, and were not looked at")
        }
        return lines + advice(result)
    }

    private static func advice(_ result: GuardRun.Result) -> [String] {
        let drops = result.verdict.inDanger.flatMap(\.drops)
        let needs = drops.flatMap(\.needs)
        var lines: [String] = []
        if drops.contains(where: \.isToBeKept) { lines.append(keeping(result)) }
        if needs.contains(where: { if case .named = $0 { true } else { false } }) {
            lines.append("what a snapshot names without its value a backup could not read: its warnings said why")
        }
        if needs.contains(where: { $0 == .unreadable(.deleted) || $0 == .unreadable(.disabled) }) {
            lines.append(
                "a backup reads no deleted or disabled version: undelete or enable it and back up, or destroy it")
        }
        if needs.contains(.unreadable(.removed)) {
            lines.append("a backup reads nothing of a removed secret: recover it and back up")
        }
        return lines
    }

    private static func keeping(_ result: GuardRun.Result) -> String {
        let capabilities = result.look.capabilities
        if capabilities.fields.contains(.limits) {
            let isOver = result.verdict.inDanger.contains { finding in
                finding.wanted == nil && finding.drops.contains(where: \.isToBeKept)
            }
            return isOver
                ? "back the vault up now; no limit is raised beyond \(VersionGuard.largestLimit)"
                : "back the vault up now, or raise the limits: the same command with --raise"
        }
        return capabilities.kind == .aws
            ? "back the vault up now, or keep the versions by labels: the same command with --pin"
            : "back the vault up now"
    }
}

/// `holdfast.vault-guard/1`.
struct GuardReport: Encodable {
    struct Drop: Encodable {
        let version, why: String
        let order: UInt64
        /// No snapshot has its value.
        let isNeeded: Bool
        /// And no backup can read it as it stands.
        let isUnreadable: Bool
        let created, snapshot, sparedUntil: String?
    }

    struct Finding: Encodable {
        let secret: String
        let versions: Int
        let limit: Int?
        /// False when the limit may be higher.
        let isLimitKnown: Bool
        /// `needed`, `restorable` or `unknown`.
        let verdict: String
        let why: String?
        /// The limit that would keep what is needed.
        let raiseTo: Int?
        let drops: [Drop]
    }

    struct Unseen: Encodable {
        let what, why: String
    }

    struct Change: Encodable {
        let secret: String
        /// `raise`, `pin` or `release`.
        let change: String
        /// `done`, `planned` or `failed`.
        let outcome: String
        /// As it is wanted; where it was done, as the vault tells it.
        let limit: Int?
        let version: String?
        let error: ErrorReport?
    }

    let schema = "holdfast.vault-guard/1"
    let vault: String
    let ahead, margin, snapshots: Int
    /// Those of sources that this key can't tell: they may be of this vault.
    let untoldSnapshots: Int
    let secrets: UInt64
    let findings: [Finding]
    let unknown: [Unseen]
    /// Secrets with so many versions that Azure's own backup does not take them.
    let tooManyForAzure: [String]
    let changes: [Change]
    /// The changes were not made.
    let isDryRun: Bool

    private enum CodingKeys: String, CodingKey {
        case schema, vault, ahead, margin, snapshots, untoldSnapshots, secrets, findings, unknown, tooManyForAzure
        case changes, isDryRun
    }

    init(_ result: GuardRun.Result, _ settings: GuardRun.Settings) {
        vault = "vault:\(result.look.location)"
        ahead = settings.ahead
        margin = settings.margin
        snapshots = result.snapshots
        untoldSnapshots = result.untold
        secrets = result.verdict.secrets
        findings = result.verdict.losses.map(Self.finding)
        unknown = result.verdict.unseen.map { Unseen(what: $0.what, why: $0.why) }
        tooManyForAzure = result.look.overAzuresOwn.map(\.text)
        changes = result.changes.map(Self.change)
        isDryRun = settings.isDryRun
    }

    private static func finding(_ finding: VersionGuard.Finding) -> Finding {
        var isLimitKnown = true
        if case .least = finding.limit { isLimitKnown = false }
        let (verdict, why): (String, String?) =
            switch finding.verdict {
            case .needed: ("needed", nil)
            case .restorable: ("restorable", nil)
            case .unknown(let reason): ("unknown", reason)
            }
        return Finding(
            secret: finding.name.text, versions: finding.record.versions.count, limit: finding.limit.number,
            isLimitKnown: isLimitKnown, verdict: verdict, why: why, raiseTo: finding.wanted,
            drops: finding.drops.map { drop in
                Drop(
                    version: drop.version.id.text, why: Self.why(drop), order: drop.version.order,
                    isNeeded: !drop.needs.isEmpty, isUnreadable: !drop.needs.isEmpty && !drop.isToBeKept,
                    created: drop.version.created?.description, snapshot: drop.held?.description,
                    sparedUntil: drop.sparedUntil?.description)
            })
    }

    private static func change(_ change: GuardRun.Change) -> Change {
        let outcome =
            switch change.outcome {
            case .planned: "planned"
            case .done: "done"
            case .failed: "failed"
            }
        let (word, limit, version): (String, Int?, SecretVersionID?) =
            switch change.kind {
            case .raise(let limit): ("raise", limit, nil)
            case .pin(let version): ("pin", nil, version)
            case .release(let version): ("release", nil, version)
            }
        return Change(
            secret: change.name.text, change: word, outcome: outcome, limit: limit, version: version?.text,
            error: change.failure.map { ErrorReport($0) })
    }

    /// What is known of a version that goes.
    static func why(_ drop: VersionGuard.Drop) -> String {
        var words = drop.needs.map { need in
            switch need {
            case .unsaved: "it is in no snapshot that this key reads"
            case .named(let snapshot): "snapshot \(snapshot) names it, and none has its value"
            case .unreadable(.deleted): "it is deleted, and in no snapshot that this key reads"
            case .unreadable(.disabled): "it is disabled, and in no snapshot that this key reads"
            case .unreadable(.removed): "the secret is removed, and it is in no snapshot that this key reads"
            case .asked(let reason): "needed by \(ShownText.line(reason))"
            }
        }
        if let held = drop.held { words.append("then to be had from snapshot \(held) alone") }
        return words.joined(separator: "; ")
    }
}
