// What verbs of rotation report; no value is in any of it.

import Primitives
import Rotation
import State

/// A rotation as `--json` prints it.
struct RotationReport: Encodable {
    struct Step: Encodable {
        let state, phase, at, note: String
    }

    struct Failure: Encodable {
        let code, message, at: String
    }

    let id, vault, secret, policy, strategy, trigger, actor, state, began: String
    let reason, intent, from, to, fromFingerprint, toFingerprint, snapshot, promoted, retireAt, ended,
        nextAttempt: String?
    let snapshotCompared: Bool?
    let isParked, isEmergency, isGoingBack: Bool
    let candidates, attempts: Int
    let failure: Failure?
    let notes: [String: String]
    let steps: [Step]?

    init(_ record: RotationRecord, steps: [RotationStep]? = nil) {
        func instant(_ nanoseconds: Int64?) -> String? { nanoseconds.map { "\(Timestamp(nanoseconds: $0))" } }
        id = record.id
        vault = "vault:\(record.secret.vault)"
        secret = record.secret.name
        policy = record.policy
        strategy = record.strategy
        trigger = record.trigger.rawValue
        actor = record.actor
        state = record.state.rawValue
        began = "\(Timestamp(nanoseconds: record.began))"
        reason = record.reason
        intent = record.intent?.rawValue
        from = record.from
        to = record.to
        fromFingerprint = record.fromFingerprint
        toFingerprint = record.toFingerprint
        snapshot = record.kept?.snapshot
        snapshotCompared = record.kept?.isCompared
        promoted = instant(record.promoted)
        retireAt = instant(record.retireAt)
        ended = instant(record.ended)
        nextAttempt = instant(record.nextAttempt)
        isParked = record.isParked
        isEmergency = record.isEmergency
        isGoingBack = record.isGoingBack
        candidates = record.candidates
        attempts = record.attempts
        failure = record.failure.map {
            Failure(code: $0.code, message: $0.message, at: "\(Timestamp(nanoseconds: $0.at))")
        }
        notes = record.notes
        self.steps = steps?.map {
            Step(state: $0.state, phase: $0.phase.rawValue, at: "\($0.at)", note: $0.note)
        }
    }

    /// How it stands, in few words.
    static func standing(_ record: RotationRecord) -> String {
        if record.isParked { return "parked in \(record.state.rawValue)" }
        if record.state == .grace, let retire = record.retireAt {
            return "grace until \(Timestamp(nanoseconds: retire))"
        }
        if let next = record.nextAttempt, !record.state.isOver {
            return "\(record.state.rawValue), again at \(Timestamp(nanoseconds: next))"
        }
        return record.state.rawValue
    }
}

/// `holdfast.rotate/1`.
struct RotateReport: Encodable {
    struct Run: Encodable {
        let vault, secret, policy: String
        /// `rotated`, `grace`, `not-due`, `waiting`, `later`, `parked`, `failed` or `planned`.
        var outcome: String
        /// When it is due next, or goes on.
        var next: String?
        var rotation: RotationReport?
        /// What a dry run says that would be done.
        var effects: [String]?
        var error: ErrorReport?
    }

    let schema = "holdfast.rotate/1"
    let dryRun: Bool
    let runs: [Run]

    private enum CodingKeys: String, CodingKey { case schema, dryRun, runs }
}

/// `holdfast.secrets/1`.
struct SecretsReport: Encodable {
    struct Secret: Encodable {
        let vault, secret, policy, verdict: String
        let due, next, succeeded, expires, level: String?
        let rotation: RotationReport?
    }

    let schema = "holdfast.secrets/1"
    let secrets: [Secret]

    private enum CodingKeys: String, CodingKey { case schema, secrets }
}

/// `holdfast.rotations/1`.
struct RotationsReport: Encodable {
    let schema = "holdfast.rotations/1"
    let rotations: [RotationReport]

    private enum CodingKeys: String, CodingKey { case schema, rotations }
}

/// `holdfast.reconcile/1`.
struct ReconcileReport: Encodable {
    struct Secret: Encodable {
        let vault, secret: String
        let verdict, current, advice: String?
        let answers: [String: String]
        let error: ErrorReport?
    }

    let schema = "holdfast.reconcile/1"
    let secrets: [Secret]

    private enum CodingKeys: String, CodingKey { case schema, secrets }
}

extension RotationVerdict {
    /// The word of reports.
    var word: String {
        switch self {
        case .notDue: "not-due"
        case .waiting: "waiting"
        case .due: "due"
        case .overdue: "overdue"
        case .resume: "under-way"
        case .later: "later"
        case .parked: "parked"
        }
    }

    /// When something is done by itself; nil for now, and for what waits for an operator.
    var next: Timestamp? {
        switch self {
        case .notDue(let at), .later(let at): at
        case .waiting(let until): until
        case .due, .overdue, .resume, .parked: nil
        }
    }
}
