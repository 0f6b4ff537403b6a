// A line of the run ledger: a run that ended, or runs that did not take place.

import Primitives

/// One line. Words are those of the scheduler: readers keep what they do not know.
package struct EvidenceRun: Sendable, Hashable {
    package var job: String
    /// The instant in UTC for which it was due, in whole seconds; of several that did not take place, the first.
    package var due: Timestamp
    /// Of runs that did not take place: the last of them, and how many; nil for more than were counted.
    package var last: Timestamp?
    package var count: UInt64?
    /// `schedule` or `manual`.
    package var trigger: String
    /// Such as `succeeded`; empty when it did not take place.
    package var outcome: String
    /// Why it did not take place; empty for a run.
    package var reason: String
    /// From 1; 0 when it did not take place.
    package var attempt: UInt64
    /// The fencing token of the last attempt.
    package var fence: UInt64
    package var host: String
    package var began: Timestamp?
    package var ended: Timestamp?
    package var code: String?
    package var message: String?
    package var unknown = FieldMap()

    /// The longest message that is kept, in bytes.
    package static let maximumMessage = 1024

    package init(job: String, due: Timestamp, trigger: String, outcome: String, reason: String) {
        self.job = job
        self.due = due
        self.trigger = trigger
        self.outcome = outcome
        self.reason = reason
        attempt = 0
        fence = 0
        host = ""
    }

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, job)
        fields.put(2, due)
        fields.put(3, last)
        fields.put(4, count)
        fields.put(5, trigger)
        fields.put(6, outcome)
        fields.put(7, reason)
        fields.put(8, attempt)
        fields.put(9, fence)
        fields.put(10, host)
        fields.put(11, began)
        fields.put(12, ended)
        fields.put(13, code)
        fields.put(14, message)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: EvidenceRecord.maximumSize)
        self.init(
            job: try fields.need(1, try fields.text(1)), due: try fields.need(2, try fields.time(2)),
            trigger: try fields.need(5, try fields.text(5, atMost: 64)),
            outcome: try fields.need(6, try fields.text(6, atMost: 64)),
            reason: try fields.need(7, try fields.text(7, atMost: 64)))
        last = try fields.time(3)
        count = try fields.number(4)
        attempt = try fields.need(8, try fields.number(8))
        fence = try fields.need(9, try fields.number(9))
        host = try fields.need(10, try fields.text(10))
        began = try fields.time(11)
        ended = try fields.time(12)
        code = try fields.text(13, atMost: 64)
        message = try fields.text(14)
        unknown = fields.rest
        guard outcome.isEmpty != reason.isEmpty else {
            throw fields.corrupt("a run neither took place nor was left out, or both")
        }
    }
}
