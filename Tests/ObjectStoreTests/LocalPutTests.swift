// The order of calls in a put, and what is left when any of them fails.

import Glibc
import ObjectStore
import Primitives
import Synchronization
import TestSupport
import Testing

@Suite("Puts of the local store")
struct LocalPutTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/store" }

    @Test("bytes are synced before they get their name, and the name before the put returns")
    func order() throws {
        let calls = ScriptedFileCalls()
        let store = try LocalStore.create(at: path, calls: calls)
        try store.put("packs/ab/warm", [1])
        let before = calls.entries.count
        try store.put("packs/ab/x", [1, 2, 3])
        let trace = calls.entries[before...].map { entry in
            entry.name.hasPrefix(".put-") ? "\(entry.call) temporary" : "\(entry.call) \(entry.name)"
        }
        #expect(
            trace == [
                "open packs/ab", "open x", "create temporary", "write temporary", "setMode temporary",
                "sync temporary", "close temporary", "link x", "sync packs/ab", "unlink temporary", "close packs/ab",
            ])
    }

    @Test("directories made for a put are synced into their parents before the object gets its name")
    func newDirectories() throws {
        let calls = ScriptedFileCalls()
        let store = try LocalStore.create(at: path, calls: calls)
        let before = calls.entries.count
        try store.put("snapshots/tag/sub/x", [1])
        let trace = calls.entries[before...].filter { $0.call != .open && $0.call != .close }
            .map { $0.name.hasPrefix(".put-") ? "\($0.call) temporary" : "\($0.call) \($0.name)" }
        #expect(
            trace == [
                "makeDirectory snapshots", "sync .", "makeDirectory tag", "sync snapshots", "makeDirectory sub",
                "sync snapshots/tag", "create temporary", "write temporary", "setMode temporary", "sync temporary",
                "link x", "sync snapshots/tag/sub", "unlink temporary",
            ])
    }

    @Test("a repeated put syncs the file and the directory that another may have left unsynced")
    func repeatedPutSyncs() throws {
        let calls = ScriptedFileCalls()
        let store = try LocalStore.create(at: path, calls: calls)
        try store.put("packs/ab/x", [1])
        let before = calls.entries.count
        try store.put("packs/ab/x", [1])
        let synced = calls.entries[before...].filter { $0.call == .sync }.map(\.name)
        #expect(synced == ["x", "packs/ab"])
    }

    @Test("a delete is synced, also one that another did already")
    func deleteSyncs() throws {
        let calls = ScriptedFileCalls()
        let store = try LocalStore.create(at: path, calls: calls)
        try store.put("packs/ab/x", [1])
        let before = calls.entries.count
        try store.delete(key("packs/ab/x"))
        try store.delete(key("packs/ab/x"))
        let trace = calls.entries[before...].map { "\($0.call) \($0.name)" }
        let once = ["open packs/ab", "unlink x", "sync packs/ab", "close packs/ab"]
        #expect(trace == once + once)
    }

    @Test("an object has mode 0400 whatever the process masks")
    func mode() throws {
        let store = try LocalStore.create(at: path)
        try store.put("packs/ab/x", [1])
        var status = stat()
        #expect(lstat(path + "/packs/ab/x", &status) == 0)
        #expect(status.st_mode == S_IFREG | 0o400)
        #expect(status.st_nlink == 1)
    }

    @Test("a failed fsync ends its file: the retry writes a new one")
    func failedSync() throws {
        let failed = Mutex(false)
        let calls = ScriptedFileCalls { entry in
            guard entry.call == .sync, entry.name.hasPrefix(".put-") else { return .pass }
            return failed.withLock { done in
                defer { done = true }
                return done ? .pass : .fail(EIO)
            }
        }
        let store = try LocalStore.create(at: path, reserve: ByteCount(0), calls: calls)
        let error = failure { try store.put("gc/1", [1]) }
        #expect(error?.code == .storeUnavailable)
        #expect(error?.retry == .later)
        #expect(dotFiles(below: path) == [])
        try store.put("gc/1", [1])
        let created = calls.entries.filter { $0.call == .create && $0.name.hasPrefix(".put-") }.map(\.name)
        #expect(created.count == 2)
        #expect(Set(created).count == 2)
    }

    @Test("short writes are completed")
    func shortWrites() throws {
        let calls = ScriptedFileCalls { $0.call == .write ? .short(999) : .pass }
        let store = try LocalStore.create(at: path, calls: calls)
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        try store.put("packs/ab/x", bytes)
        #expect(try store.get("packs/ab/x") == bytes)
    }

    // MARK: - Every call fails once

    enum Way: CaseIterable, Sendable { case failing, failingAfterwards, crashing }

    @Test("whichever call of a put fails, the object is absent or whole and a retry works", arguments: Way.allCases)
    func everyCallOfAPut(_ way: Way) throws {
        try failEachCall(way) { store, bytes in
            try store.put("snapshots/tag/x", bytes)
        } check: { store, bytes, succeeded, label in
            let found = try store.info(key("snapshots/tag/x")) == nil ? nil : try store.get("snapshots/tag/x")
            #expect(found == nil || found == bytes, "torn: \(label)")
            if succeeded { #expect(found == bytes, "lost: \(label)") }
        }
    }

    @Test("whichever call of a repeated put fails, the object stays", arguments: Way.allCases)
    func everyCallOfARepeatedPut(_ way: Way) throws {
        try failEachCall(way) { store, bytes in
            try store.put("holds/there", bytes)
        } check: { store, bytes, _, label in
            let found = try store.get("holds/there")
            #expect(found == bytes, "\(label)")
        }
    }

    @Test("whichever call of a delete fails, success means gone", arguments: Way.allCases)
    func everyCallOfADelete(_ way: Way) throws {
        try failEachCall(way) { store, _ in
            try store.delete(key("holds/there"))
        } check: { store, bytes, succeeded, label in
            let info = try store.info(key("holds/there"))
            if succeeded { #expect(info == nil, "\(label)") }
            if info != nil { #expect(try store.get("holds/there") == bytes, "\(label)") }
        }
    }

    @Test("whichever call of setting aside fails, the bytes are kept somewhere", arguments: Way.allCases)
    func everyCallOfSettingAside(_ way: Way) throws {
        try failEachCall(way) { store, _ in
            try store.setAside(key("holds/there"))
        } check: { store, bytes, succeeded, label in
            let places = try store.names("holds/") + store.names("quarantine/")
            #expect(places.count == 1, "\(label): \(places)")
            for place in places { #expect(try store.get(place) == bytes, "\(label)") }
            if succeeded { #expect(try store.info(key("holds/there")) == nil, "\(label)") }
        }
    }

    /// Runs `act` on a store of its own with the first call failing, then the second, and so on until none is left to
    /// fail; after each, a store opened afresh must pass `check`, and `act` must succeed on it.
    private func failEachCall(
        _ way: Way, _ act: (LocalStore, [UInt8]) throws -> Void,
        check: (LocalStore, [UInt8], _ succeeded: Bool, _ label: String) throws -> Void
    ) throws {
        let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for index in 0...200 {
            let path = directory.path + "/\(way)-\(index)"
            // The least that counts as a store: the 270 directories of a whole one would cost seconds here.
            mkdir(path, 0o700)
            mkdir(path + "/format", 0o700)
            try LocalStore.open(at: path, reserve: ByteCount(0)).put("holds/there", bytes)
            let armed = Mutex<Int?>(nil)
            let hit = Mutex<String?>(nil)
            let calls = ScriptedFileCalls { entry in
                guard let start = armed.withLock({ $0 }) else { return .pass }
                let isHit = way == .crashing ? entry.index >= start + index : entry.index == start + index
                guard isHit else { return entry.call == .write ? .short(1000) : .pass }
                hit.withLock { $0 = $0 ?? "\(way) at \(entry)" }
                return way == .failingAfterwards ? .failAfterwards(EIO) : .fail(index % 2 == 0 ? EIO : ENOSPC)
            }
            let store = try LocalStore.open(at: path, reserve: ByteCount(0), calls: calls)
            armed.withLock { $0 = calls.entries.count }
            let error = failure { try act(store, bytes) }
            let label = hit.withLock { $0 } ?? "no failure"
            #expect(calls.openDescriptors == 0, "descriptors left: \(label)")
            if label == "no failure" { #expect(error == nil) }
            try check(LocalStore.open(at: path, reserve: ByteCount(0)), bytes, error == nil, label)

            armed.withLock { $0 = nil }
            #expect(throws: Never.self, "the retry after \(label)") { try act(store, bytes) }
            try check(LocalStore.open(at: path, reserve: ByteCount(0)), bytes, true, "retry after \(label)")
            if way == .failing, !label.contains("unlink") {
                #expect(dotFiles(below: path) == [], "left behind: \(label)")
            }
            guard label == "no failure" else { continue }
            #expect(index >= 4, "only \(index) calls were made")
            return
        }
        Issue.record("no end of calls")
    }

    @Test("whichever call of making a store fails, making it again works", arguments: [EIO, ENOSPC])
    func everyCallOfCreate(_ number: Int32) throws {
        // Some 270 calls make the directories of the packs: a step of 31 meets each kind of call.
        for index in Array(0..<25) + Array(stride(from: 25, to: 330, by: 31)) {
            let path = directory.path + "/create-\(number)-\(index)"
            let calls = ScriptedFileCalls { $0.index == index ? .fail(number) : .pass }
            let code = code { try LocalStore.create(at: path, calls: calls) }
            #expect([nil, .storeUnavailable, .noSpace].contains(code), "call \(index)")
            #expect(calls.openDescriptors == 0, "call \(index)")
            let store = try LocalStore.create(at: path)
            try store.put("packs/7f/x", [1])
            #expect(try store.names() == ["packs/7f/x"], "call \(index)")
        }
    }
}
