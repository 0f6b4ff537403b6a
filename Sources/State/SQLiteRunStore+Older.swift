// Ends of runs that were under way when the state was brought up to date: nobody said what was checked.

import GRDB
import Primitives
import Scheduling

extension SQLiteRunStore {
    /// What is known of a check that failed in a run of before: that it found damage, which takes a whole check.
    private static let unsaid = CheckNote(.everything, repository: nil)

    /// What the end of this run says of a check, if it says so itself or is of before.
    static func check(
        of claim: RunClaim, _ completion: RunCompletion, _ database: Database
    ) throws -> CheckNote? {
        try database.execute(
            sql: "DELETE FROM unended WHERE job = ? AND scheduled = ? AND fence = ?",
            arguments: [claim.key.job.description, claim.key.scheduled.seconds, claim.fence])
        let isOlder = database.changesCount > 0
        return completion.check ?? (isOlder && completion.outcome == .checkFailed ? unsaid : nil)
    }

    /// Remembers the damage that processes of before have found and ended with since.
    static func settleOlder(_ database: DatabaseQueue) throws {
        let isAny = try database.read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM unended)") ?? false }
        guard isAny else { return }
        try database.write { database in
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO checks (repository, job, extent, outcome, began, noted, ended)
                        SELECT '', job, ?, outcome, max(fence), max(fence), max(ended) FROM runs JOIN unended
                            USING (job, scheduled, fence)
                        WHERE state IN ('ended', 'waiting') AND outcome = ? GROUP BY job
                    """, arguments: [unsaid.extent.rawValue, RunOutcome.checkFailed.rawValue])
            try database.execute(
                sql: """
                    DELETE FROM unended WHERE NOT EXISTS (
                        SELECT 1 FROM runs WHERE runs.job = unended.job AND runs.scheduled = unended.scheduled
                            AND runs.fence = unended.fence AND runs.state = 'running')
                    """)
        }
    }
}
