// Two pieces of work on two threads.

import Primitives
import Testing

@Suite("Two pieces of work")
struct AtOnceTests {
    @Test("are done beside each other", .timeLimit(.minutes(1)))
    func together() throws {
        let there = Monitor(0)
        // Neither comes to its end without the other.
        let meet: @Sendable () -> Void = {
            there.withLock { $0 += 1 }
            there.wait { $0 == 2 ? () : nil }
        }
        let (number, text) = try atOnce(
            { () throws(HoldfastError) in
                meet()
                return 1
            },
            { () throws(HoldfastError) in
                meet()
                return "text"
            })
        #expect(number == 1 && text == "text")
    }

    @Test("come to their end both when one fails, and the failure of the first is told")
    func failing() throws {
        let ended = Monitor(0)
        @Sendable func work(_ code: ErrorCode) throws(HoldfastError) {
            ended.withLock { $0 += 1 }
            throw HoldfastError(code, "failed")
        }
        let error = #expect(throws: HoldfastError.self) {
            _ = try atOnce(
                { () throws(HoldfastError) in try work(.checkFailed) },
                { () throws(HoldfastError) in try work(.targetFailed) })
        }
        #expect(error?.code == .checkFailed && ended.withLock { $0 } == 2)
        let other = #expect(throws: HoldfastError.self) {
            _ = try atOnce({ () throws(HoldfastError) in 1 }, { () throws(HoldfastError) in try work(.targetFailed) })
        }
        #expect(other?.code == .targetFailed)
    }
}
