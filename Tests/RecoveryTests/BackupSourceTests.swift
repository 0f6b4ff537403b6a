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
        let summary = try backUp(repository, tree) { $0.readLimit = .kibi(32) }
        #expect(summary.record.unreadable.map(\.reason) == ["the file shrank while it was read"])
        let files = try contents(repository, try #require(summary.snapshot))
        #expect(files == ["/whole": [1]])
    }

    @Test("stream that is taken apart pays its limit for the bytes that came, not for the room they had")
    func unpackingWithinLimits() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/members.tar"
        let file = open(path, O_RDWR | O_CREAT, 0o600)
        defer { close(file) }
        let writer = try ArchiveWriter(.tar) { (bytes) throws(HoldfastError) in
            if write(file, bytes.baseAddress, bytes.count) != bytes.count {
                throw HoldfastError.systemCall("write", errno, on: path)
            }
        }
        for number in 0..<50 {
            var metadata = EntryMetadata(name: Array("\(number)".utf8), kind: .file)
            metadata.size = 10
            #expect(try writer.add([Array("\(number)".utf8)], metadata, hardLink: nil))
            let content = [UInt8](repeating: 1, count: 10)
            try content.withUnsafeBytes { try writer.write($0) }
        }
        try writer.finish()
        lseek(file, 0, SEEK_SET)
        let clock = ActingClock()
        let repository = try makeRepository(clock)
        var options = BackupOptions(source: "tar", host: "host", toolVersion: "test")
        options.unpack = true
        options.readLimit = .mebi(1)
        let summary = try Backup(repository, options: options).run([.stream(name: "tar", .descriptor(file))])
        #expect(summary.record.counts.files == 50)
        #expect(clock.slept < .seconds(1), "slept \(clock.slept)")
    }

    @Test("directory is consistent as of the start of its reading, since later changes may be missing")
    func consistency() throws {
        let tree = SourceTree()
        try tree.write("a", [UInt8](repeating: 7, count: 4096))
        let repository = try makeRepository(ActingClock())
        let record = try backUp(repository, tree) { $0.readLimit = ByteCount(1024) }.record
        #expect(record.finished > record.started)
        #expect(record.consistentAsOf == record.started)
    }

    @Test("that is missing is named by a dry run, which counts the others; interrupted, it ends")
    func estimate() throws {
        let tree = SourceTree()
        try tree.write("a", [1, 2, 3])
        let test = try TestRepository()
        var options = BackupOptions(source: "test", host: "host", toolVersion: "test")
        options.dryRun = true
        let missing = Array("/nonexistent/source".utf8)
        let backup = Backup(test.repository, options: options)
        let summary = try backup.run([.directory(missing), .directory(tree.path)])
        #expect(summary.record.unreadable.map(\.path) == [missing])
        #expect(summary.record.counts.files == 1)
        #expect(throws: HoldfastError.self) { try backup.run([.directory(missing)]) }
        test.environment.cancellation.raise()
        let error = #expect(throws: HoldfastError.self) { try backup.run([.directory(tree.path)]) }
        #expect(error?.code == .interrupted)
    }
}
