// What every object store must do. One suite; StoreUnderTest.swift says who runs it.

import ObjectStore
import Primitives
import Synchronization
import TestSupport
import TestThreads
import Testing

@Suite("Every object store", .waiting)
struct ObjectStoreConformance {
    // MARK: - Put and get

    @Test("gives back what was put", arguments: StoreUnderTest.all)
    func putAndGet(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let bytes = pattern(10_000)
        try fixture.store.put("packs/ab/one", bytes)
        #expect(try fixture.store.get(key("packs/ab/one"), limit: .mebi(1)) == bytes)
    }

    @Test("holds objects without bytes", arguments: StoreUnderTest.all)
    func emptyObject(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("holds/empty", [])
        try fixture.store.put("holds/empty", [])
        #expect(try fixture.store.get(key("holds/empty"), limit: ByteCount(0)) == [])
        #expect(try fixture.store.info(key("holds/empty"))?.size == 0)
        #expect(try fixture.store.bytes("holds/empty", 0..<0) == [])
        #expect(code { try fixture.store.bytes("holds/empty", 0..<1) } == .corruptObject)
        #expect(code { try fixture.store.put("holds/empty", [1]) } == .objectExists)
    }

    @Test("holds an object of 40 MiB", arguments: StoreUnderTest.all)
    func largeObject(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let bytes = pattern(40 << 20)
        try fixture.store.put("packs/00/large", bytes)
        #expect(try fixture.store.info(key("packs/00/large"))?.size == 40 << 20)
        // Not inside the expectation, which would print 40 MiB.
        let isSame = try fixture.store.get(key("packs/00/large"), limit: .mebi(40)) == bytes
        #expect(isSame)
        let end = (40 << 20) - 3
        #expect(try fixture.store.bytes("packs/00/large", end..<end + 3) == [UInt8](bytes[end...]))
        try fixture.store.put("packs/00/large", bytes)
    }

    @Test("takes the same bytes twice and refuses others", arguments: StoreUnderTest.all)
    func secondPut(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let bytes = pattern(5000)
        try fixture.store.put("index/a", bytes)
        try fixture.store.put("index/a", bytes)
        var sameLength = bytes
        sameLength[4999] ^= 1
        for other in [sameLength, Array(bytes.dropLast()), bytes + [0], []] {
            #expect(code { try fixture.store.put("index/a", other) } == .objectExists)
        }
        #expect(try fixture.store.get(key("index/a"), limit: .mebi(1)) == bytes)
    }

    @Test("lets a name be put again after a delete", arguments: StoreUnderTest.all)
    func putAfterDelete(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("gc/1", [1])
        try fixture.store.delete(key("gc/1"))
        try fixture.store.put("gc/1", [2])
        #expect(try fixture.store.get(key("gc/1"), limit: .mebi(1)) == [2])
    }

    // MARK: - Reads

    @Test("reads ranges at both ends and across the middle", arguments: StoreUnderTest.all)
    func ranges(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let bytes = pattern(200_000)
        try fixture.store.put("packs/ff/x", bytes)
        for range in [0..<1, 0..<200_000, 199_999..<200_000, 65_519..<131_073, 7..<7, 200_000..<200_000] {
            #expect(try fixture.store.bytes("packs/ff/x", range) == [UInt8](bytes[range]), "range \(range)")
        }
    }

    @Test("reports a range past the end as a damaged object", arguments: StoreUnderTest.all)
    func shortRead(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("packs/ff/x", pattern(100))
        #expect(code { try fixture.store.bytes("packs/ff/x", 90..<101) } == .corruptObject)
        #expect(code { try fixture.store.bytes("packs/ff/x", 100..<101) } == .corruptObject)
        #expect(code { try fixture.store.bytes("packs/ff/x", 4000..<4001) } == .corruptObject)
        #expect(code { try fixture.store.readLastByteOfAll("packs/ff/x") } == .corruptObject)
    }

    @Test("refuses an object over the limit", arguments: StoreUnderTest.all)
    func limit(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("slots/a", pattern(1001))
        #expect(code { try fixture.store.get(key("slots/a"), limit: ByteCount(1000)) } == .limitExceeded)
        #expect(try fixture.store.get(key("slots/a"), limit: ByteCount(1001)).count == 1001)
    }

