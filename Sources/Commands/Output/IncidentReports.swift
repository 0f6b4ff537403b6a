// What a restore in an incident says at its end, and the JSON of its guide.

import Primitives
import Recovery
import Repository

enum IncidentText {
    static func show(_ outcome: IncidentOutcome, _ file: String?, on output: Output) throws(HoldfastError) {
        let record = outcome.record
        let attempt = record.facts["attempt"].flatMap { $0 == "1" ? nil : ", attempt \(ShownText.line($0))" } ?? ""
        try output.line("incident  \(record.verdict), record \(record.id)\(attempt)")
        for line in EvidenceText.summary(record) { try output.line(line) }
        if let unleft = outcome.unleft {
            output.warning("the evidence could not be left: \(ShownText.line(unleft.error.message))")
            let place = unleft.file.map { "It is in \(ShownText.name($0)): import it with `holdfast evidence import`." }
            output.console.line("hint: " + (place ?? "It is lost; note what is printed here."))
        } else if let evidence = outcome.evidence {
            try output.line("evidence  link \(evidence.number) of \(evidence.slot)")
        } else if let file {
            try output.line("evidence  \(ShownText.name(file)), signed by nobody: holdfast evidence import")
        }
    }
}

/// `holdfast.restore-guide/1`: what `--guide --dry-run` tells.
struct RestoreGuideReport: Encodable {
    let schema = "holdfast.restore-guide/1"
    let failedAt: String
    let sources: [Source]
    let sealed: Int
    let damaged: [DamagedObject]
    let seesAllEvidence: Bool
    /// Nil as long as no snapshot is chosen.
    var choice: Choice?

    struct Source: Encodable {
        let name, workload: String
        /// The newest first.
        let points: [Point]
        let lastDrill: Drill?
    }

    struct Point: Encodable {
        let snapshot, consistentAsOf: String
        let lostSeconds: Double
        let bytes: UInt64
        let flags: [String]
        let afterFailure: Bool
        /// `untried`, `proven` or `failed`, and when.
        let proof: String
        let provenAt: String?

        init(_ point: OfferedPoint) {
            snapshot = "\(point.snapshot.id)"
            consistentAsOf = "\(point.record.consistentAsOf)"
            lostSeconds = point.lost.inSeconds
            bytes = point.record.counts.bytes
            flags = point.record.flags
            afterFailure = point.isAfterFailure
            switch point.proof {
            case .untried: (proof, provenAt) = ("untried", nil)
            case .proven(let at): (proof, provenAt) = ("proven", "\(at)")
            case .failed(let at): (proof, provenAt) = ("failed", "\(at)")
            }
        }
    }

    struct Drill: Encodable {
        let finished: String
        let passed: Bool
        let seconds: Double?
        let bytes: UInt64?
    }

    struct Choice: Encodable {
        let source: String
        let point: Point
        let target: String?
        let expected: Expectation
        let plan: RestorePlanReport
        /// Attempts that were broken off.
        let brokenAttempts: Int
    }

    struct Expectation: Encodable {
        /// Nil when drills do not say.
        let seconds, lowSeconds, highSeconds: Double?
        let basis, confidence: String
        let drills: Int
        let scale, rSquared: Double?

        init(_ expectation: RestoreExpectation) {
            let estimate = expectation.estimate
            seconds = estimate.estimate?.inSeconds
            lowSeconds = estimate.low?.inSeconds
            highSeconds = estimate.high?.inSeconds
            basis = estimate.basis.rawValue
            confidence = estimate.confidence.rawValue
            drills = estimate.samples
            scale = estimate.scale
            rSquared = estimate.rSquared
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, failedAt, sources, sealed, damaged, seesAllEvidence, choice
    }

    init(_ overview: RecoveryOverview) {
        failedAt = "\(overview.failedAt)"
        sealed = overview.sealed
        damaged = overview.damaged.map { DamagedObject($0.object, $0.error) }
        seesAllEvidence = overview.seesAllEvidence
        sources = overview.sources.map { source in
            Source(
                name: source.name, workload: source.workload, points: source.points.map(Point.init),
                lastDrill: source.lastDrill.map {
                    Drill(
                        finished: "\($0.finished)", passed: $0.passed, seconds: $0.duration?.inSeconds,
                        bytes: $0.logicalBytes)
                })
        }
    }
}
