// Shows that ULIDs print and read back.

import Primitives
import TestSupport
import Testing

@Suite("ULIDs")
struct ULIDTests {
    @Test("a ULID prints as 26 letters and reads back")
    func roundTrip() throws {
        let entropy = SeededEntropy(seed: 7)
        let id = try ULID(at: Timestamp(seconds: 1_767_225_600), entropy: entropy)
        #expect(id.description.count == 26)
        #expect(ULID(id.description) == id)
        #expect(id.time == Timestamp(seconds: 1_767_225_600))
    }

    @Test("a time that no timestamp reaches is the end of time")
    func farTime() {
        #expect(ULID(Bytes16(w0: .max)).time == Timestamp(nanoseconds: .max))
        #expect(ULID(Bytes16(w0: 1 << 16)).time == Timestamp(nanoseconds: 1_000_000))
    }
}
