// Decorators: scripted faults, retries, rates, counts; and the texts that name a store.

import ObjectStore
import Primitives
import Synchronization
import TestSupport
import Testing

@Suite("Decorators of stores")
struct DecoratorTests {
    private let clock = ManualClock()
    private var passing: HoldfastError { HoldfastError(.storeUnavailable, "a passing fault", retry: .later) }

    // MARK: - Faulty

    @Test("a fault hits the calls that it names, as often as it says")
    func faultMatching() throws {
        let store = FaultyStore(MemoryStore())
        store.add(StoreFault(.fail(passing), on: .put, prefix: "packs/", skipping: 1, times: 2))
        try store.put("packs/a", [1])
        try store.put("index/a", [1])
        #expect(code { try store.put("packs/b", [1]) } == .storeUnavailable)
        #expect(code { try store.put("packs/b", [1]) } == .storeUnavailable)
        try store.put("packs/b", [1])
        #expect(try store.names() == ["index/a", "packs/a", "packs/b"])
        #expect(store.count(.put) == 5)
        #expect(store.count(.list) == 1)
    }

    @Test("reads are cut and bits flipped where the script says")
    func damagedReads() throws {
        let store = FaultyStore(MemoryStore())
        try store.put("packs/a", [UInt8](repeating: 0, count: 10))
        store.add(StoreFault(.flipBit(8 * 5 + 1)))
        #expect(try store.get("packs/a") == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0])
        #expect(try store.bytes("packs/a", 4..<7) == [0, 2, 0])
        #expect(try store.bytes("packs/a", 6..<8) == [0, 0])
        store.heal()
        store.add(StoreFault(.truncate(to: 7)))
        #expect(try store.get("packs/a").count == 7)
        #expect(try store.bytes("packs/a", 0..<7).count == 7)
        #expect(code { try store.bytes("packs/a", 0..<8) } == .corruptObject)
        store.heal()
        #expect(try store.get("packs/a").count == 10)
    }