    @Test("names what is missing", arguments: StoreUnderTest.all)
    func missing(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("snapshots/aa/01", [1])
        for name in ["packs/ab/none", "nowhere/at/all", "snapshots/aa", "snapshots/aa/01/deeper", "none"] {
            #expect(code { try fixture.store.get(key(name), limit: .mebi(1)) } == .objectMissing, "get \(name)")
            #expect(code { try fixture.store.bytes(name, 0..<1) } == .objectMissing, "read \(name)")
            #expect(try fixture.store.info(key(name)) == nil, "info \(name)")
            try fixture.store.delete(key(name))
            try fixture.store.setAside(key(name))
        }
        #expect(try fixture.store.get(key("snapshots/aa/01"), limit: .mebi(1)) == [1])
    }

    // MARK: - Listing

    @Test("lists by prefix, each object once, with its size", arguments: StoreUnderTest.all)
    func list(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let names = ["packs/00/a", "packs/00/b", "packs/ff/c", "index/a", "snapshots/t1/1", "snapshots/t12/1", "top"]
        for (size, name) in names.enumerated() { try fixture.store.put(name, pattern(size)) }
        #expect(try fixture.store.names("") == names.sorted())
        #expect(try fixture.store.names("packs/") == ["packs/00/a", "packs/00/b", "packs/ff/c"])
        #expect(try fixture.store.names("packs/00/") == ["packs/00/a", "packs/00/b"])
        #expect(try fixture.store.names("snapshots/t1/") == ["snapshots/t1/1"])
        #expect(try fixture.store.names("snapshots/t1") == ["snapshots/t1/1", "snapshots/t12/1"])
        for none in ["grants/", "unknown/", "packs/00/a/", "../", "/", "packs//", "./packs/"] {
            #expect(try fixture.store.names(none) == [], "prefix \(none)")
        }
        try fixture.store.list("packs/ff/") { (info) throws(HoldfastError) in #expect(info.size == 2) }
    }

    @Test("hands on what the listing's visitor throws, and visits no more", arguments: StoreUnderTest.all)
    func visitorThrows(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        for name in ["holds/a", "holds/b", "holds/c"] { try fixture.store.put(name, []) }
        var visits = 0
        let thrown = code {
            try fixture.store.list("holds/") { (_) throws(HoldfastError) in
                visits += 1
                throw HoldfastError(.interrupted, "enough", retry: .later)
            }
        }
        #expect(thrown == .interrupted)
        #expect(visits == 1)
    }

    @Test("keeps strange but lawful names apart", arguments: StoreUnderTest.all)
    func strangeNames(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let long = String(repeating: "n", count: 255)
        let deep = (0..<60).map { "d\($0)" }.joined(separator: "/")
        let names = [
            "a..b", "a.", "-", "_", "gc/1.sweep", "gc/1.done", "gc/1", "logs/t/\(long)", deep, "0", "00", "con",
        ]
        for name in names { try fixture.store.put(name, Array(name.utf8)) }
        #expect(try fixture.store.names("") == names.sorted())
        for name in names {
            #expect(try fixture.store.get(key(name), limit: .mebi(1)) == Array(name.utf8), "name \(name)")
        }
    }

    @Test("no store is asked for a name outside of it")
    func refusedNames() {
        for name in [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".put-1", "packs/.x", "A", "a b", "a\0", "ä", "a\\b",
        ] {
            #expect(ObjectKey(name) == nil, "name \(name)")
        }
    }

    // MARK: - Delete, set aside, times

    @Test("a deleted object is gone from every view, and again is success", arguments: StoreUnderTest.all)
    func delete(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("leases/l/0", [1])
        try fixture.store.put("leases/l/1", [2])
        try fixture.store.delete(key("leases/l/0"))
        try fixture.store.delete(key("leases/l/0"))
        #expect(code { try fixture.store.get(key("leases/l/0"), limit: .mebi(1)) } == .objectMissing)
        #expect(try fixture.store.info(key("leases/l/0")) == nil)
        #expect(try fixture.store.names("") == ["leases/l/1"])
    }

    @Test("an object set aside makes room for a good one", arguments: StoreUnderTest.all)
    func setAside(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.put("packs/ab/x", [0])
        try fixture.store.setAside(key("packs/ab/x"))
        #expect(try fixture.store.names("") == [])
        #expect(try fixture.store.info(key("packs/ab/x")) == nil)
        try fixture.store.put("packs/ab/x", [1])
        #expect(try fixture.store.get(key("packs/ab/x"), limit: .mebi(1)) == [1])
        try fixture.store.setAside(key("packs/ab/x"))
        #expect(try fixture.store.names("") == [])
    }

    @Test("its own time runs with the times of its objects", arguments: StoreUnderTest.all)
    func times(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let before = try fixture.store.time()
        try fixture.store.put("holds/a", [1])
        let modified = try #require(try fixture.store.info(key("holds/a"))).modified
        let after = try fixture.store.time()
        #expect(before <= modified && modified <= after, "\(before) \(modified) \(after)")
        try fixture.store.list("holds/") { (info) throws(HoldfastError) in #expect(info.modified == modified) }
        #expect(try fixture.store.names("") == ["holds/a"])
    }

    @Test("giving back the reserve is harmless", arguments: StoreUnderTest.all)
    func reserve(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        try fixture.store.releaseReserve()
        try fixture.store.releaseReserve()
        try fixture.store.put("holds/a", [1])
        #expect(try fixture.store.names("") == ["holds/a"])
    }

    // MARK: - At the same moment

    @Test("identical puts at the same moment all succeed", arguments: StoreUnderTest.all, [2, 8])
    func identicalPuts(_ subject: StoreUnderTest, _ writers: Int) throws {
        let fixture = try subject.make()
        let bytes = pattern(100_000)
        for round in 0..<10 {
            let outcomes = together(writers) { _ in try fixture.store.put("packs/0a/r\(round)", bytes) }
            #expect(outcomes.allSatisfy { $0 == nil }, "round \(round): \(outcomes)")
            #expect(try fixture.store.get(key("packs/0a/r\(round)"), limit: .mebi(1)) == bytes)
        }
        #expect(try fixture.store.names("").count == 10)
    }

    @Test("of different puts of one name exactly one wins", arguments: StoreUnderTest.all, [2, 8])
    func differentPuts(_ subject: StoreUnderTest, _ writers: Int) throws {
        let fixture = try subject.make()
        guard fixture.store.capabilities.createsIfAbsent else { return }
        for round in 0..<10 {
            let outcomes = together(writers) { writer in
                try fixture.store.put("gc/\(round)", [UInt8](repeating: UInt8(writer), count: 10_000 + writer))
            }
            let winners = outcomes.indices.filter { outcomes[$0] == nil }
            #expect(winners.count == 1, "round \(round): \(outcomes)")
            #expect(outcomes.allSatisfy { $0 == nil || $0 == .objectExists }, "round \(round): \(outcomes)")
            let winner = try #require(winners.first)
            let found = try fixture.store.get(key("gc/\(round)"), limit: .mebi(1))
            #expect(found == [UInt8](repeating: UInt8(winner), count: 10_000 + winner), "round \(round)")
        }
    }

    @Test("readers and listers see whole objects while others put and delete", arguments: StoreUnderTest.all)
    func mixedTraffic(_ subject: StoreUnderTest) throws {
        let fixture = try subject.make()
        let outcomes = together(4) { worker in
            for round in 0..<20 {
                let name = "leases/w/\(round % 4)"
                switch worker {
                case 0: try fixture.store.put(name, pattern(30_000))
                case 1: try fixture.store.delete(key(name))
                case 2:
                    do {
                        let found = try fixture.store.get(key(name), limit: .mebi(1))
                        if found != pattern(30_000) { throw HoldfastError(.corruptObject, "torn") }
                    } catch let error as HoldfastError where error.code == .objectMissing {}
                default:
                    try fixture.store.list("") { (info) throws(HoldfastError) in
                        if info.size != 30_000 { throw HoldfastError(.corruptObject, "torn") }
                    }
                }
            }
        }
        #expect(outcomes.allSatisfy { $0 == nil }, "\(outcomes)")
    }
}
