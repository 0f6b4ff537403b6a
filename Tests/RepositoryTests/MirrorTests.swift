// A second copy: complete, resumable, and never of anything bad.

import ObjectStore
import Primitives
import Repository
import Synchronization
import TestSupport
import Testing

@Suite struct MirrorTests {
    private func mirror(
        _ history: History, from source: (any ObjectStore)? = nil, to target: any ObjectStore, isDryRun: Bool = false
    ) throws -> MirrorReport {
        var options = MirrorOptions()
        options.isDryRun = isDryRun
        return try Mirror(
            from: source ?? history.store, to: target, environment: history.small.environment
        ).run(options)
    }

    @Test("a mirror holds everything but leases, and opens with the same password")
    func complete() throws {
        let history = try History(seed: 60)
        let lease: [UInt8] = [1]
        let key = try #require(ObjectKey("leases/01kdwqq4d0x3dbrq8jcbwm8n0f/0"))
        try history.store.putIfAbsent(key, lease.span.bytes)
        let target = MemoryStore()
        let dry = try mirror(history, to: target, isDryRun: true)
        #expect(try StoreKeys.all("", in: target).isEmpty)
        let report = try mirror(history, to: target)
        try report.requireComplete()
        let keys = try StoreKeys.all("", in: target)
        #expect(keys == (try history.keys("")).filter { $0 != key })
        #expect(report.objectsCopied == UInt64(keys.count) && report.snapshotsCopied == 3)
        #expect(dry.objectsCopied == report.objectsCopied && dry.bytesCopied == report.bytesCopied)
        for key in keys {
            #expect(try target.get(key, limit: .mebi(64)) == history.store.get(key, limit: .mebi(64)))
        }
        let check = try history.check(.all, on: target)
        #expect(!check.hasErrors && check.counts.chunksVerified == 23, "\(check.text)")
    }

    @Test("the second run copies nothing, and the third only what is new")
    func incremental() throws {
        let history = try History(seed: 61)
        let target = MemoryStore()
        let first = try mirror(history, to: target)
        let counting = CountingStore(target)
        let second = try mirror(history, to: counting)
        #expect(second.objectsCopied == 0 && second.objectsPresent == first.objectsCopied)
        #expect(counting.traffic.puts == 0)
        try HistoryWriter(repository: history.small.repository, source: "home")
            .commit([HistoryFile(name: "new", bytes: try noise(9_000, seed: 61))])
        let third = try mirror(history, to: target)
        #expect(third.snapshotsCopied == 1 && third.packsCopied == 2 && third.objectsCopied == 4)
    }

    @Test("a mirror that fails at any put goes on where it stopped, and is a whole repository all along")
    func resumes() throws {
        let history = try History(seed: 62)
        var call = 0
        var isDone = false
        while !isDone {
            let target = MemoryStore()
            let faulty = FaultyStore(
                target,
                faults: [
                    StoreFault(
                        .fail(HoldfastError(.storeUnavailable, "pulled", hint: "Plug it in.")), on: .put,
                        skipping: call)
                ])
            do {
                try mirror(history, to: faulty).requireComplete()
                isDone = true
            } catch {
                #expect((error as? HoldfastError)?.message == "pulled")
                if try StoreKeys.all("slots/", in: target).count == 1 {
                    let report = try history.check(.all, on: target)
                    #expect(!report.hasErrors, "after \(call) puts: \(report.text)")
                }
            }
            try mirror(history, to: target).requireComplete()
            #expect(try StoreKeys.all("", in: target) == history.keys(""))
            call += 1
        }
        #expect(call == (try history.keys("").count) + 1)
    }

    @Test("a failing read of the source is repeated once")
    func transientRead() throws {
        let history = try History(seed: 63)
        let faulty = FaultyStore(
            history.store, faults: [StoreFault(.flipBit(8 * 700), on: .read, prefix: "packs/", times: 1)])
        let report = try mirror(history, from: faulty, to: MemoryStore())
        #expect(report.isComplete && report.transientReads.count == 1)
    }

