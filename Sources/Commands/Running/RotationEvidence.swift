// Evidence of rotations: what ended is signed into the repository of the source.

import Primitives
import Repository
import Rotation
import Sealing
import State

/// Signs rotations that have ended, once each.
struct RotationEvidence {
    /// In one record.
    private static let group = 500

    let context: CommandContext
    let journal: SQLiteRunStore
    let planner: RotationPlanner

    /// Signs what ended in `vault` and has no evidence yet, also what an earlier run left.
    ///
    /// - Durability: the record is on stable storage before the journal says that it is there. A crash in between is
    ///   noticed by the record's id, which comes of the rotations in it.
    func sign(vault: String, in keeper: SnapshotKeeper) throws(HoldfastError) {
        while true {
            let ended = try journal.unattested(at: vault, limit: Self.group)
            guard !ended.isEmpty else { return }
            let repository = try keeper.repository()
            guard repository.keyring.mayAttest else {
                context.output.warning(
                    "\(ended.count) rotations have no evidence yet: this key may not sign; "
                        + "an admin gives it the right with `holdfast keys grant SLOT --attest`")
                return
            }
            let made = try repository.attestOnce(try record(ended, repository), origin: .witnessed)
            try journal.markAttested(ended.map(\.id), by: made.id.description)
        }
    }

    private func record(
        _ ended: [RotationRecord], _ repository: Repository
    ) throws(HoldfastError) -> EvidenceRecord {
        let instants = ended.map { Timestamp(nanoseconds: $0.ended ?? $0.began) }
        let finished = instants.max() ?? repository.clock.now()
        // The same each time, so that the same is not signed twice after a crash.
        let id = try ULID(at: finished, entropy: DigestEntropy(ended.map(\.id).joined()))
        var record = EvidenceRecord(
            id: id, kind: .rotation,
            occasion: ended.allSatisfy { $0.trigger == .schedule } ? .automatic : .manual,
            verdict: ended.allSatisfy { $0.state == .done } ? .passed : .failed, operator: Operator.name,
            toolVersion: ToolVersion.current, runID: id,
            started: Timestamp(nanoseconds: ended.map(\.began).min() ?? finished.nanoseconds), finished: finished,
            environment: EvidenceEnvironment(
                host: Host.name, target: try context.stateDirectory(), network: "", account: Operator.name,
                isSegregated: false))
        record.facts = AuditHead.facts(of: try context.auditHead())
        for rotation in ended { record.rotations.append(try part(rotation)) }
        return record
    }

    private func part(_ rotation: RotationRecord) throws(HoldfastError) -> EvidenceRotation {
        var part = EvidenceRotation(
            id: rotation.id, vault: rotation.secret.vault, secret: rotation.secret.name, policy: rotation.policy,
            strategy: rotation.strategy, trigger: rotation.trigger.rawValue, actor: rotation.actor,
            outcome: rotation.state.rawValue)
        part.reason = rotation.reason
        part.from = rotation.from
        part.to = rotation.to
        part.fromFingerprint = rotation.fromFingerprint
        part.toFingerprint = rotation.toFingerprint
        part.snapshot = rotation.kept?.snapshot
        part.isCompared = rotation.kept?.isCompared ?? false
        part.candidates = UInt64(max(0, rotation.candidates))
        part.facts = rotation.notes
        if let policy = planner.policies.first(where: { $0.name == rotation.policy }) {
            part.due = rotation.fromSince.map { Timestamp(nanoseconds: $0) + policy.period }
            part.nextDue = rotation.promoted.map { Timestamp(nanoseconds: $0) + policy.period }
        }
        part.steps = try journal.steps(of: rotation.id).suffix(EvidenceRotation.maximumSteps).map { step in
            EvidenceRotation.Step(
                state: String(step.state.prefix(64)), phase: step.phase.rawValue, at: step.at)
        }
        return part
    }
}

/// Bytes that come of a text alone.
private struct DigestEntropy: Entropy {
    private let digest: [UInt8]

    init(_ text: String) {
        let bytes = Array(text.utf8)
        digest = SHA256.digest(bytes.span.bytes).array
    }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        for index in buffer.indices { buffer[index] = digest[index % digest.count] }
    }
}
