// Which kinds of evidence there are, and what a report takes from each: the one place where a further kind joins.

import Primitives
import Repository

/// A link as a report reads it, whether from the repository or from a file that discloses it.
package struct ReportLink: Sendable {
    package var slot: SlotID
    package var number: UInt32
    package var digest: Bytes32
    package var previous: Bytes32
    package var others: [EvidenceHead]
    package var stored: Timestamp
    package var isImported: Bool
    /// Nil for one that is sealed.
    package var record: EvidenceRecord?

    package init(_ object: EvidenceObject, digest: Bytes32, record: EvidenceRecord?) {
        slot = object.slot
        number = object.number
        previous = object.previous
        others = object.others
        stored = object.stored
        isImported = object.origin == .imported
        self.digest = digest
        self.record = record
    }

    package var head: EvidenceHead { EvidenceHead(slot: slot, number: number, digest: digest) }
    package var reference: EvidenceReference { EvidenceReference(slot: slot, number: number) }
}

/// Where a record is: `evidence/<slot>/<number>`.
package struct EvidenceReference: Sendable, Hashable, Comparable, Codable {
    package var slot: String
    package var number: UInt32

    init(slot: SlotID, number: UInt32) {
        self.slot = slot.description
        self.number = number
    }

    package static func < (one: Self, other: Self) -> Bool { (one.slot, one.number) < (other.slot, other.number) }
}

/// What a report makes of a kind of record.
enum EvidencePart: Sendable {
    /// A test or an incident: a row of its own, whatever it came to.
    case recovery
    /// Lines for the populations of runs.
    case runs
    /// What was declared, and recovery points.
    case inventory
    case exception
}

extension EvidenceKind {
    /// The table. A kind that is added to the format is given its part here, or the compiler refuses.
    var part: EvidencePart {
        switch self {
        case .drill, .incident: .recovery
        case .runs: .runs
        case .inventory: .inventory
        case .exception: .exception
        }
    }
}

/// A record of a rotation as a report counts it; the kind with the number 3 of the format fills it in.
package struct RotationFigures: Sendable, Hashable, Codable {
    /// Records of rotations in the period.
    package var records: Int64 = 0
    package var failed: Int64 = 0
}
