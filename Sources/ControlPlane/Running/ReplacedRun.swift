// Runs that were ended so that others of their groups may begin.

import Primitives
import Scheduling
import State

/// The end of a run whose place another takes.
package enum ReplacedRun {
    /// Lets a run have no further attempt that was ended for another one, which is told with it. One that somebody has
    /// taken in the meantime, or that has ended, is left as it is.
    package static func conclude(
        _ key: RunKey, in store: any RunStore, at now: Timestamp
    ) throws(HoldfastError) {
        let completion = RunCompletion(
            .replaced, code: ErrorCode.interrupted.rawValue, message: "another run of its group took its place")
        do throws(HoldfastError) {
            try store.conclude(key, .schedule, completion, at: now)
        } catch {
            guard error.code == .runTaken else { throw error }
        }
    }
}
