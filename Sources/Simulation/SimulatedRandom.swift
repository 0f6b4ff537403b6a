// The one source of chance in a history: everything that happens follows from its seed.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
package struct SimulatedRandom {
    private var state: UInt64

    package init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 ^ 0xD1B5_4A32_D192_ED03 }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from 0 up to and without `limit`.
    package mutating func below(_ limit: Int) -> Int { limit <= 1 ? 0 : Int(next() % UInt64(limit)) }

    package mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True so many times in ten thousand.
    package mutating func chance(_ share: Int) -> Bool { below(10_000) < share }

    package mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[below(elements.count)]
    }

    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        for place in elements.indices.reversed() { elements.swapAt(place, below(place + 1)) }
    }

    package mutating func duration(upTo limit: Duration) -> Duration {
        .nanoseconds(Int64(next() % UInt64(max(1, limit.components.seconds))) * 1_000_000_000)
    }
}
