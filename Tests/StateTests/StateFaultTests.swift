// A state database that is locked, damaged, full, of a newer version, or of another boot.

import Foundation
import Glibc
import Primitives
import Scheduling
import State
import Synchronization
import TestSupport
import Testing

@Suite("The state database")
struct StateFaultTests {
    private let directory = TemporaryDirectory()
    private let noon = Timestamp(seconds: 1_800_000_000)
    private let holder = RunHolder(host: "one", process: 100)
    private var path: String { directory.path + "/state/runs.sqlite" }

    private func open(boot: String = "one", maximumPages: Int = 1 << 20) throws -> SQLiteRunStore {
        try SQLiteRunStore(
            path: path, clock: RunStoreClock(boot: boot) { .seconds(10) }, patience: .milliseconds(50),
            maximumPages: maximumPages)
    }

    private func failure(_ body: () throws -> Void) -> HoldfastError? {
        do {
            try body()
            return nil
        } catch {
            return error as? HoldfastError
        }
    }

    private func key(_ hours: Int64) -> RunKey {
        RunKey(job: JobName("nightly"), scheduled: Timestamp(seconds: noon.seconds + hours * 3600))
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

    @Test("is the user's alone, in a directory that is made for it")
    func modes() throws {
        _ = try open()
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test("that another process holds is busy, which passes, and keeps what was written before")
    func locked() throws {
        let store = try open()
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data("BEGIN IMMEDIATE; SELECT 'held';\n".utf8))
        #expect(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self) == "held\n")
        let busy = failure { try store.complete(claim, RunCompletion(.succeeded), at: noon) }
        #expect(busy?.code == .busy && busy?.retry == .later)
        #expect(busy?.message.contains("locked") == true)
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        try store.complete(claim, RunCompletion(.succeeded), at: noon)
    }

    @Test("that is damaged is named, with what to do")
    func damaged() throws {
        _ = try open()
        try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: path))
        for ending in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) }
        let found = failure { _ = try open() }
        #expect(found?.code == .corruptObject)
        #expect(found?.message.contains(path) == true && found?.hint.contains("Move it away") == true)
    }

    @Test("of a newer version is left alone")
    func newer() throws {
        _ = try open()
        try sqlite("INSERT INTO grdb_migrations VALUES ('99');")
        #expect(failure { _ = try open() }?.code == .unsupportedFormat)
    }

    @Test("that cannot grow says that there is no space, and what was begun can be completed when there is")
    func full() throws {
        let store = try open()
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        var completion = RunCompletion(.succeeded)
        completion.output = String(repeating: "x", count: RunCompletion.maximumOutput)
        // The engine takes no limit below what there is, so this one has no page to take.
        let confined = try open(maximumPages: 1)
        let result = failure { try confined.complete(claim, completion, at: noon) }
        #expect(result?.code == .noSpace && result?.retry == .later)
        try store.complete(claim, completion, at: noon)
        #expect(try store.history(HistoryQuery()).map(\.state) == [.ended(.succeeded)])
    }

    @Test("thins out the history of every job in turn, also of one that never runs or is gone")
    func thinnedInTurn() throws {
        let store = try open()
        func record(_ job: String, _ hour: Int64, _ trigger: RunTrigger, at now: Timestamp) throws {
            let instant = key(hour).scheduled
            let nonRun = NonRun(first: instant, last: instant, count: 1, reason: .paused)
            try store.record([nonRun], of: JobName(job), trigger, at: now + .milliseconds(hour))
        }
        for hour in Int64(0)..<5 {
            try record("gone", hour, .schedule, at: noon)
            try record("refused", hour, .manual, at: noon)
        }
        let later = noon + HistoryLimits.age + .seconds(60)
        // A clock that was right for a week by then.
        _ = try store.beginCheck(at: later + .seconds(-8 * 86_400))
        for hour in Int64(10)..<300 { try record("paused", hour, .schedule, at: later) }
        let old = try store.history(HistoryQuery(until: later, limit: 1000))
        #expect(old.map(\.key) == [RunKey(job: JobName("gone"), scheduled: key(4).scheduled)])
    }

    @Test("thins out the history also where all that runs are checks, whose ends take tokens as well")
    func thinnedByChecks() throws {
        func run(
            _ job: String, _ hour: Int64, _ extent: CheckExtent?, in store: SQLiteRunStore, at now: Timestamp
        ) throws {
            let key = RunKey(job: JobName(job), scheduled: key(hour).scheduled)
            let claim = try store.begin(key, .schedule, holder: holder, lease: .seconds(30), at: now)
            var completion = RunCompletion(.succeeded)
            completion.check = extent.map { CheckNote($0, repository: "/main") }
            try store.complete(claim, completion, at: now)
        }
        let later = noon + HistoryLimits.age + .seconds(60)
        let alone = try open()
        for hour in Int64(0)..<40 { try run("check", hour, .structure, in: alone, at: noon) }
        // A clock that was right for a week by then.
        _ = try alone.beginCheck(at: later + .seconds(-8 * 86_400))
        for hour in Int64(100)..<200 { try run("check", hour, .structure, in: alone, at: later) }
        #expect(try alone.history(HistoryQuery(until: later, limit: 1000)).isEmpty)

        // Three tokens a night, and the turns of three jobs.
        let several = try SQLiteRunStore(
            path: directory.path + "/several/runs.sqlite", clock: RunStoreClock(boot: "one") { .zero })
        for hour in Int64(0)..<5 {
            try run("backup", hour, nil, in: several, at: noon)
            try run("check", hour, .structure, in: several, at: noon)
        }
        for hour in Int64(0)..<5 {
            let instant = key(hour).scheduled
            let nonRun = NonRun(first: instant, last: instant, count: 1, reason: .paused)
            try several.record([nonRun], of: JobName("gone"), .schedule, at: noon)
        }
        // A clock that was right for a week by then.
        _ = try several.beginCheck(at: later + .seconds(-8 * 86_400))
        for hour in Int64(100)..<400 {
            try run("backup", hour, nil, in: several, at: later)
            try run("check", hour, .structure, in: several, at: later)
        }
        let old = try several.history(HistoryQuery(until: later, limit: 1000))
        #expect(old.map(\.key) == [RunKey(job: JobName("gone"), scheduled: key(4).scheduled)])
    }

    @Test("of an older version is opened by two at once")
    func migratedAtOnce() throws {
        _ = try open()
        try sqlite(
            """
            DROP TABLE checks; DELETE FROM counters WHERE name = 'identity';
            DELETE FROM grdb_migrations WHERE identifier IN ('checks', 'check-memories');
            """)
        // The other one is in the middle of the step.
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let step = """
            BEGIN IMMEDIATE;
            CREATE TABLE checks (repository TEXT NOT NULL, job TEXT NOT NULL, extent TEXT NOT NULL,
                outcome TEXT NOT NULL, began INTEGER NOT NULL, noted INTEGER NOT NULL, ended INTEGER NOT NULL,
                PRIMARY KEY (repository, job, extent, outcome)) WITHOUT ROWID;
            INSERT INTO counters VALUES ('identity', 7);
            INSERT INTO grdb_migrations VALUES ('checks');
            SELECT 'held';

            """
        try input.fileHandleForWriting.write(contentsOf: Data(step.utf8))
        #expect(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self) == "held\n")
        let path = path
        let failed = Mutex<[String]>([])
        let opening = try #require(
            JoinableThread {
                do {
                    _ = try SQLiteRunStore(
                        path: path, clock: RunStoreClock(boot: "one") { .zero }, patience: .seconds(30))
                } catch {
                    failed.withLock { $0.append("\(error)") }
                }
            })
        // Until it has seen that the step is to be made; were it slower it would see that it was.
        SystemClock().sleep(for: .milliseconds(500), unless: Cancellation())
        try input.fileHandleForWriting.write(contentsOf: Data("COMMIT;\n".utf8))
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        opening.join()
        #expect(failed.withLock { $0 } == [])
    }

    @Test("has a name that no other one has, and keeps it")
    func identity() throws {
        let first = try open().identity
        #expect(try open().identity == first)
        let other = try SQLiteRunStore(
            path: directory.path + "/other/runs.sqlite", clock: RunStoreClock(boot: "one") { .zero })
        #expect(other.identity != first)
        // Nor has a copy of it, as in an image of a machine.
        try FileManager.default.createDirectory(
            atPath: directory.path + "/copy", withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path + "/state") {
            try FileManager.default.copyItem(
                atPath: directory.path + "/state/" + name, toPath: directory.path + "/copy/" + name)
        }
        let copy = try SQLiteRunStore(
            path: directory.path + "/copy/runs.sqlite", clock: RunStoreClock(boot: "one") { .zero })
        // What was sealed of its history is known all the same.
        #expect(try copy.identity != first && copy.origin == open().origin && other.origin != copy.origin)
    }

    @Test("of before checks were remembered knows the damage that no later run of the job has shown to be gone")
    func olderChecks() throws {
        let store = try open()
        for (hour, outcome) in [RunOutcome.checkFailed, .failed].enumerated() {
            let claim = try store.begin(key(Int64(hour)), .schedule, holder: holder, lease: .seconds(30), at: noon)
            try store.complete(claim, RunCompletion(outcome), at: noon + .seconds(Int64(hour)))
        }
        try sqlite(
            """
            DROP TABLE checks; DELETE FROM counters WHERE name = 'identity';
            DELETE FROM grdb_migrations WHERE identifier IN ('checks', 'check-memories');
            """)
        let checks = try open().checks()
        #expect(checks.map(\.note) == [CheckNote(.everything, repository: nil)])
        #expect(checks.map(\.outcome) == [.checkFailed] && checks.map(\.ended) == [noon])
    }

    @Test("of another boot has no living leases")
    func rebooted() throws {
        let store = try open(boot: "one")
        _ = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(1000), at: noon)
        #expect(try store.buryDead(gone: nil, at: noon).isEmpty)
        #expect(try open(boot: "two").buryDead(gone: nil, at: noon).map(\.key) == [key(0)])
    }

    @Test("of a file that cannot be written is refused by its path")
    func unwritable() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        #expect(failure { _ = try open() }?.code == .accessDenied)
    }

    @Test("keeps the history for 400 days, and runs that have not ended for as long as it takes")
    func thinnedOut() throws {
        let store = try open()
        let old = try store.begin(key(0), .schedule, holder: holder, lease: .zero, at: noon)
        for hour in Int64(1)...2 {
            let claim = try store.begin(key(hour), .schedule, holder: holder, lease: .seconds(30), at: noon)
            try store.complete(claim, RunCompletion(.succeeded), at: noon)
        }
        let nonRun = NonRun(first: key(3).scheduled, last: key(3).scheduled, count: 1, reason: .paused)
        try store.record([nonRun], of: key(3).job, .manual, at: noon)
        let later = noon + HistoryLimits.age + .seconds(1)
        // A clock that was right for a week by then.
        _ = try store.beginCheck(at: later + .seconds(-8 * 86_400))
        for hour in Int64(10_000)..<10_064 {
            let claim = try store.begin(key(hour), .schedule, holder: holder, lease: .zero, at: later)
            #expect(claim.fence > old.fence)
        }
        let kept = try store.history(HistoryQuery(limit: 1000)).map(\.key)
        #expect(kept.filter { $0.scheduled < later } == [key(0)])
        #expect(kept.count == 65)
        // What was thinned out is in the past for ever.
        #expect(
            failure {
                _ = try store.begin(key(1), .schedule, holder: holder, lease: .seconds(30), at: later)
            }?.code == .runTaken)
    }
}
