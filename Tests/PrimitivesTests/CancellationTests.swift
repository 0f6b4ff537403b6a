// What a raised cancellation does to those who sleep.

import Primitives
import Testing

@Suite("A cancellation")
struct CancellationTests {
    @Test("wakes everyone who sleeps", .timeLimit(.minutes(1)))
    func wakes() throws {
        let cancellation = Cancellation()
        let asleep = Monitor(0)
        withThreads(4) { index in
            if index == 0 {
                asleep.wait { $0 == 3 ? () : nil }
                // Most are in the kernel by now; who is not sees the flag before it goes there.
                SystemClock().sleep(for: .milliseconds(20), unless: Cancellation())
                cancellation.raise()
            } else {
                asleep.withLock { $0 += 1 }
                SystemClock().sleep(for: .seconds(86_400), unless: cancellation)
            }
        }
        #expect(cancellation.isRaised)
    }

    @Test("that is not raised lets a sleep last")
    func lasts() {
        let clock = SystemClock()
        let before = clock.uptime()
        clock.sleep(for: .milliseconds(30), unless: Cancellation())
        #expect(clock.uptime() - before >= .milliseconds(30))
    }

    @Test("that was raised before lets nobody sleep", .timeLimit(.minutes(1)))
    func before() {
        let cancellation = Cancellation()
        cancellation.raise()
        SystemClock().sleep(for: .seconds(86_400), unless: cancellation)
        #expect(throws: HoldfastError.self) { try cancellation.check() }
    }
}
