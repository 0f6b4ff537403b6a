// Checks that were under way, or waited, when the state was brought up to date.

import Foundation
import Primitives
import Scheduling
import State
import TestSupport
import Testing

@Suite("Checks of before the state was brought up to date")
struct OlderRunTests {
    private let directory = TemporaryDirectory()
    private let noon = Timestamp(seconds: 1_800_000_000)
    private var path: String { directory.path + "/runs.sqlite" }

    private func open() throws -> SQLiteRunStore {
        try SQLiteRunStore(path: path, clock: RunStoreClock(boot: "one") { .seconds(10) })
    }

    private func sqlite(_ text: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path, text]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    /// The state as a version of before left it.
    private func age() throws {
        try sqlite("DROP TABLE unended; DELETE FROM grdb_migrations WHERE identifier = 'unended';")
    }

    private func begin(_ job: String, _ hour: Int64, in store: SQLiteRunStore) throws -> RunClaim {
        let key = RunKey(job: JobName(job), scheduled: noon + .seconds(hour * 3600))
        let holder = RunHolder(host: "one", process: 1)
        return try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: noon)
    }

    private func known() throws -> [String] {
        try open().checks().filter { $0.note == CheckNote(.everything, repository: nil) && $0.outcome == .checkFailed }
            .map { "\($0.job)" }
    }

    @Test("are known for the damage that they found, whoever wrote their end down")
    func ends() throws {
        let store = try open()
        let claims = try ["file", "process", "good"].map { try begin($0, 0, in: store) }
        try age()
        let fresh = try open()
        // Out of a file beside the state, which says nothing of a check.
        try fresh.complete(claims[0], RunCompletion(.checkFailed), at: noon + .seconds(1))
        try fresh.complete(claims[2], RunCompletion(.succeeded), at: noon + .seconds(1))
        #expect(try known() == ["file"])
        // By a process of the version before, which knows of no checks.
        try sqlite(
            """
            UPDATE runs SET state = 'ended', outcome = 'check-failed', ended = 1800000002000000000
            WHERE job = 'process';
            """)
        #expect(try known() == ["file", "process"])
        // Later ends of the same jobs speak for themselves.
        let later = try begin("file", 1, in: fresh)
        try fresh.complete(later, RunCompletion(.checkFailed), at: noon + .seconds(3))
        #expect(try known() == ["file", "process"] && open().checks().first?.began == claims[0].fence)
    }

    @Test("are known that wait for another attempt")
    func waiting() throws {
        let store = try open()
        let claim = try begin("check", 0, in: store)
        var completion = RunCompletion(.checkFailed)
        completion.retryAt = noon + .seconds(60)
        try store.complete(claim, completion, at: noon + .seconds(1))
        #expect(try known().isEmpty)
        try age()
        #expect(try known() == ["check"])
    }
}
