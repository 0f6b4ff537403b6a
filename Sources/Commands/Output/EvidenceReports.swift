// Evidence in JSON. Names follow the record; durations are seconds.

import Primitives
import Repository

/// `holdfast.evidence/1`: a whole record.
struct EvidenceReport: Encodable {
    let schema = "holdfast.evidence/1"
    /// Nil for a record that is not in the repository.
    let link: EvidenceLink?
    let id, kind, occasion, verdict, plan: String
    let planSha256: String?
    let `operator`: String
    let approver: String?
    let toolVersion, runID, started, finished: String
    let environment: Environment
    let members: [Member]
    let phases: [Phase]
    let checks: [Check]
    let findings: [Finding]
    let failedAt: String?
    let rpoObjectiveSeconds, rpoAchievedSeconds, rtoObjectiveSeconds, rtoMeasuredSeconds, memberSkewSeconds: Double?
    let sabotage: String?
    let heads: [SnapshotReference]
    let facts: [String: String]
    /// Of a segment of the run ledger alone, as in `schedule history`.
    let runs: [HistoryLine]?
    let rotations: [EvidenceRotationReport]?

    struct Environment: Encodable {
        let host, target, network, account: String
        let segregated: Bool
        let hardware: [String: String]
        let teardownAt: String?
    }

    struct SnapshotReference: Encodable {
        let sourceTag, id: String
        let sequence: UInt64
        let sha256: String

        init(_ snapshot: EvidenceSnapshot) {
            sourceTag = snapshot.tag.description
            id = snapshot.id.description
            sequence = snapshot.sequence
            sha256 = Hex.encode(snapshot.digest.array)
        }
    }

    struct Member: Encodable {
        let name, source, workload, verdict, selection, wanted, reached: String
        let snapshot: SnapshotReference?
        let consistentAsOf, durableAt, newestData: String?
        let after: [String]
        let logicalBytes, storedBytes, logBytes: UInt64?
        let rpoObjectiveSeconds, rpoAchievedSeconds, rpoErrorBarSeconds: Double?
        let rtoObjectiveSeconds, rtoMeasuredSeconds: Double?
        let facts: [String: String]
    }

    struct Phase: Encodable {
        let name, member: String
        /// Nil for what is declared.
        let start: String?
        let durationSeconds: Double
        let measured: Bool
        let bytes: UInt64?
        let after: [UInt64]
    }

    struct Check: Encodable {
        let id, member, kind, statement, expected, actual, verdict: String
        let pass: Bool
        let started: String?
        let durationSeconds: Double?
        let evidenceSha256: String
        let outputBytes: UInt64
    }

    struct Finding: Encodable {
        let severity, object, message: String
    }

    private enum CodingKeys: String, CodingKey {
        case schema, link, id, kind, occasion, verdict, plan, planSha256, `operator`, approver, toolVersion, runID
        case started, finished, environment, members, phases, checks, findings, failedAt, rpoObjectiveSeconds
        case rpoAchievedSeconds, rtoObjectiveSeconds, rtoMeasuredSeconds, memberSkewSeconds, sabotage, heads, facts
        case runs, rotations
    }

    init(_ object: EvidenceObject?, _ record: EvidenceRecord, signer: String) {
        link = object.map { EvidenceLink($0, signer: signer) }
        id = record.id.description
        kind = "\(record.kind)"
        occasion = "\(record.occasion)"
        verdict = "\(record.verdict)"
        plan = record.plan
        planSha256 = record.planDigest.map { Hex.encode($0.array) }
        `operator` = record.operator
        approver = record.approver
        toolVersion = record.toolVersion
        runID = record.runID.description
        started = record.started.description
        finished = record.finished.description
        let place = record.environment
        environment = Environment(
            host: place.host, target: place.target, network: place.network, account: place.account,
            segregated: place.isSegregated, hardware: place.hardware, teardownAt: place.teardownAt?.description)
        members = record.members.map(Self.member)
        phases = record.phases.map(Self.phase)
        checks = record.checks.map { check in
            Check(
                id: check.id, member: check.member, kind: check.kind, statement: check.statement,
                expected: check.expected, actual: check.actual, verdict: "\(check.verdict)",
                pass: check.verdict == .passed, started: check.started?.description,
                durationSeconds: check.duration?.inSeconds, evidenceSha256: Hex.encode(check.outputDigest.array),
                outputBytes: check.outputBytes)
        }
        findings = record.findings.map { Finding(severity: $0.severity, object: $0.object, message: $0.message) }
        failedAt = record.failedAt?.description
        rpoObjectiveSeconds = record.rpoObjective?.inSeconds
        rpoAchievedSeconds = record.rpoAchieved?.inSeconds
        rtoObjectiveSeconds = record.rtoObjective?.inSeconds
        rtoMeasuredSeconds = record.rtoMeasured?.inSeconds
        memberSkewSeconds = record.memberSkew?.inSeconds
        sabotage = record.sabotage
        heads = record.heads.map(SnapshotReference.init)
        facts = record.facts
        runs = record.kind == .runs ? record.runs.map { HistoryLine($0, host: place.host) } : nil
        rotations = record.kind == .rotation ? record.rotations.map { EvidenceRotationReport($0) } : nil
    }

