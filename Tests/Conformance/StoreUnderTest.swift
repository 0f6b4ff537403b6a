// The stores that run the suite; a new store adds its entry here.

import ObjectStore
import Primitives
import TestSupport
import Testing

/// A store made for one test, with what must live as long.
struct StoreFixture: Sendable {
    var store: any ObjectStore
    var directory: TemporaryDirectory?
}

/// How to make an empty store of one kind.
struct StoreUnderTest: Sendable, CustomTestStringConvertible {
    let name: String
    let make: @Sendable () throws -> StoreFixture
    var testDescription: String { name }

    static let all = [local, localWithoutLinks, memory, retrying, throttled, counting]

    static let local = StoreUnderTest(name: "LocalStore") {
        let directory = TemporaryDirectory()
        let store = try LocalStore.create(at: directory.path + "/store", reserve: ByteCount(0))
        return StoreFixture(store: store, directory: directory)
    }

    static let localWithoutLinks = StoreUnderTest(name: "LocalStore without hard links") {
        let directory = TemporaryDirectory()
        let calls = ScriptedFileCalls { $0.call == .link ? .fail(SystemErrno.notPermitted) : .pass }
        let store = try LocalStore.create(at: directory.path + "/store", reserve: ByteCount(0), calls: calls)
        return StoreFixture(store: store, directory: directory)
    }

    static let memory = StoreUnderTest(name: "MemoryStore") { StoreFixture(store: MemoryStore()) }

    /// Each kind of call fails once, and puts lose their answer once: a user of the store must not notice.
    static let retrying = StoreUnderTest(name: "RetryingStore over a faulty one") {
        let clock = ManualClock()
        let passing = HoldfastError(.storeUnavailable, "a passing fault", retry: .later)
        var faults = StoreMethod.allCases.map { StoreFault(.fail(passing), on: $0, times: 1) }
        faults.append(StoreFault(.failAfterwards(passing), on: .put, times: 1))
        faults.append(StoreFault(.failAfterwards(passing), on: .list, times: 1))
        faults.append(StoreFault(.failAfterwards(passing), on: .delete, times: 1))
        let faulty = FaultyStore(MemoryStore(clock: clock), clock: clock, faults: faults)
        return StoreFixture(store: RetryingStore(faulty, clock: clock, entropy: SeededEntropy(seed: 1)))
    }

    static let throttled = StoreUnderTest(name: "ThrottledStore") {
        let clock = ManualClock()
        let limit = ByteRateLimit(.mebi(1), clock: clock)
        return StoreFixture(store: ThrottledStore(MemoryStore(clock: clock), reading: limit, writing: limit))
    }

    static let counting = StoreUnderTest(name: "CountingStore") {
        StoreFixture(store: CountingStore(MemoryStore()))
    }
}
