// What the drills of a source say of it now: by the same rules by which they prove single recovery points.

import Primitives
import Repository

/// What one drill showed of a source.
package struct ShownDrill: Sendable, Hashable {
    package enum Verdict: Sendable, Hashable {
        /// It recovered a snapshot of the source, and everything held.
        case proven
        /// A check of several systems failed, and nobody can tell which of them it was.
        case unclear
        case failed
    }

    /// From when on it counts.
    package var at: Timestamp
    package var verdict: Verdict
    /// It failed, and no secret was shown to open what was restored.
    package var isLocked = false

    package init(at: Timestamp, verdict: Verdict) {
        self.at = at
        self.verdict = verdict
    }

    /// What a link of evidence shows of `source`.
    init?(_ evidence: Evidence, of source: String) {
        guard let record = evidence.record else { return nil }
        self.init(record, of: source, provenAt: evidence.provenAt(record), stored: evidence.object.stored)
    }

    /// Nil when it shows nothing: the source is not in it, something was broken on purpose, it was broken off, it
    /// did not look at a snapshot as it is stored, or it is a restore in an incident that failed by something else.
    ///
    /// - Parameters:
    ///   - provenAt: From when on what it proves counts.
    ///   - stored: When its link was written.
    init?(_ record: EvidenceRecord, of source: String, provenAt: Timestamp, stored: Timestamp) {
        guard record.sabotage == nil else { return nil }
        let members = record.members.filter { $0.source == source && $0.verdict != .interrupted }
        let failed = members.filter { $0.verdict == .failed }
        // A target that refuses, or a mistyped one, says nothing of the source. A drill has no target but its own.
        if record.kind == .incident, !failed.isEmpty, !failed.contains(where: record.isHeldAgainst) { return nil }
        if !failed.isEmpty {
            // A clock that ran ahead does not make a failure outlast the drills that come after it.
            self.init(at: min(provenAt, stored), verdict: .failed)
            let names = failed.map(\.name)
            isLocked = record.checks.contains {
                $0.kind == OpeningCheck.kind && $0.verdict == .failed && names.contains($0.member)
            }
            return
        }
        let whole = members.filter(\.provesSnapshot)
        guard !whole.isEmpty, record.verdict != .interrupted else { return nil }
        self.init(at: provenAt, verdict: whole.allSatisfy { record.proves($0) } ? .proven : .unclear)
    }
}

/// What all drills of a source come to at an instant.
package struct DrillStanding: Sendable, Hashable {
    /// The newest that says anything; of two at one instant the worse.
    package var newest: ShownDrill?
    package var lastProof: Timestamp?

    /// What is dated after `now` counts for nothing, unless it failed.
    package init(_ drills: [ShownDrill], at now: Timestamp) {
        for drill in drills where drill.at <= now || drill.verdict == .failed {
            if drill.verdict == .proven { lastProof = max(lastProof ?? drill.at, drill.at) }
            guard let known = newest else {
                newest = drill
                continue
            }
            if drill.at > known.at || drill.at == known.at && drill.verdict != .proven { newest = drill }
        }
    }
}
