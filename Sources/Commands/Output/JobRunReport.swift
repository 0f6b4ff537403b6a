// What `schedule run` reports.

import Primitives
import Scheduling

/// `holdfast.schedule-run/1`.
struct JobRunReport: Encodable {
    let schema = "holdfast.schedule-run/1"
    let runs: [Run]

    struct Run: Encodable {
        let job, scheduled, outcome: String
        let code, message: String?
        let attempts: Int
        let retryAt: String?

        init(_ key: RunKey, _ completion: RunCompletion, attempts: Int) {
            job = key.job.description
            scheduled = key.scheduled.description
            outcome = completion.outcome.rawValue
            code = completion.code
            message = completion.message
            self.attempts = attempts
            retryAt = completion.retryAt?.description
        }

        init(_ key: RunKey, refused: NonRun.Reason, _ error: HoldfastError) {
            job = key.job.description
            scheduled = key.scheduled.description
            outcome = "not-run"
            code = refused.rawValue
            message = error.message
            attempts = 0
            retryAt = nil
        }

        var status: ExitStatus {
            switch outcome {
            case RunOutcome.succeeded.rawValue: .success
            case RunOutcome.partial.rawValue: .partial
            case RunOutcome.checkFailed.rawValue: .checkFailed
            default: .failed
            }
        }
    }

    private enum CodingKeys: String, CodingKey { case schema, runs }
}
