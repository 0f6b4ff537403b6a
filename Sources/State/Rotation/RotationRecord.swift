// What is remembered of the rotation of one secret.

import Primitives

/// The random id of a rotation; where a vault lets a writer choose, it is the id of the version that is put.
package struct RotationID: ShortID, BitwiseCopyable {
    package let bytes: Bytes16
    package init(_ bytes: Bytes16) { self.bytes = bytes }
}

/// A secret of a vault, as journals name it.
package struct RotatedSecret: Hashable, Sendable, Comparable, Codable {
    /// Where the vault is, without credentials, such as `embedded:/var/lib/secrets.vault`.
    package var vault: String
    package var name: String

    package init(vault: String, name: String) {
        self.vault = vault
        self.name = name
    }

    package static func < (one: RotatedSecret, other: RotatedSecret) -> Bool {
        (one.vault, one.name) < (other.vault, other.name)
    }
}

/// How far a rotation is. The raw values are in the journal, in reports and in the audit log.
package enum RotationState: String, Sendable, Hashable, Codable, CaseIterable {
    case planned, preflight, snapshot, staged, applied, verified, promoted, grace, retired, done
    case rolledBack = "rolled-back"

    /// Whether nothing is to be done any more.
    package var isOver: Bool { self == .done || self == .rolledBack }

    /// Whether readers get the new value.
    package var isPromoted: Bool {
        switch self {
        case .promoted, .grace, .retired, .done: true
        case .planned, .preflight, .snapshot, .staged, .applied, .verified, .rolledBack: false
        }
    }
}

/// Why a rotation began.
package enum RotationTrigger: String, Sendable, Hashable, Codable {
    case schedule, manual, compromise
    /// An earlier version is made the current one again.
    case rollback
}

/// One rotation of one secret. It holds no value: the candidate is sealed, and beside it.
package struct RotationRecord: Sendable, Hashable, Codable {
    /// Why it waits.
    package struct Failure: Sendable, Hashable, Codable {
        package var code: String
        package var message: String
        package var at: Int64

        package init(_ error: HoldfastError, at: Timestamp) {
            code = error.code.rawValue
            // Bounded: a server may say much.
            message = String(error.message.prefix(1000))
            self.at = at.nanoseconds
        }
    }

    /// What the vault's version before was kept by.
    package struct Kept: Sendable, Hashable, Codable {
        package var snapshot: String
        /// The value in the snapshot was read and is that of the vault; else it was seen to be there alone.
        package var isCompared: Bool

        package init(snapshot: String, isCompared: Bool) {
            self.snapshot = snapshot
            self.isCompared = isCompared
        }
    }

    package var id: String
    package var secret: RotatedSecret
    package var policy: String
    package var strategy: String
    package var trigger: RotationTrigger
    package var reason: String?
    package var actor: String
    /// The last state that was reached.
    package var state = RotationState.planned
    /// The state whose act may be under way: after a crash it is looked whether it took place, before anything else.
    package var intent: RotationState?
    /// It goes back to ``from``.
    package var isGoingBack = false
    /// It goes on when an operator says so.
    package var isParked = false
    /// The old value is known to somebody: no grace, and no way back to it.
    package var isEmergency = false
    /// The version that was current when it began, and the keyed fingerprint of its value.
    package var from: String?
    package var fromFingerprint: String?
    /// The version that became current.
    package var to: String?
    package var toFingerprint: String?
    /// From when the old value's age counts: its own rotation, else the making of its version.
    package var fromSince: Int64?
    /// How many values were made, since targets may refuse one.
    package var candidates = 0
    /// The candidate is in the vault as well, at a place beside the secret, with this version's id.
    package var side: String?
    package var kept: Kept?
    /// Of failures in a row.
    package var attempts = 0
    package var nextAttempt: Int64?
    package var failure: Failure?
    package var began: Int64
    package var promoted: Int64?
    /// When the old value may stop to work.
    package var retireAt: Int64?
    package var ended: Int64?
    /// The record of evidence that it is in.
    package var evidence: String?
    /// What targets said of themselves, by their own words; no value is among it.
    package var notes: [String: String] = [:]

    package init(
        id: RotationID, secret: RotatedSecret, policy: String, strategy: String, trigger: RotationTrigger,
        reason: String?, actor: String, began: Timestamp
    ) {
        self.id = id.description
        self.secret = secret
        self.policy = policy
        self.strategy = strategy
        self.trigger = trigger
        self.reason = reason
        self.actor = actor
        self.began = began.nanoseconds
        isEmergency = trigger == .compromise
    }

    package var rotationID: RotationID? { RotationID(hex: id) }
}

/// What is remembered of a secret over all its rotations.
package struct SecretStanding: Sendable, Hashable, Codable {
    /// When its newest rotation that ended well was promoted.
    package var succeeded: Int64?
    package var version: String?
    package var fingerprint: String?
    /// What was before.
    package var previousVersion: String?
    package var previousFingerprint: String?
    /// Fingerprints of values that somebody else knows, newest last; at most ``maximumCompromised``.
    package var compromised: [String] = []

    /// No rotation begins by itself before then: an operator has gone back to this value.
    package var notBefore: Int64?

    package static let maximumCompromised = 32

    package init() {}
}

/// One step of a rotation, as it was made.
package struct RotationStep: Sendable, Hashable {
    package enum Phase: String, Sendable, Hashable {
        /// What follows may take place from now on.
        case intent
        /// It was seen to have taken place.
        case done
        case failed
    }

    package var state: String
    package var phase: Phase
    package var at: Timestamp
    package var note: String

    package init(_ state: String, _ phase: Phase, at: Timestamp, note: String = "") {
        self.state = state
        self.phase = phase
        self.at = at
        self.note = note
    }
}
