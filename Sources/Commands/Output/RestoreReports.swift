// The JSON of restore.

import Primitives
import Recovery
import Repository
import Workloads

/// `holdfast.restore-plan/1`.
struct RestorePlanReport: Encodable {
    let schema = "holdfast.restore-plan/1"
    let snapshot: String
    let source: String
    let files, directories, others: UInt64
    let bytes, zeroBytes, bytesAlreadyThere, bytesToWrite, bytesToFetch: UInt64
    let chunks, deltas, missing: UInt64
    let packs: Int
    let expectedSeconds: Double?

    private enum CodingKeys: String, CodingKey {
        case schema, snapshot, source, files, directories, others, bytes, zeroBytes, bytesAlreadyThere, bytesToWrite
        case bytesToFetch, chunks, deltas, missing, packs, expectedSeconds
    }

    init(_ plan: RestorePlan, expected: Double?) {
        snapshot = plan.snapshot.description
        source = plan.source
        files = plan.files
        directories = plan.directories
        others = plan.others
        bytes = plan.bytes
        zeroBytes = plan.zeroBytes
        bytesAlreadyThere = plan.bytesAlreadyThere
        bytesToWrite = plan.bytesToWrite
        bytesToFetch = plan.bytesToFetch
        chunks = plan.chunks
        deltas = plan.deltas
        missing = plan.missing
        packs = plan.packs.count
        expectedSeconds = expected
    }
}

/// `holdfast.restore/1`.
struct RestoreReport: Encodable {
    let schema = "holdfast.restore/1"
    let snapshot: String
    let isComplete: Bool
    let files, directories, others, hardLinks: UInt64
    let bytesWritten, bytesAlreadyThere, bytesFetched: UInt64
    let seconds: Double
    let damagedCount: UInt64
    let damaged: [Damaged]
    let failureCount: UInt64
    let failures: [Failure]
    /// Versions of secrets, and secrets, that are live and are not in the snapshot; the findings name them.
    let leftLiveCount: UInt64
    let warnings: [Failure]
    let ownersNotSet: Int
    let socketsSkipped: Int
    let notes: [String]
    /// What the target's kind verified.
    let findings: [Finding]
    /// The record of a restore in an incident.
    let incident: EvidenceReport?
    /// The record of the drill after it.
    var drill: EvidenceReport?
    /// The file with the record of the restore; nil when it is in the repository.
    let evidenceFile: String?

    struct Finding: Encodable {
        let severity, subject, message, hint: String

        init(_ finding: WorkloadFinding) {
            severity = finding.severity.rawValue
            subject = finding.subject
            message = finding.message
            hint = finding.hint
        }
    }

    struct Damaged: Encodable {
        struct Part: Encodable {
            let first, count: UInt64
            let pack: String?
        }

        let path: String
        let pathBytes: String?
        let code: String
        let message: String
        let parts: [Part]

        init(_ damaged: DamagedPath) {
            let text = PathText(damaged.path)
            path = text.path
            pathBytes = text.pathBytes
            code = damaged.error.code.rawValue
            message = damaged.error.message
            parts = damaged.parts.map { part in
                let count = part.range.upperBound - part.range.lowerBound
                return Part(first: part.range.lowerBound, count: count, pack: part.pack?.description)
            }
        }
    }

    struct Failure: Encodable {
        let path: String
        let pathBytes: String?
        let code: String?
        let message: String

        init(_ bytes: [UInt8], code: String?, message: String) {
            let text = PathText(bytes)
            path = text.path
            pathBytes = text.pathBytes
            self.code = code
            self.message = message
        }

        init(_ bytes: [UInt8], _ error: HoldfastError) {
            self.init(bytes, code: error.code.rawValue, message: error.message)
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, snapshot, isComplete, files, directories, others, hardLinks, bytesWritten, bytesAlreadyThere
        case bytesFetched, seconds, damagedCount, damaged, failureCount, failures, warnings, ownersNotSet
        case socketsSkipped, leftLiveCount, notes, findings, incident, drill, evidenceFile
    }

    init(
        _ result: RestoreResult, _ findings: [WorkloadFinding], snapshot: SnapshotID, seconds: Double,
        incident: EvidenceReport? = nil, evidenceFile: String? = nil
    ) {
        self.incident = incident
        self.evidenceFile = evidenceFile
        self.snapshot = snapshot.description
        isComplete = result.isComplete
        files = result.files
        directories = result.directories
        others = result.others
        hardLinks = result.hardLinks
        bytesWritten = result.bytesWritten
        bytesAlreadyThere = result.bytesAlreadyThere
        bytesFetched = result.bytesFetched
        self.seconds = seconds
        damagedCount = result.damagedCount
        damaged = result.damaged.map(Damaged.init)
        failureCount = result.failureCount
        failures = result.failures.map { Failure($0.path, $0.error) }
        leftLiveCount = result.leftLiveCount
        warnings = result.report.warnings.map { Failure($0.path, code: nil, message: $0.message) }
        ownersNotSet = result.report.ownersNotSet
        socketsSkipped = result.report.socketsSkipped
        notes = result.notes
        self.findings = findings.map(Finding.init)
    }
}

/// What had come of a restore that did not come to its end, beside the failure.
struct UnfinishedRestoreReport: Encodable {
    let damagedCount, failureCount, leftLiveCount: UInt64
    let damaged: [RestoreReport.Damaged]
    let failures: [RestoreReport.Failure]
    let findings: [RestoreReport.Finding]

    private enum CodingKeys: String, CodingKey {
        case damagedCount, failureCount, leftLiveCount, damaged, failures, findings
    }

    init(_ result: RestoreResult, _ findings: [WorkloadFinding]) {
        damagedCount = result.damagedCount
        failureCount = result.failureCount
        leftLiveCount = result.leftLiveCount
        damaged = result.damaged.map(RestoreReport.Damaged.init)
        failures = result.failures.map { RestoreReport.Failure($0.path, $0.error) }
        self.findings = findings.map(RestoreReport.Finding.init)
    }
}

extension Output {
    /// With `--json` the failure that follows has it as `unfinished`.
    func keep(unfinished result: RestoreResult, _ findings: [WorkloadFinding]) {
        keep(unfinished: UnfinishedRestoreReport(result, findings))
    }
}