    @Test("torn puts, lost answers, hidden objects, refused deletes and slow calls")
    func otherFaults() throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        store.add(StoreFault(.tear(keeping: 2), on: .put, times: 1))
        try store.put("packs/torn", [1, 2, 3])
        #expect(try store.get("packs/torn") == [1, 2])
        store.add(StoreFault(.failAfterwards(passing), on: .put, times: 1))
        #expect(code { try store.put("packs/lost", [1]) } == .storeUnavailable)
        #expect(try store.get("packs/lost") == [1])
        store.add(StoreFault(.hide, prefix: "packs/l"))
        #expect(try store.names() == ["packs/torn"])
        #expect(try store.info(key("packs/lost")) == nil)
        #expect(try store.get("packs/lost") == [1])
        store.heal()
        store.add(StoreFault(.hide, on: .list, prefix: "packs/lost", times: 1))
        #expect(try store.names("index/") == [])
        #expect(try store.names("packs/") == ["packs/torn"])
        #expect(try store.names("packs/") == ["packs/lost", "packs/torn"])
        store.heal()
        store.add(StoreFault(.fail(HoldfastError(.accessDenied, "locked")), on: .delete))
        #expect(code { try store.delete(key("packs/lost")) } == .accessDenied)
        let before = clock.now()
        store.add(StoreFault(.delay(.seconds(3)), on: .get, times: 1))
        _ = try store.get("packs/lost")
        #expect(clock.now().since(before) == .seconds(3))
    }

    @Test("another's deed can be placed between two calls")
    func interleaving() throws {
        let memory = MemoryStore()
        let store = FaultyStore(memory)
        try store.put("packs/a", [1])
        store.add(StoreFault(.run { _ = failure { try memory.delete(key("packs/a")) } }, on: .get, times: 1))
        #expect(try store.names() == ["packs/a"])
        #expect(code { try store.get("packs/a") } == .objectMissing)
    }

    @Test("a full memory store refuses puts until something is removed")
    func fullMemory() throws {
        let store = MemoryStore(capacity: ByteCount(UInt64(10)))
        try store.put("a", [UInt8](repeating: 0, count: 8))
        #expect(code { try store.put("b", [1, 2, 3]) } == .noSpace)
        try store.delete(key("a"))
        try store.put("b", [1, 2, 3])
        #expect(store.damage(key("b")) { $0[0] = 9 })
        #expect(try store.get("b") == [9, 2, 3])
    }

    // MARK: - Retrying

    @Test("retries are bounded, wait longer each time, and the last failure tells how many there were")
    func boundedRetries() throws {
        let faulty = FaultyStore(MemoryStore(), faults: [StoreFault(.fail(passing), on: .get)])
        let policy = RetryPolicy(attempts: 4, firstDelay: .seconds(1), longestDelay: .seconds(3))
        let store = RetryingStore(faulty, policy: policy, clock: clock, entropy: SeededEntropy(seed: 3))
        let before = clock.now()
        let error = failure { try store.get("a") }
        #expect(error?.code == .storeUnavailable)
        #expect(error?.context.contains { $0.key == "tries" && $0.value == "4" } == true)
        #expect(faulty.count(.get) == 4)
        let waited = clock.now().since(before)
        #expect(waited >= .seconds(3) && waited <= .seconds(6), "1 + 2 + 3 s or the half of it, not \(waited)")
        #expect((1...5).map { policy.delay(after: $0) } == [1, 2, 3, 3, 3].map { .seconds($0) })
    }

    @Test("failures that do not pass are not retried, those that may be repeated at once do not wait")
    func retryClasses() throws {
        let faulty = FaultyStore(MemoryStore())
        let store = RetryingStore(faulty, clock: clock, entropy: SeededEntropy(seed: 3))
        #expect(code { try store.get("a") } == .objectMissing)
        #expect(faulty.count(.get) == 1)
        let before = clock.now()
        faulty.add(StoreFault(.fail(HoldfastError(.storeUnavailable, "again", retry: .now)), on: .put, times: 2))
        try store.put("a", [1])
        #expect(faulty.count(.put) == 3)
        #expect(clock.now() == before)
    }

    @Test("a raised cancellation ends the tries")
    func cancelledRetries() {
        let cancellation = Cancellation()
        let faulty = FaultyStore(MemoryStore(), faults: [StoreFault(.fail(passing))])
        let store = RetryingStore(
            faulty, clock: clock, entropy: SeededEntropy(seed: 3), cancellation: cancellation)
        cancellation.raise()
        #expect(code { try store.put("a", [1]) } == .storeUnavailable)
        #expect(faulty.count(.put) == 1)
    }

    // MARK: - Rates and counts

    @Test("the average rate is kept, and idle time gives no more than a short burst")
    func rate() {
        let limit = ByteRateLimit(ByteCount(UInt64(1000)), burst: .milliseconds(100), clock: clock)
        let start = clock.uptime()
        for _ in 0..<10 { limit.take(ByteCount(UInt64(1000))) }
        #expect(clock.uptime() - start == .milliseconds(9900))
        clock.advance(by: .seconds(3600))
        let later = clock.uptime()
        for _ in 0..<10 { limit.take(ByteCount(UInt64(1000))) }
        #expect(clock.uptime() - later == .milliseconds(9900))
        limit.take(ByteCount(UInt64(0)))
        #expect(clock.uptime() - later == .milliseconds(9900))
    }

    @Test("reads and writes are throttled apart, and threads share a rate")
    func throttledStore() throws {
        let reading = ByteRateLimit(ByteCount(UInt64(1000)), burst: .zero, clock: clock)
        let store = ThrottledStore(MemoryStore(), reading: reading)
        let start = clock.uptime()
        try store.put("a", [UInt8](repeating: 0, count: 4000))
        #expect(clock.uptime() == start)
        _ = try store.get("a")
        #expect(clock.uptime() - start == .seconds(4))
        _ = try store.bytes("a", 0..<500)
        #expect(clock.uptime() - start == .milliseconds(4500))
        withThreads(4) { _ in reading.take(ByteCount(UInt64(1000))) }
        #expect(clock.uptime() - start >= .milliseconds(8500))
    }

    @Test("successful calls and their bytes are counted")
    func counts() throws {
        let faulty = FaultyStore(MemoryStore(), faults: [StoreFault(.fail(passing), on: .put, times: 1)])
        let store = CountingStore(faulty)
        _ = failure { try store.put("a", [1, 2, 3]) }
        try store.put("a", [1, 2, 3])
        _ = try store.get("a")
        _ = try store.bytes("a", 1..<3)
        try store.delete(key("a"))
        let traffic = store.traffic
        #expect(traffic.puts == 1 && traffic.written == ByteCount(UInt64(3)))
        #expect(traffic.reads == 2 && traffic.read == ByteCount(UInt64(5)))
        #expect(traffic.deletes == 1)
    }
}

@Suite("Locations of stores")
struct StoreLocationTests {
    @Test(
        "paths in their three forms are local stores",
        arguments: [
            ("dir:relative/path", "relative/path"), ("dir:/a:b", "/a:b"), ("/srv/backup", "/srv/backup"),
            ("./a:b", "./a:b"), ("backup", "backup"), ("file:///srv/a%20b%25", "/srv/a b%"),
            ("file:/srv", "/srv"), ("file://localhost/srv", "/srv"), ("1:x", "1:x"),
        ])
    func local(_ text: String, _ path: String) throws {
        #expect(try StoreLocation(text) == .local(path: path))
    }

    @Test(
        "everything else is a usage error that names what can be written and repeats no password",
        arguments: [
            "s3://user:hunter2@host/bucket", "sftp:user:hunter2@host:/x", "SFTP:hunter2", "", "dir:", "file://",
            "file://host/hunter2", "file:///a%2", "file:///%zz", "file:///a%00b", "file:///%ff", "file:hunter2",
        ])
    func refused(_ text: String) {
        let error = failure { try StoreLocation(text) }
        #expect(error?.code == .usage)
        #expect(error?.description.contains("hunter2") == false)
        #expect(error?.hint.isEmpty == false)
    }

    @Test("a store made by its location opens by it")
    func createAndOpen() throws {
        let directory = TemporaryDirectory()
        try StoreLocation.create("dir:\(directory.path)/s").put("gc/1", [1])
        #expect(try StoreLocation.open("file://\(directory.path)/s").get("gc/1") == [1])
        #expect(code { try StoreLocation.open("dir:\(directory.path)/none") } == .repositoryNotFound)
    }
}
