// What operators ordered of jobs, for verbs that only look at schedules.

import FoundationEssentials
import Primitives
import Scheduling
import State

extension CommandContext {
    /// What the state remembers of `jobs`; nothing where there is none, and none is made. What cannot be read is told.
    func memoriesIfAny(of jobs: [JobName]) -> [JobName: JobMemory] {
        do throws(HoldfastError) {
            let path = try runStorePath()
            guard FileManager.default.fileExists(atPath: path) else { return [:] }
            return try openRunStore().memories(of: jobs, at: clock.now())
        } catch {
            output.warning("what was ordered of jobs is not known: \(ShownText.line(error.message))")
            return [:]
        }
    }
}

extension JobMemory {
    /// The order to pause that holds at `instant`.
    func pause(at instant: Timestamp) -> StandingOrder? { pause.flatMap { $0.holds(at: instant) ? $0 : nil } }
}

extension StandingOrder {
    /// Such as `by ada until 2026-12-01T00:00:00Z: the disk is being replaced`.
    var text: String {
        let end = until.map { " until \($0)" } ?? ""
        return "by \(ShownText.line(actor))\(end)" + (reason.isEmpty ? "" : ": \(ShownText.line(reason))")
    }
}
