// Instants as operators type them.

import ArgumentParser
import Primitives

/// `2026-11-24`, `2026-11-24T13:18:21Z`, `now`, or a length of time ago such as `30d`.
struct InstantArgument: ExpressibleByArgument, Hashable, Sendable {
    private enum Form: Hashable, Sendable {
        case instant(Timestamp)
        case ago(Duration)
    }
    private let form: Form

    init?(argument: String) {
        if argument == "now" {
            form = .ago(.zero)
        } else if let length = Duration(lengthOfTime: argument) {
            form = .ago(length)
        } else if let instant = Timestamp(text: argument) {
            form = .instant(instant)
        } else {
            return nil
        }
    }

    func instant(now: Timestamp) -> Timestamp {
        switch form {
        case .instant(let instant): instant
        case .ago(let length): now + (.zero - length)
        }
    }
}
