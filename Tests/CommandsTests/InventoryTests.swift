// What is declared to be protected, sealed beside the run ledger.

import Primitives
import Repository
import Scheduling
import TestSupport
import Testing

@testable import Commands

@Suite("The inventory")
struct InventoryTests {
    private let clock = HandClock(Timestamp(seconds: 1_767_268_800))
    private let test: TestRepository

    init() throws { test = try TestRepository(clock: clock) }

    private func job(_ name: String, every: Int64, _ action: JobAction) -> Job {
        Job(
            name: JobName(name), action: action,
            schedule: Schedule(text: "every \(every)s", rule: .every(every), zone: .utc))
    }

    private func seal(_ jobs: [Job], state: Int64 = 7) throws -> EvidenceRecord? {
        try Inventory(
            repository: test.repository, configuration: nil, jobs: jobs, place: RepositoryPlace(location: "memory"),
            identity: state, host: "one", state: "/state"
        ).seal(until: clock.now(), segments: [], at: clock.now())?.record
    }

    @Test("begins where the one before it of the same state ends, and says how often each job was due since")
    func periods() throws {
        let jobs = [
            job("hourly", every: 3600, .backup(sources: ["app"])), job("scrub", every: 86_400, .check(.everything)),
            job("shape", every: 86_400, .check(.structure)),
        ]
        clock.advance(by: .seconds(86_400))
        // Without a snapshot there is nothing to begin with.
        #expect(try seal(jobs) == nil)
        try commit("app")
        clock.advance(by: .seconds(1800))
        let first = try #require(try seal(jobs))
        #expect(first.jobs.map(\.due) == [nil, nil, nil] && first.jobs.map(\.readsData) == [false, true, false])
        #expect(first.sources.map(\.name) == ["app"] && first.sources[0].isDeclared == false)
        #expect(first.points.count == 1 && first.facts["covers.runs"] == nil)
        #expect(try seal(jobs) == nil)
        clock.advance(by: .seconds(86_400))
        var changed = jobs
        changed[1] = job("scrub", every: 43_200, .check(.everything))
        changed[2].isEnabled = false
        let second = try #require(try seal(changed))
        #expect(second.started == first.finished && second.finished == clock.now())
        #expect(second.jobs.map(\.due) == [24, nil, nil] && second.points.isEmpty)
        #expect(second.facts["covers.runs"] == "yes" && second.sources[0].newest == first.points[0])
        // Another state has a story of its own.
        #expect(try seal(jobs, state: 8)?.jobs.map(\.due) == [nil, nil, nil])
        clock.advance(by: .seconds(7200))
        #expect(try seal(changed)?.jobs.map(\.due) == [2, 0, nil])
    }

    @Test("names the exceptions that are open")
    func exceptions() throws {
        try commit("app")
        clock.advance(by: .seconds(60))
        func attest(_ number: UInt64, _ facts: [String: String]) throws -> Evidence {
            let id = ULID(Bytes16(w0: 0x019B_0000_0000_0000, w1: number))
            var record = EvidenceRecord(
                id: id, kind: .exception, occasion: .manual, verdict: .passed, operator: "ada", toolVersion: "0",
                runID: id, started: clock.now(), finished: clock.now(),
                environment: EvidenceEnvironment(
                    host: "one", target: "", network: "", account: "ada", isSegregated: false))
            record.facts = facts
            return try test.repository.attest(record)
        }
        let closed = try attest(1, ["exception.finding": "a"])
        let open = try attest(2, ["exception.finding": "b"])
        _ = try attest(3, ["exception.closes": closed.id.description])
        #expect(try seal([])?.openExceptions == [open.head])
    }

    private func commit(_ source: String) throws {
        let session = try WriterSession(test.repository, tag: try test.repository.tag(ofSource: source))
        var record = try TestRepository.record("dir")
        record.source = source
        (record.started, record.consistentAsOf, record.finished) = (clock.now(), clock.now(), clock.now())
        try session.flush()
        _ = try session.commit(record, previous: nil)
        session.close()
    }
}
