// What drills found of a recovery point: from when on it did not count, and from when on again.

import Primitives
import Repository

/// What a drill found wrong with a recovery point, as the fact `damage` of a member.
package enum PointDamage: String, Sendable {
    /// Objects of the copy that was read are damaged; other copies may be whole.
    case copy
    /// What was read back is not what the snapshot says, or not sound: so is every copy.
    case content

    static let fact = "damage"
    /// The fact of a member that says what failed over it, where nobody can tell whether the point is at fault.
    static let unclearFact = "unclear"
    /// The fact of a member that says which copy was read.
    static let placeFact = "copy"

    /// The place of a copy, the same from whatever directory and through whatever link it was named.
    static func place(_ location: String) -> String {
        location.contains("://") ? location : Host.realPath(location) ?? Host.absolutePath(location)
    }
}

extension EvidenceRecord {
    /// Whether it shows that the snapshot of `member` can be recovered. Another system may have failed beside it, or
    /// been late; where a check of several systems failed, nobody can tell which of them it was.
    package func proves(_ member: EvidenceMember) -> Bool {
        let bad: Set<EvidenceCheckVerdict> = [.failed, .timedOut, .notRun]
        return member.verdict == .passed && verdict != .interrupted && sabotage == nil && member.provesSnapshot
            && !checks.contains { $0.member.isEmpty && bad.contains($0.verdict) }
    }

    /// Whether the engine, or a comparison with the snapshot, found the copy of `member` not to be as it must. What
    /// else fails, such as a target, a limit or a check of the plan, says nothing about the snapshot.
    ///
    /// Nor does it when files of a place where others may write differ after a restore in an incident: each piece was
    /// as in the snapshot when it was read, so that what differs was changed since.
    func failedSoundness(_ member: String) -> Bool {
        checks.contains { check in
            check.member == member && check.verdict == .failed && ["engine", "contents"].contains(check.kind)
                && (kind != .incident || check.statement != CopyCheck.comparison)
        }
    }

    /// Whether what was found of `member`, which failed, is the fault of the snapshot or of the copy that was read.
    func isHeldAgainst(_ member: EvidenceMember) -> Bool {
        member.facts[PointDamage.fact] != nil || failedSoundness(member.name)
    }

    /// What was found wrong with the point of `member` itself; nil when nothing.
    ///
    /// - Parameters:
    ///   - failure: What ended it early.
    ///   - hasDamagedObjects: Objects of the copy that was read are damaged.
    func damage(of member: String, _ failure: HoldfastError?, hasDamagedObjects: Bool) -> PointDamage? {
        if hasDamagedObjects || failure?.code == .corruptObject || failure?.code == .objectMissing { return .copy }
        return failedSoundness(member) ? .content : nil
    }

    /// Whether the engine of `member` was asked, or its kind has none.
    func isByEngine(_ member: EvidenceMember) -> Bool {
        let verdicts = checks.filter { $0.member == member.name && $0.kind == "engine" }.map(\.verdict)
        return verdicts.isEmpty || verdicts.contains { $0 != .skipped }
    }
}

extension Evidence {
    /// From when on what `record` shows counts. What was imported says itself when it was, and the signer when it came.
    func provenAt(_ record: EvidenceRecord) -> Timestamp {
        object.origin == .imported ? max(record.finished, object.stored) : record.finished
    }
}

/// All that drills showed of one snapshot.
struct PointStanding {
    struct Verdict: Hashable {
        var at: Timestamp
        /// Nil when it was recovered, and sound.
        var damage: PointDamage?
        /// The copy that was read; empty when the record does not say.
        var place: String
        /// The engine's own checks were made, or there are none of its kind. Without it the bytes alone were compared.
        var isByEngine = true
    }

    private(set) var verdicts: [Verdict] = []

    mutating func add(_ verdict: Verdict) {
        verdicts.append(verdict)
    }

    /// When the copy at `place`, which is there since `durableAt`, was first shown to be recoverable. A copy that
    /// nobody read is not verified by what another one showed; nor is one that was put there since.
    func verifiedAt(_ place: String, since durableAt: Timestamp) -> Timestamp? {
        verdicts.filter { $0.damage == nil && $0.place == place && $0.at >= durableAt }.map(\.at).min()
    }

    /// It was recovered, and in no drill the engine's own checks could be made.
    var isWithoutEngine: Bool {
        let proofs = verdicts.filter { $0.damage == nil }
        return !proofs.isEmpty && !proofs.contains(where: \.isByEngine)
    }

    /// The stretches in which one copy counted: until a drill found it damaged, and again from one that recovered it.
    ///
    /// - Parameters:
    ///   - place: Where the copy is.
    ///   - places: Where all copies are; damage of a copy elsewhere is taken to be of all, since nobody can tell.
    func stretches(of copy: CopiedPoint.Copy, at place: String, among places: Set<String>) -> [CopiedPoint.Copy] {
        var found: [CopiedPoint.Copy] = []
        var from: Timestamp? = copy.durableAt
        let verifiedAt = verifiedAt(place, since: copy.durableAt)
        for verdict in verdicts.sorted(by: { $0.at < $1.at }) {
            let isOfThis = verdict.place == place || !places.contains(verdict.place)
            switch verdict.damage {
            case .content: break
            // One that was put again since then is another copy.
            case .copy: guard isOfThis, verdict.at >= copy.durableAt else { continue }
            case nil: guard isOfThis else { continue }
            }
            if verdict.damage == nil {
                from = from ?? max(verdict.at, copy.durableAt)
            } else if let start = from {
                if verdict.at > start {
                    found.append(
                        CopiedPoint.Copy(
                            classes: copy.classes, durableAt: start, goneFrom: verdict.at, verifiedAt: verifiedAt))
                }
                from = nil
            }
        }
        if let from {
            found.append(CopiedPoint.Copy(classes: copy.classes, durableAt: from, verifiedAt: verifiedAt))
        }
        return found
    }
}
