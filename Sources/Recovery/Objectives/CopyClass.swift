// What a copy of a repository protects against, and the recovery points of a source in all of its copies.

import Primitives

/// A class of copies whose exposure is counted for itself. What a copy is was declared; nothing here measures it.
package enum CopyClass: String, Sendable, CaseIterable, Comparable {
    /// At the place of the source: against a broken disk and a slip of the hand.
    case local
    /// At another place: against the loss of the first.
    case offsite
    /// It can't be deleted or changed for a time: against whoever took over both. RPO after ransomware goes by it.
    case immutable

    package static func < (a: CopyClass, b: CopyClass) -> Bool {
        (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
    }
}

/// A recovery point with every copy of it.
package struct CopiedPoint: Sendable, Hashable {
    package struct Copy: Sendable, Hashable {
        package var classes: Set<CopyClass>
        package var durableAt: Timestamp
        package var goneFrom: Timestamp?
        /// When a drill that read this copy first showed that it can be recovered.
        package var verifiedAt: Timestamp?

        package init(
            classes: Set<CopyClass>, durableAt: Timestamp, goneFrom: Timestamp? = nil, verifiedAt: Timestamp? = nil
        ) {
            self.classes = classes
            self.durableAt = durableAt
            self.goneFrom = goneFrom
            self.verifiedAt = verifiedAt
        }
    }

    package var consistentAsOf: Timestamp
    package var copies: [Copy]

    package init(consistentAsOf: Timestamp, copies: [Copy]) {
        self.consistentAsOf = consistentAsOf
        self.copies = copies
    }
}

/// Which points count.
package struct ExposureView: Sendable, Hashable {
    /// Only copies of this class; nil for any.
    package var copyClass: CopyClass?
    /// Only from the time on that a drill had proven this copy of the point.
    package var onlyVerified: Bool

    package init(_ copyClass: CopyClass? = nil, onlyVerified: Bool = false) {
        self.copyClass = copyClass
        self.onlyVerified = onlyVerified
    }

    package func points(of all: [CopiedPoint]) -> [ExposurePoint] {
        all.flatMap { point -> [ExposurePoint] in
            point.copies.compactMap { copy in
                if let copyClass, !copy.classes.contains(copyClass) { return nil }
                if onlyVerified, copy.verifiedAt == nil { return nil }
                let verified = onlyVerified ? copy.verifiedAt ?? copy.durableAt : copy.durableAt
                // What the point holds does not change with the copy, whenever that came.
                return ExposurePoint(
                    consistentAsOf: min(point.consistentAsOf, copy.durableAt),
                    availableFrom: max(copy.durableAt, verified), goneFrom: copy.goneFrom)
            }
        }
    }
}
