// What every run store does with the ends of runs, beside their lines; RunStoreUnderTest.swift says who runs it.

import Primitives
import Scheduling
import State
import TestSupport
import TestThreads
import Testing

@Suite("The ends of runs in every run store", .waiting)
struct RunEndConformance {
    private let noon = Timestamp(seconds: 1_800_000_000)
    private let holder = RunHolder(host: "one", process: 100)

    private func key(_ hours: Int64) -> RunKey {
        RunKey(job: JobName("nightly"), scheduled: Timestamp(seconds: noon.seconds + hours * 3600))
    }

    @Test("fires and resolves the alert of a job with the ends of its runs", arguments: RunStoreUnderTest.all)
    func endAlerts(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        func end(_ hour: Int64, _ outcome: RunOutcome, again: Bool = false, check: CheckExtent? = nil) throws {
            let claim = try store.begin(key(hour), .schedule, holder: holder, lease: .seconds(30), at: noon)
            var completion = RunCompletion(outcome, message: "number \(hour)")
            if again { completion.retryAt = noon + .seconds(60) }
            completion.check = check.map { CheckNote($0, repository: "/main") }
            for _ in 0..<2 { try store.complete(claim, completion, at: noon + .seconds(hour)) }
        }
        func firing() throws -> [String] {
            try store.alerts(all: false).map { "\($0.key) \($0.severity.rawValue) \($0.summary)" }
        }
        let alert = "job/nightly/failed"
        try end(0, .failed, again: true)
        #expect(try firing().isEmpty)
        try end(1, .failed)
        #expect(try firing() == ["\(alert) warning job nightly ended as failed: number 1"])
        try end(2, .succeeded)
        #expect(try firing().isEmpty)
        try end(3, .checkFailed, check: .everything)
        #expect(try firing() == ["\(alert) critical job nightly ended as check-failed: number 3"])
        // It has not looked at what was found damaged.
        try end(4, .succeeded, check: .structure)
        #expect(try firing().count == 1)
        try end(5, .succeeded, check: .everything)
        #expect(try firing().isEmpty)
    }

    @Test("notes an end that comes late when it comes, and keeps when it was", arguments: RunStoreUnderTest.all)
    func late(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        var completion = RunCompletion(.succeeded)
        completion.ended = noon + .seconds(5)
        let written = noon + .seconds(86_400)
        for _ in 0..<2 { try store.complete(claim, completion, at: written) }
        #expect(try store.history(HistoryQuery(until: written)).isEmpty)
        let lines = try store.history(HistoryQuery(from: written))
        #expect(lines.map(\.ended) == [noon + .seconds(5)])
        #expect(try store.memories(of: [key(0).job], at: noon)[key(0).job]?.lastSuccess?.ended == noon + .seconds(5))
    }
}
