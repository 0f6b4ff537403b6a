// The run stores that run the suite; a new store adds its entry here.

import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

/// What a test needs of a store.
typealias StateStore = RunStore & RunHistory & OrderStore & AlertStore

/// A store made for one test, with the clock of its leases.
struct RunStoreFixture: Sendable {
    /// The same state again, as another process opens it.
    var open: @Sendable () throws -> any StateStore
    var clock: ManualClock
    var directory: TemporaryDirectory
}

/// How to make an empty run store of one kind.
struct RunStoreUnderTest: Sendable, CustomTestStringConvertible {
    let name: String
    let make: @Sendable () throws -> RunStoreFixture
    var testDescription: String { name }

    static let all = [sqlite, memory]

    static let sqlite = RunStoreUnderTest(name: "SQLiteRunStore") {
        let directory = TemporaryDirectory()
        let clock = ManualClock()
        return RunStoreFixture(
            open: {
                try SQLiteRunStore(
                    path: directory.path + "/runs.sqlite",
                    clock: RunStoreClock(boot: "this boot") { clock.uptime() }, patience: .seconds(30))
            }, clock: clock, directory: directory)
    }

    static let memory = RunStoreUnderTest(name: "MemoryRunStore") {
        let clock = ManualClock()
        let store = MemoryRunStore(clock: RunStoreClock(boot: "this boot") { clock.uptime() })
        return RunStoreFixture(open: { store }, clock: clock, directory: TemporaryDirectory())
    }
}
