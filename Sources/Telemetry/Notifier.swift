// Whom alerts are told to: the protocol, and what is told.

import FoundationEssentials
import Primitives
import Scheduling

/// What a way of telling can do.
package struct NotifierCapabilities: Sendable, Hashable {
    /// It speaks to another machine, which may not be there.
    package var isRemote: Bool

    package init(isRemote: Bool) { self.isRemote = isRemote }
}

/// A way of telling somebody of an alert.
///
/// It blocks, for its own time limit at most, and is called on a thread that no job waits for.
package protocol Notifier: Sendable {
    /// Its name in the configuration.
    var name: String { get }

    var capabilities: NotifierCapabilities { get }

    /// Tells. It may be called again with the same alert when it failed or its answer was lost; ``AlertNote/id`` is the
    /// same then.
    ///
    /// - Throws: `.processFailed` or `.storeUnavailable`, saying why nobody was told: `retry: .later` when it may help,
    ///   `.never` when it is this alert that is refused. `.interrupted` when `cancellation` called it off.
    func tell(_ note: AlertNote, unless cancellation: Cancellation) throws(HoldfastError)
}

/// What is told of an alert: `holdfast.alert/1`.
package struct AlertNote: Sendable, Hashable, Encodable {
    package let schema = "holdfast.alert/1"
    /// The same for the same change of the same alert.
    package let id: String
    package let key, severity, state, summary, since, changed, host: String

    private enum CodingKeys: String, CodingKey {
        case schema, id, key, severity, state, summary, since, changed, host
    }

    package init(_ alert: AlertRecord, host: String) {
        id = "\(alert.key)@\(alert.changed.nanoseconds)"
        key = alert.key
        severity = alert.severity.rawValue
        state = alert.state.rawValue
        summary = alert.summary
        since = alert.since.description
        changed = alert.changed.description
        self.host = host
    }

    /// One line of JSON with its keys in order.
    package func encoded() throws(HoldfastError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self))
        } catch {
            throw HoldfastError(.inputOutput, "an alert cannot be written as JSON", hint: "Report this.", cause: error)
        }
    }
}
