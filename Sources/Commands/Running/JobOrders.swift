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

extension Job {
    /// Instants that are looked at for the next one that may start.
    private static let maximumInstants = 10_000

    /// The instant of the next run that may start: inside the windows, outside the blackouts, after the pauses, and not
    /// the one that is to be left out. Nil when there is none.
    func nextStart(_ memory: JobMemory?, after now: Timestamp, host: String) -> Timestamp? {
        let pauses = [pause.flatMap { $0.holds(at: now) ? $0.until ?? .never : nil }, memory?.pauseEnd(at: now)]
        let (delay, opening) = (jitter(on: host), Opening(self))
        var from = pauses.compactMap { $0 }.reduce(now, max)
        guard isEnabled, from < .never else { return nil }
        // The one that is left out is the next that is due, whether it could start or not.
        if memory?.skip?.holds(at: now) == true, let left = schedule.next(after: from)?.instant { from = left }
        for _ in 0..<Self.maximumInstants {
            guard let next = schedule.next(after: from)?.instant else { return nil }
            if opening.refusal(at: next + delay) == nil { return next }
            from = next
        }
        return nil
    }
}

extension Timestamp {
    fileprivate static let never = Timestamp(nanoseconds: .max)
}

extension JobMemory {
    /// When the order to pause ends that holds at `now`.
    fileprivate func pauseEnd(at now: Timestamp) -> Timestamp? { pause(at: now).map { $0.until ?? .never } }
}

extension StandingOrder {
    /// Such as `by ada until 2026-12-01T00:00:00Z: the disk is being replaced`.
    var text: String {
        let end = until.map { " until \($0)" } ?? ""
        return "by \(ShownText.line(actor))\(end)" + (reason.isEmpty ? "" : ": \(ShownText.line(reason))")
    }
}
