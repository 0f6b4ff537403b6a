// What ran and did not run, sealed into a repository.

import Primitives
import Repository
import Scheduling
import State
import StateSupport
import TestSupport
import Testing

@testable import Commands

@Suite("The run ledger")
struct RunLedgerTests {
    private let clock: HandClock
    private let test: TestRepository
    private let store: MemoryRunStore
    private let holder = RunHolder(host: "one", process: 1)

    init() throws {
        // 2026-01-01, noon.
        clock = HandClock(Timestamp(seconds: 1_767_268_800))
        test = try TestRepository(clock: clock)
        store = Self.store(clock, identity: 7)
    }

    private static func store(_ clock: HandClock, identity: Int64) -> MemoryRunStore {
        MemoryRunStore(clock: RunStoreClock(boot: "boot", uptime: { clock.uptime() }), identity: identity)
    }

    private func ledger(
        _ repository: Repository? = nil, of store: MemoryRunStore? = nil, lines: Int = 4096
    ) -> RunLedger {
        let store = store ?? self.store
        return RunLedger(
            repository: repository ?? test.repository, history: store, identity: store.identity, host: "one",
            state: "/state", linesInSegment: lines)
    }

    private func key(_ job: String) -> RunKey { RunKey(job: JobName(job), scheduled: clock.now()) }

    private func run(_ job: String, on store: MemoryRunStore? = nil, _ outcome: RunOutcome = .succeeded) throws {
        let store = store ?? self.store
        let claim = try store.begin(key(job), .schedule, holder: holder, lease: .seconds(60), at: clock.now())
        try store.complete(claim, RunCompletion(outcome), at: clock.now())
    }

    /// Each segment as its period in hours since the first midnight, and its lines.
    private func segments() throws -> [String] {
        let midnight = Timestamp(seconds: 1_767_225_600)
        return try RunLedger.segments(of: test.repository).map { segment in
            let record = try #require(segment.record)
            let (from, to) = (record.started.since(midnight).inSeconds, record.finished.since(midnight).inSeconds)
            let lines = record.runs.map { $0.job + ":" + ($0.reason.isEmpty ? $0.outcome : $0.reason) }
            return "\(Int(from / 3600))-\(Int(to / 3600)) " + lines.joined(separator: " ")
        }
    }

    @Test("has each day once, with what did not run and why, and says nothing of before the first line")
    func days() throws {
        try run("nightly")
        clock.advance(by: .seconds(1))
        try store.record(
            [NonRun(first: clock.now(), last: clock.now() + .seconds(3600), count: 2, reason: .blackout)],
            of: JobName("hourly"), .schedule, at: clock.now())
        #expect(try ledger().seal(at: clock.now()).isEmpty)
        clock.advance(by: .seconds(12 * 3600 + 598))
        #expect(try ledger().seal(at: clock.now()).isEmpty)
        clock.advance(by: .seconds(1))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        #expect(try ledger().seal(at: clock.now()).isEmpty)
        #expect(try segments() == ["0-24 nightly:succeeded hourly:blackout"])
        let line = try #require(try RunLedger.segments(of: test.repository)[0].record?.runs.last)
        #expect(line.count == 2 && line.last == line.due + .seconds(3600) && line.trigger == "schedule")
        // Three days, of which two have nothing: the next segment vouches for them.
        clock.advance(by: .seconds(2 * 86_400))
        try run("nightly", .failed)
        clock.advance(by: .seconds(2 * 86_400))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        #expect(try segments() == ["0-24 nightly:succeeded hourly:blackout", "24-96 nightly:failed"])
    }

    @Test("carries the head of the audit log of its state, and none where there is no log")
    func auditHead() throws {
        let head = AuditHead(log: Bytes16(w0: 1, w1: 2), count: 7, digest: Bytes32(w0: 3))
        for (number, audit) in [nil, head].enumerated() {
            try run("job-\(number)")
            clock.advance(by: .seconds(86_400))
            var ledger = ledger()
            ledger.audit = audit
            let facts = try #require(try ledger.seal(at: clock.now()).first?.record?.facts)
            #expect(facts[AuditHead.fact].flatMap { AuditHead(text: $0) } == audit && facts["state"] == "7")
        }
    }

