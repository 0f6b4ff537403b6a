// Instants as people write them.

import Primitives
import TestSupport
import Testing

@Suite("Instants in text")
struct TimestampTextTests {
    @Test(
        "dates and times with a zone are read",
        arguments: [
            ("1970-01-01", 0), ("2026-11-24T13:18:21Z", 1_795_526_301), ("2026-11-24 14:18:21+01:00", 1_795_526_301),
            ("2026-11-24t08:48:21-04:30", 1_795_526_301), ("2024-02-29", 1_709_164_800),
            ("1969-12-31T23:59:59Z", -1),
        ] as [(String, Int64)])
    func read(text: String, seconds: Int64) {
        #expect(Timestamp(text: text) == Timestamp(seconds: seconds))
    }

    @Test("fractions are nanoseconds")
    func fractions() {
        #expect(Timestamp(text: "1970-01-01T00:00:01.25Z")?.nanoseconds == 1_250_000_000)
        #expect(Timestamp(text: "1970-01-01T00:00:00.000000001Z")?.nanoseconds == 1)
    }

    @Test(
        "what is no instant is refused",
        arguments: [
            "", "2026", "2026-13-01", "2026-02-29", "2026-04-31", "2026-00-01", "2026-01-00", "2026-11-24T13:18:21",
            "2026-11-24T24:00:00Z", "2026-11-24T13:60:00Z", "2026-11-24T13:18:60Z", "2026-11-24T13:18Z",
            "2026-11-24T13:18:21.Z", "2026-11-24T13:18:21.1234567890Z", "2026-11-24T13:18:21+1:00", "1600-01-01",
            "3000-01-01", "2026-11-24Z", "2026-11-24T13:18:21ZZ", "２０２６-11-24",
        ])
    func refused(text: String) { #expect(Timestamp(text: text) == nil) }

    @Test("what is printed is read back", arguments: UInt64(1)...50)
    func round(seed: UInt64) {
        let random = SeededEntropy(seed: seed)
        let instant = Timestamp(seconds: Int64(random.next() % 9_000_000_000))
        #expect(Timestamp(text: instant.description) == instant, "seed \(seed)")
    }
}
