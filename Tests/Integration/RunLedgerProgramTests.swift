// The run ledger by the program: sealed by a job, shown when the state is gone, and missed when it was taken away.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("The run ledger of the program", .waiting)
struct RunLedgerProgramTests {
    @Test("is sealed by its job and outlives the state")
    func outlives() throws {
        let jobs = try JobRun()
        let state = jobs.run.directory.path + "/.local/state/holdfast"
        try jobs.script("good", "exit 0")
        try jobs.script("bad", "exit 7")
        try jobs.job("lost", "backup: {}\nwhen: {every: 1d}")
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/data")
        try jobs.job("thin-out", "forget: {}\nwhen: {every: 1d}")
        try jobs.job("ledger", "ledger: {}\nwhen: {calendar: \"*-*-* 00:10\"}")
        #expect(try jobs("schedule", "run", "good").status == 0)
        #expect(try jobs("schedule", "run", "bad").status != 0)
        // Retention is refused, since the backup failed.
        #expect(try jobs("schedule", "run", "lost").status != 0)
        #expect(try jobs("schedule", "run", "thin-out").status == 11)
        let early = try jobs("schedule", "seal")
        #expect(early.status == 0 && early.output.contains("nothing to seal"), "\(early)")
        try jobs.run.sqlite(
            state + "/runs.sqlite",
            "UPDATE runs SET noted = noted - 2 * 86400000000000; UPDATE refusals SET noted = noted - 172800000000000;")

        let ran = try jobs("schedule", "run", "ledger")
        #expect(ran.status == 0, "\(ran.errors) \(ran.output)")
        #expect(try jobs("schedule", "seal").output.contains("nothing to seal"))
        try FileManager.default.removeItem(atPath: state)

        #expect(try jobs("schedule", "history").errors.contains("there is no state of runs"))
        let lines = try jobs("schedule", "history", "--sealed", "--json").json()["runs"] as? [[String: Any]] ?? []
        #expect(
            lines.map { "\($0["job"] ?? "") \($0["outcome"] ?? $0["reason"] ?? "")" }.sorted()
                == ["bad failed", "good succeeded", "lost failed", "thin-out dependency"], "\(lines)")
        let bad = try jobs("schedule", "history", "bad", "--sealed")
        #expect(bad.output.contains("failed") && !bad.output.contains("good"), "\(bad.output)")
        let shown = try jobs("evidence", "list", "--json").json()["evidence"] as? [[String: Any]] ?? []
        #expect(shown.map { $0["kind"] as? String } == ["runs"])
        let id = try #require(shown.first?["id"] as? String)
        let text = try jobs("evidence", "show", id).output
        #expect(text.contains("3 ended, 1 lines of runs that did not take place"), "\(text)")
        #expect(try jobs("evidence", "verify", id).status == 0)
        // The state that is made anew has nothing to say of those days.
        #expect(try jobs("schedule", "seal").output.contains("nothing to seal"))
    }

    @Test("refuses a key without the right, and names how to give it")
    func right() throws {
        let jobs = try JobRun()
        _ = try jobs.run.file("writer", "writer")
        try #require(
            try jobs("keys", "add", "--role", "writer", "--label", "w", "--new-password-file", "writer").status == 0)
        _ = try jobs.run.file("password", "writer")
        let result = try jobs("schedule", "seal")
        #expect(result.status == 12 && result.errors.contains("--attest"), "\(result)")
    }
}
