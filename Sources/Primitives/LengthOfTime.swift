// Lengths of time as operators write them.

extension Duration {
    /// A hundred years.
    private static let longest: Int64 = 36_525 * 86_400
    private static let units: [(letter: Character, seconds: Int64)] = [
        ("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1),
    ]

    /// Reads `90s`, `15m`, `12h`, `30d`, `8w`, and sums such as `1d12h`; nil for anything else, and beyond a hundred
    /// years.
    package init?(lengthOfTime text: String) {
        var total: Int64 = 0
        var number: Int64?
        for letter in text {
            if letter.isASCII, let digit = letter.wholeNumberValue {
                let next = (number ?? 0) * 10 + Int64(digit)
                guard next <= Self.longest else { return nil }
                number = next
            } else {
                guard let count = number, let unit = Self.units.first(where: { $0.letter == letter })?.seconds else {
                    return nil
                }
                total += count * unit
                guard count <= Self.longest / unit, total <= Self.longest else { return nil }
                number = nil
            }
        }
        guard number == nil, !text.isEmpty else { return nil }
        self = .seconds(total)
    }

    /// The whole seconds in the largest units, days at most: `1d12h`, `0s`.
    package var lengthOfTime: String {
        var left = components.seconds
        var text = ""
        for unit in Self.units.dropFirst() where left >= unit.seconds {
            text += "\(left / unit.seconds)\(unit.letter)"
            left %= unit.seconds
        }
        return text.isEmpty ? "0s" : text
    }
}

extension Duration {
    /// Whole nanoseconds; what does not fit into 64 bits becomes the nearest that does.
    package var nanosecondsClamped: Int64 {
        let parts = components
        let product = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let sum = product.partialValue.addingReportingOverflow(parts.attoseconds / 1_000_000_000)
        return product.overflow || sum.overflow ? (parts.seconds < 0 ? .min : .max) : sum.partialValue
    }
}
