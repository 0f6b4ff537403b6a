// A job that is a program of the operator.

import Primitives
import Scheduling

/// A program with its arguments, without a shell. It has done its work when it ends with 0.
///
/// Its environment names the run: HOLDFAST_RUN, HOLDFAST_FENCE (the fencing token, which a place that it writes to can
/// compare), HOLDFAST_ATTEMPT.
package struct CommandJob: JobType {
    package static let kind = "command"
    package static let capabilities = JobCapabilities()

    package init() {}

    package func steps(of job: Job) throws(HoldfastError) -> [JobStep] {
        guard case .command(let words) = job.action, words.first?.isEmpty == false else {
            throw HoldfastError(
                .configuration, "job \(job.name) has no command", hint: "Give it `command` with a program.")
        }
        return [JobStep(.other(words))]
    }

    package func reading(_ end: StepEnd, of step: JobStep) -> StepReading {
        switch end.result {
        case .exited(0): StepReading(.succeeded)
        case .timedOut:
            StepReading(.timedOut, code: .processFailed, message: "its run deadline passed", retry: .later)
        case .terminated: StepReading(.stopped, code: .interrupted, message: "it was stopped", retry: .later)
        case .exited, .signalled:
            StepReading(.failed, code: .processFailed, message: end.result.description, retry: .later)
        }
    }
}
