// Calendar expressions that were read before.

import Primitives
import Scheduling
import Synchronization

/// Reads calendar expressions, each once: a text is held to its form and then built, and many jobs have the same.
enum KnownCalendars {
    /// As many as a directory may have jobs.
    private static let maximum = JobDirectory.maximumJobs
    private static let known = Mutex<[String: CalendarExpression]>([:])

    /// - Throws: what ``CalendarExpression/init(_:)`` throws; nothing is remembered of a text that is refused.
    static func expression(_ text: String) throws(HoldfastError) -> CalendarExpression {
        if let known = known.withLock({ $0[text] }) { return known }
        let expression = try CalendarExpression(text)
        known.withLock { known in
            if known.count >= maximum { known = [:] }
            known[text] = expression
        }
        return expression
    }
}
