// Where rotations are remembered: the protocol, which says nothing of the engine below it.

import Primitives
import Scheduling

/// A rotation that this process alone may go on with, as long as its lease lasts.
package struct RotationClaim: Sendable, Hashable {
    package var record: RotationRecord
    /// Larger than that of every claim before.
    package var fence: Int64
    /// The value that is to become current, sealed; nil when there is none yet, or no more.
    package var candidate: [UInt8]?

    package init(record: RotationRecord, fence: Int64, candidate: [UInt8]?) {
        self.record = record
        self.fence = fence
        self.candidate = candidate
    }
}

/// What became of a wish to go on with a rotation.
package enum RotationTaking: Sendable, Hashable {
    case taken(RotationClaim)
    /// Another process works on it.
    case held(RotationRecord, by: RunHolder)
}

/// A change of one rotation.
package struct RotationUpdate: Sendable {
    package enum Candidate: Sendable, Hashable {
        case asItIs
        case sealed([UInt8])
        /// Overwritten with zeros, then taken out.
        case erased
    }

    package var record: RotationRecord
    package var fence: Int64
    package var candidate = Candidate.asItIs
    package var steps: [RotationStep]
    /// What is remembered of the secret from now on; nil for what is.
    package var standing: SecretStanding?

    package init(_ record: RotationRecord, fence: Int64, steps: [RotationStep] = []) {
        self.record = record
        self.fence = fence
        self.steps = steps
    }
}

/// Keeps rotations. Of a secret at most one is not over, and one process at a time goes on with it.
///
/// Every method is one transaction: on return all of it is durable, on failure none of it took place. Methods block and
/// may be called from any thread. Leases are measured by a clock that wall time cannot step. All throw what `RunStore`
/// does.
package protocol RotationJournal: Sendable {
    /// Takes these rotations for `holder`; of a secret that has one which is not over, that one is taken.
    ///
    /// - Parameters:
    ///   - records: At most ``RotationLimits/group``, each of another secret.
    ///   - isGone: Whether a holder's process is known not to be there any more: then its lease counts as run out.
    /// - Returns: In the order of `records`.
    func take(
        _ records: [RotationRecord], holder: RunHolder, lease: Duration, isGone: @Sendable (RunHolder) -> Bool
    ) throws(HoldfastError) -> [RotationTaking]

    /// Writes changes of rotations and lengthens their leases.
    ///
    /// - Returns: Ids of those that are not the caller's any more; nothing of them was written.
    func write(_ updates: [RotationUpdate], lease: Duration) throws(HoldfastError) -> Set<String>

    /// Gives claims back. One that is lost already is left alone.
    func release(_ claims: [RotationClaim]) throws(HoldfastError)

    /// Those that are not over, and the newest that are, up to `limit` of each secret, newest first.
    ///
    /// - Parameter secret: Of this one alone.
    func rotations(of secret: RotatedSecret?, limit: Int) throws(HoldfastError) -> [RotationRecord]

    /// All that are not over.
    func unfinished() throws(HoldfastError) -> [RotationRecord]

    /// The sealed candidate of a rotation that is not over.
    func candidate(of rotation: String) throws(HoldfastError) -> [UInt8]?

    func steps(of rotation: String) throws(HoldfastError) -> [RotationStep]

    /// Those of a vault that are over and in no evidence yet, oldest first.
    func unattested(at vault: String, limit: Int) throws(HoldfastError) -> [RotationRecord]

    /// These are in that record of evidence.
    func markAttested(_ rotations: [String], by evidence: String) throws(HoldfastError)

    /// What is remembered of secrets, of all of them.
    func standings() throws(HoldfastError) -> [RotatedSecret: SecretStanding]
}

/// What bounds the journal.
package enum RotationLimits {
    /// Rotations that are written together.
    package static let group = 500
    /// Of one secret, that are over; the newest.
    package static let kept = 100
    /// Of one rotation.
    package static let steps = 1000
}