    @Test("nothing bad is copied, and no snapshot before all that it may need", arguments: Harm.allCases)
    func badSource(_ harm: Harm) throws {
        let other = try History(seed: 164)
        for directory in ["packs/", "index/", "snapshots/", "grants/"] {
            let history = try History(seed: 64)
            let key = try #require(try history.keys(directory).last)
            try harm.apply(to: key, in: history, other: other)
            let target = MemoryStore()
            let report = try mirror(history, to: target)
            #expect(!(try StoreKeys.all("", in: target)).contains(key), "\(harm) \(key)")
            if directory == "snapshots/", harm == .missing { continue }
            #expect(
                report.badAtSource.contains {
                    harm == .missing ? key.path.hasPrefix($0.object) : $0.object == key.path
                },
                "\(harm) \(key)")
            #expect(throws: HoldfastError.self) { try report.requireComplete() }
            if directory == "packs/" || directory == "index/" { #expect(!report.withheld.isEmpty) }
            guard directory != "grants/" else { continue }
            let check = try history.check(.all, on: target)
            #expect(!check.hasErrors, "\(harm) \(key): \(check.text)")
        }
    }

    @Test("snapshots that were withheld come after a repair of the source")
    func repaired() throws {
        let history = try History(seed: 65)
        let pack = try #require(try history.packs(.delta).first)
        history.store.damage(pack) { $0[PackHead.size + 3] ^= 1 }
        let target = MemoryStore()
        let first = try mirror(history, to: target)
        #expect(Set(first.withheld.map(\.snapshot)) == Set(history.snapshots.dropFirst()))
        #expect(first.withheld.allSatisfy { $0.waitsFor == [pack.path] })
        var options = RepairOptions()
        options.readsData = true
        _ = try history.small.repository.repairIndex(options)
        let second = try mirror(history, to: target)
        #expect(second.withheld.isEmpty && second.snapshotsCopied == 2, "\(second)")
    }

    @Test("another repository at the target is refused")
    func otherTarget() throws {
        let history = try History(seed: 66)
        let other = try History(seed: 166)
        let before = try other.keys("")
        #expect(throws: HoldfastError.self) { try mirror(history, to: other.store) }
        #expect(try other.keys("") == before)
        for key in try other.keys("format/") { try other.store.delete(key) }
        #expect(throws: HoldfastError.self) { try mirror(history, to: other.store) }
        #expect(throws: HoldfastError.self) { try mirror(history, from: MemoryStore(), to: MemoryStore()) }
    }

    @Test("an object of another length at the target is named, and not replaced")
    func badTarget() throws {
        let history = try History(seed: 67)
        for directory in ["packs/", "index/", "snapshots/", "slots/"] {
            let target = MemoryStore()
            _ = try mirror(history, to: target)
            let key = try #require(try history.keys(directory).first)
            target.damage(key) { $0.removeLast() }
            let report = try mirror(history, to: target)
            #expect(report.badAtTarget.map(\.object) == [key.path] && !report.isComplete)
            #expect(report.objectsCopied == 0)
        }
    }

    @Test("a mirror under a running writer holds whole snapshots only")
    func runningWriter() throws {
        let history = try History(seed: 68)
        let repository = history.small.repository
        let target = MemoryStore()
        let over = Mutex(false)
        let failure = Mutex<String?>(nil)
        let thread = JoinableThread {
            var number: UInt64 = 0
            while !over.withLock({ $0 }) {
                number += 1
                do {
                    let bytes = try noise(30_000, seed: number)
                    try HistoryWriter(repository: repository, source: "busy")
                        .commit([HistoryFile(name: "file", bytes: bytes)])
                } catch {
                    failure.withLock { $0 = "\(error)" }
                }
            }
        }
        for round in 0..<6 {
            let report = try mirror(history, to: target)
            #expect(report.isComplete, "round \(round): \(report)")
            let check = try history.check(.all, on: target)
            #expect(!check.hasErrors, "round \(round): \(check.text)")
        }
        over.withLock { $0 = true }
        thread?.join()
        #expect(failure.withLock { $0 } == nil)
        try mirror(history, to: target).requireComplete()
        let last = try history.check(.all, on: target)
        #expect(!last.hasErrors && last.counts.snapshots > 3)
    }
}
