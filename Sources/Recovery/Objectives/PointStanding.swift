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
    /// The fact of a member that says which copy was read.
    static let placeFact = "copy"

    /// The place of a copy, the same from whatever directory it was named.
    static func place(_ location: String) -> String {
        location.contains("://") ? location : Host.absolutePath(location)
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
    }

    /// When it was first shown to be recoverable.
    var verifiedAt: Timestamp?
    private(set) var verdicts: [Verdict] = []

    mutating func add(_ verdict: Verdict) {
        verdicts.append(verdict)
        if verdict.damage == nil { verifiedAt = min(verifiedAt ?? verdict.at, verdict.at) }
    }

    /// The stretches in which one copy counted: until a drill found it damaged, and again from one that recovered it.
    ///
    /// - Parameters:
    ///   - place: Where the copy is.
    ///   - places: Where all copies are; damage of a copy elsewhere is taken to be of all, since nobody can tell.
    func stretches(of copy: CopiedPoint.Copy, at place: String, among places: Set<String>) -> [CopiedPoint.Copy] {
        var found: [CopiedPoint.Copy] = []
        var from: Timestamp? = copy.durableAt
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
                    found.append(CopiedPoint.Copy(classes: copy.classes, durableAt: start, goneFrom: verdict.at))
                }
                from = nil
            }
        }
        if let from { found.append(CopiedPoint.Copy(classes: copy.classes, durableAt: from)) }
        return found
    }
}