    @Test("has a run in the day of its end, and no run that is under way")
    func overMidnight() throws {
        clock.advance(by: .seconds(11 * 3600))
        let claim = try store.begin(
            key("long"), .schedule, holder: holder, lease: .seconds(86_400), at: clock.now())
        clock.advance(by: .seconds(2 * 3600))
        #expect(try ledger().seal(at: clock.now()).isEmpty)
        var completion = RunCompletion(.partial)
        completion.message = String(repeating: "ä", count: 2000)
        try store.complete(claim, completion, at: clock.now())
        clock.advance(by: .seconds(86_400))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        #expect(try segments() == ["24-48 long:partial"])
        let line = try #require(try RunLedger.segments(of: test.repository)[0].record?.runs.first)
        #expect(line.message == String(repeating: "ä", count: 512) && line.attempt == 1 && line.host == "one")
        #expect(line.ended == line.began.map { $0 + .seconds(2 * 3600) })
    }

    @Test("divides a day with more lines than a segment takes, and loses none")
    func divided() throws {
        for number in 0..<40 {
            try run("job-\(number)")
            clock.advance(by: .seconds(60))
        }
        clock.advance(by: .seconds(86_400))
        try run("next")
        clock.advance(by: .seconds(86_400))
        let made = try ledger(lines: 7).seal(at: clock.now())
        #expect(made.count > 6 && made.allSatisfy { $0.record.map { $0.runs.count <= 7 } == true })
        let records = try RunLedger.segments(of: test.repository).compactMap(\.record)
        #expect(records.flatMap { $0.runs.map(\.job) } == (0..<40).map { "job-\($0)" } + ["next"])
        // Each begins where the one before it ends, so that nothing can be missing between two.
        #expect(zip(records, records.dropFirst()).allSatisfy { $0.finished == $1.started })
        #expect(records.last?.finished == Timestamp(seconds: 1_767_225_600 + 2 * 86_400))
        #expect(try ledger(lines: 7).seal(at: clock.now()).isEmpty)
    }

    @Test("takes any number of lines of one instant, and goes on behind them")
    func oneInstant() throws {
        for number in 0..<20 {
            try store.record(
                [NonRun(first: clock.now(), last: clock.now(), count: 1, reason: .missed)],
                of: JobName("job-\(number)"), .schedule, at: clock.now())
        }
        clock.advance(by: .seconds(86_400))
        try run("next")
        clock.advance(by: .seconds(86_400))
        #expect(try ledger(lines: 7).seal(at: clock.now()).count == 4)
        let records = try RunLedger.segments(of: test.repository).compactMap(\.record)
        #expect(Set(records.flatMap { $0.runs.map(\.job) }) == Set((0..<20).map { "job-\($0)" } + ["next"]))
        #expect(records.reduce(0) { $0 + $1.runs.count } == 21)
        #expect(try ledger(lines: 7).seal(at: clock.now()).isEmpty)
    }

    @Test("of another state on the same host begins with its own first line")
    func anotherState() throws {
        let other = Self.store(clock, identity: 8)
        try run("one")
        try run("two", on: other)
        clock.advance(by: .seconds(86_400))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        #expect(try ledger(of: other).seal(at: clock.now()).count == 1)
        #expect(try segments().sorted() == ["0-24 one:succeeded", "0-24 two:succeeded"])
        #expect(try ledger(of: other).seal(at: clock.now()).isEmpty)
    }

    @Test("of a clock that was years ahead does not keep later days out")
    func clockAhead() throws {
        try run("one")
        clock.advance(by: .seconds(3600 * 86_400))
        try run("ahead")
        clock.advance(by: .seconds(86_400))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        clock.advance(by: .seconds(-3600 * 86_400))
        #expect(try ledger().seal(at: clock.now()).count == 1)
        #expect(try segments().map { $0.split(separator: " ")[1] } == ["one:succeeded", "ahead:succeeded"])
    }

    @Test("is signed by a key with the right to attest alone")
    func rights() throws {
        try run("one")
        clock.advance(by: .seconds(86_400))
        let writer = try test.adding(.writer, password: "w")
        let error = #expect(throws: HoldfastError.self) { try ledger(writer).seal(at: clock.now()) }
        #expect(error?.code == .notPermitted && error?.hint.contains("keys grant") == true)
        let attesting = try test.adding(.writer, rights: .attest, password: "a")
        #expect(try ledger(attesting).seal(at: clock.now()).count == 1)
    }

    @Test("does not count as evidence of a recovery, and latest does not name it")
    func kinds() throws {
        try run("one")
        clock.advance(by: .seconds(86_400))
        let made = try ledger().seal(at: clock.now())
        #expect(made.allSatisfy { $0.record?.provesRecovery == false })
        let listing = try test.repository.evidence()
        let error = #expect(throws: HoldfastError.self) { try test.repository.findEvidence("latest", in: listing) }
        #expect(error?.code == .evidenceNotFound)
        #expect(try test.repository.findEvidence(made[0].id.description, in: listing).id == made[0].id)
    }
}
