// A rotation of a record of evidence as `--json` prints it.

import Primitives
import Repository

struct EvidenceRotationReport: Encodable {
    struct Step: Encodable {
        let state, phase, at: String
    }

    let id, vault, secret, policy, strategy, trigger, actor, outcome: String
    let reason, from, to, fromFingerprint, toFingerprint, snapshot, due, nextDue: String?
    let snapshotCompared: Bool
    let candidates: UInt64
    let steps: [Step]
    let facts: [String: String]

    init(_ rotation: EvidenceRotation) {
        id = rotation.id
        vault = rotation.vault
        secret = rotation.secret
        policy = rotation.policy
        strategy = rotation.strategy
        trigger = rotation.trigger
        actor = rotation.actor
        outcome = rotation.outcome
        reason = rotation.reason
        from = rotation.from
        to = rotation.to
        fromFingerprint = rotation.fromFingerprint
        toFingerprint = rotation.toFingerprint
        snapshot = rotation.snapshot
        due = rotation.due?.description
        nextDue = rotation.nextDue?.description
        snapshotCompared = rotation.isCompared
        candidates = rotation.candidates
        steps = rotation.steps.map { Step(state: $0.state, phase: $0.phase, at: $0.at.description) }
        facts = rotation.facts
    }
}
