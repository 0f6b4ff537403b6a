// What of the history stays, whatever the clock shows.

import Primitives
import Scheduling
import State
import TestSupport
import Testing

@Suite("The history of runs")
struct ThinningTests {
    private let directory = TemporaryDirectory()
    private let noon = Timestamp(seconds: 1_800_000_000)
    private let day = Duration.seconds(86_400)

    private func open() throws -> SQLiteRunStore {
        try SQLiteRunStore(
            path: directory.path + "/runs.sqlite", clock: RunStoreClock(boot: "one") { .seconds(10) })
    }

    /// Runs `count` runs of a job, a second apart, and says what they are called.
    @discardableResult
    private func run(_ count: Int64, in store: SQLiteRunStore, at now: Timestamp) throws -> [RunKey] {
        try (0..<count).map { second in
            let key = RunKey(job: JobName("a"), scheduled: Timestamp(seconds: now.seconds + second))
            let holder = RunHolder(host: "one", process: 1)
            let claim = try store.begin(key, .manual, holder: holder, lease: .seconds(30), at: key.scheduled)
            var completion = RunCompletion(.succeeded)
            completion.output = "said"
            try store.complete(claim, completion, at: key.scheduled)
            return key
        }
    }

    private func kept(_ store: SQLiteRunStore, before end: Timestamp) throws -> Int {
        try store.history(HistoryQuery(until: end, limit: 1_000_000)).count
    }

    @Test("stays while a clock is years ahead, and is thinned out when the new time has lasted a week")
    func ahead() throws {
        let store = try open()
        let keys = try run(100, in: store, at: noon)
        let wrong = noon + day * 500
        for hours in 0..<20 { try run(70, in: store, at: wrong + .seconds(Int64(hours) * 3600)) }
        #expect(try kept(store, before: wrong) == 100)
        #expect(try store.output(of: keys[0])?.output == "said")
        // Set right, and then ahead again: it was wrong each time.
        try run(70, in: store, at: noon + day)
        try run(70, in: store, at: wrong + day * 6)
        #expect(try kept(store, before: wrong) == 170)
        // A machine that stood in a store room for as long.
        try run(70, in: store, at: wrong + day * 14)
        #expect(try kept(store, before: wrong) == 0)
        #expect(try store.output(of: keys[0]) == nil)
    }

    @Test("stays until it is sealed, where it is sealed at all")
    func unsealed() throws {
        let store = try open()
        try store.noteSealed(until: noon)
        let many = Int64(HistoryLimits.lines) + 500
        let instants = (0..<many).map { noon + .seconds($0) }
        let nonRuns = instants.map { NonRun(first: $0, last: $0, count: 1, reason: .paused) }
        try store.record(nonRuns, of: JobName("a"), .schedule, at: noon + day / 2)
        func takeTokens() throws { for _ in 0..<64 { _ = try store.beginCheck(at: noon + day / 2) } }
        try takeTokens()
        #expect(try kept(store, before: noon + day) == Int(many))
        try store.noteSealed(until: noon + day)
        try takeTokens()
        #expect(try kept(store, before: noon + day) == HistoryLimits.lines)
        // Nor does age take what is not sealed, until nobody can seal it any more.
        for days in Int64(1)...60 { _ = try store.beginCheck(at: noon + day * Int(days * 10)) }
        try store.noteSealed(until: noon)
        for _ in 0..<64 { _ = try store.beginCheck(at: noon + day * 600) }
        #expect(try kept(store, before: noon + day) == HistoryLimits.lines)
        try store.noteSealed(until: noon + day)
        for _ in 0..<64 { _ = try store.beginCheck(at: noon + day * 600) }
        #expect(try kept(store, before: noon + day) == 1)
    }
}