    private static func member(_ member: EvidenceMember) -> Member {
        Member(
            name: member.name, source: member.source, workload: member.workload, verdict: "\(member.verdict)",
            selection: member.selection, wanted: member.wanted, reached: member.reached,
            snapshot: member.snapshot.map(SnapshotReference.init), consistentAsOf: member.consistentAsOf?.description,
            durableAt: member.durableAt?.description, newestData: member.newestData?.description, after: member.after,
            logicalBytes: member.logicalBytes, storedBytes: member.storedBytes, logBytes: member.logBytes,
            rpoObjectiveSeconds: member.rpoObjective?.inSeconds, rpoAchievedSeconds: member.rpoAchieved?.inSeconds,
            rpoErrorBarSeconds: member.rpoErrorBar?.inSeconds, rtoObjectiveSeconds: member.rtoObjective?.inSeconds,
            rtoMeasuredSeconds: member.rtoMeasured?.inSeconds, facts: member.facts)
    }

    private static func phase(_ phase: EvidencePhase) -> Phase {
        var start: String?
        if case .measured(let instant, _) = phase.timing { start = instant.description }
        return Phase(
            name: phase.name.rawValue, member: phase.member, start: start, durationSeconds: phase.duration.inSeconds,
            measured: phase.isMeasured, bytes: phase.bytes, after: phase.after)
    }
}

/// Where a record stands and who signed it.
struct EvidenceLink: Encodable {
    let slot, signer: String
    let number, epoch: UInt32
    /// `witnessed` or `imported`.
    let origin: String
    let stored: String
    /// SHA-256 of the link before; nil for the first.
    let previousSha256: String?

    init(_ object: EvidenceObject, signer: String) {
        slot = object.slot.description
        self.signer = signer
        number = object.number
        epoch = object.epoch
        origin = "\(object.origin)"
        stored = object.stored.description
        previousSha256 = object.previous.isZero ? nil : Hex.encode(object.previous.array)
    }
}

/// A record in a list; all but the first three are missing when this key may not read it.
struct EvidenceSummary: Encodable {
    let id: String
    let link: EvidenceLink
    let sha256: String
    var kind, occasion, verdict, plan: String?
    var started, finished, sabotage: String?
    var members: [String]?
    var rpoAchievedSeconds, rtoMeasuredSeconds: Double?

    init(_ evidence: Evidence, _ roster: [SlotID: Member]) {
        id = evidence.id.description
        link = EvidenceLink(evidence.object, signer: roster[evidence.slot]?.label ?? "")
        sha256 = Hex.encode(evidence.digest.array)
        guard let record = evidence.record else { return }
        kind = "\(record.kind)"
        occasion = "\(record.occasion)"
        verdict = "\(record.verdict)"
        plan = record.plan
        started = record.started.description
        finished = record.finished.description
        sabotage = record.sabotage
        members = record.members.map(\.name)
        rpoAchievedSeconds = record.rpoAchieved?.inSeconds
        rtoMeasuredSeconds = record.rtoMeasured?.inSeconds
    }
}

/// `holdfast.evidence-list/1`.
struct EvidenceListReport: Encodable {
    let schema = "holdfast.evidence-list/1"
    let repository: String
    /// What all signatures hang on; note it, for `evidence verify --admin-key`.
    let adminKey: String
    let evidence: [EvidenceSummary]
    let damaged: [DamagedObject]

    private enum CodingKeys: String, CodingKey { case schema, repository, adminKey, evidence, damaged }
}

/// `holdfast.evidence-verify/1`.
struct EvidenceVerifyReport: Encodable {
    let schema = "holdfast.evidence-verify/1"
    let evidence: EvidenceReport
    let isGood: Bool
    let problems: [Problem]
    let adminKey: String
    /// False when the admin key is only what the file says.
    let isAdminKeyTrusted: Bool
    /// Nil for a file.
    let chainLength: UInt32?
    /// Whether a later snapshot or chain tells of it; nil for a file.
    let isWitnessed: Bool?
    /// The signer's key was removed, as far as the grants at hand say.
    let isSignerRevoked: Bool

    struct Problem: Encodable {
        let object, message: String
    }

    private enum CodingKeys: String, CodingKey {
        case schema, evidence, isGood, problems, adminKey, isAdminKeyTrusted, chainLength, isWitnessed
        case isSignerRevoked
    }
}

/// `holdfast.evidence-import/1`.
struct EvidenceImportReport: Encodable {
    let schema = "holdfast.evidence-import/1"
    let id, slot: String
    let number: UInt32
    /// False when it was there already.
    let isNew: Bool

    private enum CodingKeys: String, CodingKey { case schema, id, slot, number, isNew }
}

/// `holdfast.evidence-export/1`.
struct EvidenceExportReport: Encodable {
    let schema = "holdfast.evidence-export/1"
    let id, file, adminKey: String

    private enum CodingKeys: String, CodingKey { case schema, id, file, adminKey }
}
