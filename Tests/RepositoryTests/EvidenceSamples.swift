// Evidence records with every field in use, for tests of the format and of chains.

import Primitives
import Repository

enum EvidenceSamples {
    static func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: 1_767_225_600 + seconds, nanoseconds: 5) }

    /// A record in which nothing is left empty.
    static func full(_ number: UInt64 = 1) -> EvidenceRecord {
        var environment = EvidenceEnvironment(
            host: "drill-1", target: "postgresql 15.9", network: "namespace", account: "drill", isSegregated: true)
        environment.hardware = ["cpu": "4 cores", "disk": "nvme"]
        environment.teardownAt = time(90)
        var record = EvidenceRecord(
            id: ULID(Bytes16(w0: 0x019B_0000_0000_0000, w1: number)), kind: .incident, occasion: .gameDay,
            verdict: .failed, operator: "ada", toolVersion: "0.0", runID: ULID(Bytes16(w0: 7, w1: 8)),
            started: time(0), finished: time(80), environment: environment)
        record.plan = "shop"
        record.planDigest = Bytes32(w0: 21)
        record.approver = "grace"
        record.members = [vault, database]
        record.phases = [
            EvidencePhase(.detect, .declared(.seconds(600))),
            EvidencePhase(
                .fetch, member: "database", .measured(start: time(1), duration: .milliseconds(2500)), bytes: 1 << 30,
                after: [0]),
            EvidencePhase(
                RecoveryPhase(rawValue: "later"), .measured(start: time(4), duration: .zero), after: [0, 1]),
        ]
        var check = EvidenceCheck(
            id: "rows", member: "database", kind: "sql", statement: "select count(*) from orders", expected: ">= 10",
            actual: "9", verdict: .failed, outputDigest: Bytes32(w0: 22), outputBytes: 2)
        check.started = time(60)
        check.duration = .milliseconds(12)
        check.unknown[99] = [1, 2]
        record.checks = [
            check,
            EvidenceCheck(
                id: "sum", member: "", kind: "reconciliation", statement: "", expected: "", actual: "größer",
                verdict: .notRun, outputDigest: Bytes32(), outputBytes: 0),
        ]
        record.findings = [EvidenceFinding(severity: "error", object: "orders", message: "rows are missing")]
        record.failedAt = time(-60)
        record.rpoObjective = .seconds(3600)
        record.rpoAchieved = .seconds(61)
        record.rtoObjective = .seconds(7200)
        record.rtoMeasured = .seconds(80)
        record.sabotage = "page"
        record.heads = [
            EvidenceSnapshot(
                tag: SourceTag(Bytes16(w0: 1)), id: ULID(Bytes16(w0: 2)), sequence: 3, digest: Bytes32(w0: 4))
        ]
        record.facts = ["limit.disk": "10G", "é": "e"]
        record.unknown[1000] = [9]
        return record
    }

    /// A segment of the run ledger in which nothing is left empty.
    static var ledger: EvidenceRecord {
        var record = EvidenceRecord(
            id: ULID(Bytes16(w0: 0x019B_0000_0000_0000, w1: 9)), kind: .runs, occasion: .automatic, verdict: .passed,
            operator: "ada", toolVersion: "0.0", runID: ULID(Bytes16(w0: 7, w1: 9)), started: time(0),
            finished: time(86_400),
            environment: EvidenceEnvironment(
                host: "drill-1", target: "/state", network: "", account: "ada", isSegregated: false))
        var run = EvidenceRun(
            job: "nightly", due: time(60), trigger: "schedule", outcome: "failed", reason: "")
        run.attempt = 2
        run.fence = 300
        run.host = "drill-1"
        run.began = time(61)
        run.ended = time(90)
        run.code = "no-space"
        run.message = "größer"
        run.unknown[99] = [1]
        var missed = EvidenceRun(job: "hourly", due: time(0), trigger: "manual", outcome: "", reason: "blackout")
        missed.last = time(3600)
        missed.count = 2
        record.runs = [missed, run]
        record.facts = ["state": "-7"]
        return record
    }

    static var rotations: EvidenceRecord {
        var record = EvidenceRecord(
            id: ULID(Bytes16(w0: 0x019B_0000_0000_0000, w1: 11)), kind: .rotation, occasion: .manual, verdict: .failed,
            operator: "ada", toolVersion: "0.0", runID: ULID(Bytes16(w0: 7, w1: 11)), started: time(0),
            finished: time(60),
            environment: EvidenceEnvironment(
                host: "drill-1", target: "/state", network: "", account: "ada", isSegregated: false))
        var rotation = EvidenceRotation(
            id: "00112233445566778899aabbccddeeff", vault: "embedded:/secrets.vault", secret: "app/größe",
            policy: "tokens", strategy: "dual-user", trigger: "compromise", actor: "ada", outcome: "done")
        rotation.reason = "INC-204"
        rotation.from = "3"
        rotation.to = "00112233445566778899aabbccddeeff"
        rotation.fromFingerprint = "0123456789abcdef"
        rotation.toFingerprint = "fedcba9876543210"
        rotation.snapshot = "01J0000000000000000000000"
        rotation.isCompared = true
        rotation.due = time(-60)
        rotation.nextDue = time(86_400)
        rotation.candidates = 2
        rotation.steps = [
            .init(state: "staged", phase: "intent", at: time(1)), .init(state: "staged", phase: "done", at: time(2)),
        ]
        rotation.facts = ["oldRefused": "yes"]
        rotation.unknown[99] = [1]
        let other = EvidenceRotation(
            id: "1", vault: "v", secret: "s", policy: "p", strategy: "value-only", trigger: "schedule", actor: "a",
            outcome: "rolled-back")
        record.rotations = [rotation, other]
        return record
    }

    private static var vault: EvidenceMember {
        EvidenceMember(name: "vault", source: "secrets", workload: "vault", selection: "latest", verdict: .interrupted)
    }

    private static var database: EvidenceMember {
        var member = EvidenceMember(
            name: "database", source: "shop", workload: "postgres", selection: "worst-replay", verdict: .failed)
        member.snapshot = EvidenceSnapshot(
            tag: SourceTag(Bytes16(w0: 5)), id: ULID(Bytes16(w0: 6)), sequence: 7, digest: Bytes32(w0: 8))
        member.wanted = "2026-01-01T00:00:00Z"
        member.consistentAsOf = time(-120)
        member.durableAt = time(-100)
        member.reached = "0/3000148"
        member.newestData = time(-121)
        member.after = ["vault"]
        member.logicalBytes = 1 << 40
        member.storedBytes = 1 << 30
        member.logBytes = 0
        member.rpoObjective = .seconds(60)
        member.rpoAchieved = .seconds(61)
        member.rpoErrorBar = .seconds(1)
        member.rtoObjective = .seconds(3600)
        member.rtoMeasured = .seconds(79)
        member.facts = ["server": "15.9"]
        member.unknown[50] = [1]
        return member
    }

    /// A drill that passed.
    static func passed(_ number: UInt64) -> EvidenceRecord {
        var record = full(number)
        record.kind = .drill
        record.verdict = .passed
        record.sabotage = nil
        for place in record.members.indices { record.members[place].verdict = .passed }
        return record
    }
}
