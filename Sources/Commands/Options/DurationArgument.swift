// Lengths of time as operators type them.

import ArgumentParser
import Primitives

/// `90s`, `15m`, `12h`, `30d`, `8w`, and sums such as `1d12h`.
struct DurationArgument: ExpressibleByArgument, Hashable, Sendable {
    let duration: Duration

    init?(argument: String) {
        guard let duration = Duration(lengthOfTime: argument) else { return nil }
        self.duration = duration
    }
}
