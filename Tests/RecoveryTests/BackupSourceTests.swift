// Sources that change, are missing or flow slowly while they are backed up.

import CLinux
import Compression
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Synchronization
import TestSupport
import Testing
import Workloads

/// A clock whose sleeps take no time, are counted, and let a test act while a reader waits.
private final class ActingClock: Clock {
    private let hand = ManualClock(Timestamp(seconds: 1_767_225_600))
    private let waiting = HandClock()
    private let total = Mutex((count: 0, time: Duration.zero))
    private let act: @Sendable (Int) -> Void
    /// Longer sleeps are those of the threads that renew leases.
    private static let longest = Duration.seconds(60)

    init(_ act: @escaping @Sendable (Int) -> Void = { _ in }) { self.act = act }

    var sleeps: Int { total.withLock { $0.count } }
    var slept: Duration { total.withLock { $0.time } }

    func now() -> Timestamp { hand.now() }
    func uptime() -> Duration { hand.uptime() }

    func sleep(for duration: Duration, unless cancellation: Cancellation) {
        guard duration < Self.longest else { return waiting.sleep(for: duration, unless: cancellation) }
        let count = total.withLock { total in
            total.count += 1
            total.time += duration
            return total.count
        }
        act(count)
        hand.advance(by: duration)
    }
}

private func makeRepository(
    _ clock: any Clock, on store: any ObjectStore = MemoryStore(clock: HandClock())
) throws -> Repository {
    try Repository.create(
        in: store, secret: TestRepository.secret(TestRepository.password), derivation: TestRepository.derivation,
        label: "test", compression: "zstd:3", environment: TestRepository.environment(clock: clock))
}

@Suite("A source")
struct BackupSourceTests {
    @Test("file that is cut short before it is read is named, and not recorded with zeros at its end")
    func shrinking() throws {
        let tree = SourceTree()
        let path = tree.directory.path + "/log"
        try tree.write("log", randomBytes(1 << 20, seed: 11))
        try tree.write("whole", [1])
        // The first sleep is for the look at the file's beginning.
        let clock = ActingClock { count in if count == 1 { truncate(path, 1000) } }
        let repository = try makeRepository(clock)
        let summary = try backUp(repository, tree) { $0.readLimit = ByteCount(1024) }
        #expect(summary.record.unreadable.map(\.reason) == ["the file shrank while it was read"])
        let files = try contents(repository, try #require(summary.snapshot))
        #expect(files == ["/whole": [1]])
    }
}
