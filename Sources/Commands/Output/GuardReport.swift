// What a guard found in a vault, for people and for programs.

import Primitives
import Recovery
import SecretVaults
import Workloads

/// A guard's result in lines.
enum GuardText {
    static func show(_ result: GuardRun.Result, ahead: Int, on output: Output) throws(HoldfastError) {
        for change in result.changes { try output.line(line(change, isPlanned: result.areChangesPlanned)) }
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

    static func line(_ change: GuardRun.Change, isPlanned: Bool) -> String {
        let name = ShownText.name(change.name.text)
        let what: String
        switch change.kind {
        case .raised(let limit): what = "limit of \(name) to \(limit) versions"
        case .pinned(let version): what = "version \(ShownText.name(version.text)) of \(name)"
        case .released(let version): what = "version \(ShownText.name(version.text)) of \(name)"
        }
        let verb: (done: String, planned: String) =
            switch change.kind {
            case .raised: ("raised", "raise the")
            case .pinned: ("pinned", "pin")
            case .released: ("released", "release")
            }
        if let failure = change.failure {
            return "could not \(verb.planned) \(what): \(ShownText.line(failure.message))"
        }
        return isPlanned ? "would \(verb.planned) \(what)" : "\(verb.done) the \(what)"
    }

    // MARK: The table

    private static func rows(_ verdict: VersionGuard) -> [[String]] {
        var rows: [[String]] = []
        for finding in verdict.findings where !finding.drops.isEmpty {
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
        return (drop.needs.isEmpty ? "restorable" : "needed", why + until)
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
        return ["\(many) versions that are needed with \(puts); \(seen)", advice(result)]
    }

    private static func advice(_ result: GuardRun.Result) -> String {
        let capabilities = result.look.capabilities
        if capabilities.fields.contains(.limits) {
            let isOver = result.verdict.inDanger.contains { $0.wanted == nil }
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
        let isNeeded: Bool
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
        /// `raised`, `pinned` or `released`.
        let change: String
        let limit: Int?
        let version: String?
        let error: ErrorReport?
    }

    let schema = "holdfast.vault-guard/1"
    let vault: String
    let ahead, margin, snapshots: Int
    let secrets: UInt64
    let findings: [Finding]
    let unknown: [Unseen]
    let changes: [Change]
    /// The changes were not made.
    let isDryRun: Bool

    private enum CodingKeys: String, CodingKey {
        case schema, vault, ahead, margin, snapshots, secrets, findings, unknown, changes, isDryRun
    }

    init(_ result: GuardRun.Result, _ settings: GuardRun.Settings) {
        vault = "vault:\(result.look.location)"
        ahead = settings.ahead
        margin = settings.margin
        snapshots = result.snapshots
        secrets = result.verdict.secrets
        findings = result.verdict.findings.filter { !$0.drops.isEmpty }.map(Self.finding)
        unknown = result.verdict.unseen.map { Unseen(what: $0.what, why: $0.why) }
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
                    isNeeded: !drop.needs.isEmpty, created: drop.version.created?.description,
                    snapshot: drop.held?.description, sparedUntil: drop.sparedUntil?.description)
            })
    }

    private static func change(_ change: GuardRun.Change) -> Change {
        let error = change.failure.map { ErrorReport($0) }
        switch change.kind {
        case .raised(let limit):
            return Change(secret: change.name.text, change: "raised", limit: limit, version: nil, error: error)
        case .pinned(let version):
            return Change(secret: change.name.text, change: "pinned", limit: nil, version: version.text, error: error)
        case .released(let version):
            return Change(
                secret: change.name.text, change: "released", limit: nil, version: version.text, error: error)
        }
    }

    /// What is known of a version that goes.
    static func why(_ drop: VersionGuard.Drop) -> String {
        var words = drop.needs.map { need in
            switch need {
            case .unsaved: "it is in no snapshot"
            case .named(let snapshot): "snapshot \(snapshot) names it, and none has its value"
            case .asked(let reason): "needed by \(ShownText.line(reason))"
            }
        }
        if let held = drop.held { words.append("then to be had from snapshot \(held) alone") }
        return words.joined(separator: "; ")
    }
}
