// Lengths of time as operators type them.

import ArgumentParser

/// `90s`, `15m`, `12h`, `30d`, `8w`, and sums such as `1d12h`.
struct DurationArgument: ExpressibleByArgument, Hashable, Sendable {
    /// A hundred years.
    private static let maximum: Int64 = 36_525 * 86_400
    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]

    let duration: Duration

    init?(argument: String) {
        var total: Int64 = 0
        var number: Int64?
        for letter in argument {
            if letter.isASCII, let digit = letter.wholeNumberValue {
                let next = (number ?? 0) * 10 + Int64(digit)
                guard next <= Self.maximum else { return nil }
                number = next
            } else {
                guard let count = number, let unit = Self.units[letter] else { return nil }
                total += count * unit
                guard count <= Self.maximum / unit, total <= Self.maximum else { return nil }
                number = nil
            }
        }
        guard number == nil, !argument.isEmpty else { return nil }
        duration = .seconds(total)
    }
}
