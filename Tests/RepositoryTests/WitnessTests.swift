// A store that hides what it showed before, and the client that has seen it.

import Glibc
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("A client that has seen more than the store shows")
struct WitnessTests {
    private let directory = TemporaryDirectory()
    private let house: SmallHouse

    init() throws { house = try SmallHouse() }

    /// The repository as a command with a memory opens it.
    private func open(
        _ answer: StoreWitness.Answer = .refuse, through store: (any ObjectStore)? = nil,
        told: @escaping @Sendable (StoreWitness.Remark) -> Void = { _ in }
    ) throws -> Repository {
        var environment = SmallHouse.environment(house.clock, 7)
        environment.witness = StoreWitness(directory: directory.path, answer: answer, tell: told)
        return try Repository.open(store ?? house.store, secret: SmallHouse.secret(1), environment: environment)
    }

    /// One command, with what it remembers at its end.
    private func look(_ use: (Repository) throws -> Void) throws {
        let repository = try open()
        try use(repository)
        repository.environment.witness?.save()
    }

    /// Opens with a witness that tells, and gives what it told.
    private func alarms(
        _ answer: StoreWitness.Answer = .tell, _ use: (Repository) throws -> Void = { _ in }
    ) throws -> [String] {
        let told = Monitor<[String]>([])
        let repository = try open(answer) { remark in
            told.withLock { told in
                switch remark {
                case .alarm(let text): told.append("alarm: " + text)
                case .accepted(let text): told.append("accepted: " + text)
                case .memory(let text): told.append("memory: " + text)
                }
            }
        }
        try use(repository)
        repository.environment.witness?.save()
        return told.withLock { $0 }
    }

    /// Takes an object out of the store and gives it back.
    private func hide(_ key: ObjectKey) throws -> () throws -> Void {
        let bytes = try house.store.get(key, limit: .mebi(8))
        try house.store.delete(key)
        return { [house] in try house.store.putIfAbsent(key, bytes.span.bytes) }
    }

    /// That hiding `key` rings, that accepting it is the end of it, and that a whole store rings nothing.
    private func rings(on key: ObjectKey, _ words: String) throws {
        #expect(try alarms().isEmpty, "before \(key) is hidden")
        let bringBack = try hide(key)
        #expect(throws: HoldfastError.self) { try open() }
        do {
            _ = try open()
        } catch let error as HoldfastError {
            #expect(error.code == .rollbackDetected)
            #expect(error.message.contains(words), "\(error.message)")
        }
        let told = try alarms()
        #expect(told.count == 1 && told[0].hasPrefix("alarm: ") && told[0].contains(words), "\(told)")
        #expect(try alarms().count == 1, "a told alarm rings again")
        try bringBack()
        #expect(try alarms().isEmpty, "\(key) is back")
        _ = try hide(key)
        #expect(try alarms(.accept).contains { $0.hasPrefix("accepted: ") && $0.contains(words) })
        #expect(try alarms().isEmpty, "accepted is accepted")
    }

    @Test("is told that the newest snapshot of a source is gone")
    func head() throws {
        try house.backup(["a": .whole(house.noise(1))])
        let newest = try house.backup(["a": .whole(house.noise(2))])
        try look { _ = try $0.snapshots() }
        let tag = try house.repository.tag(ofSource: "home")
        try rings(on: ObjectNames.snapshot(tag, newest), "snapshot \(newest), number 2 of home, is gone")
    }

    @Test("is told that all snapshots of a source are gone")
    func allGone() throws {
        let only = try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))], source: "other")
        try look { _ = try $0.snapshots() }
        let tag = try house.repository.tag(ofSource: "home")
        try rings(on: ObjectNames.snapshot(tag, only), "snapshot \(only)")
    }

    @Test("is told of snapshots that it committed itself")
    func ownCommit() throws {
        let own = try house.backup(["a": .whole(house.noise(1))], as: try open())
        let tag = try house.repository.tag(ofSource: "home")
        try rings(on: ObjectNames.snapshot(tag, own), "snapshot \(own)")
    }

    @Test("commits nothing when the head is hidden while it works")
    func hiddenMeanwhile() throws {
        try house.backup(["a": .whole(house.noise(1))])
        let newest = try house.backup(["a": .whole(house.noise(2))])
        let backup = try SmallBackup(try open())
        _ = try backup.session.repository.snapshots()
        try backup.add("a", .whole(house.noise(3)))
        let root = try backup.flush()
        let tag = try house.repository.tag(ofSource: "home")
        // The listing of the backup still has it; at the commit it is gone.
        let previous = try #require(try house.repository.snapshots(of: tag).latest(of: tag))
        _ = try hide(ObjectNames.snapshot(tag, newest))
        var record = SnapshotRecord(
            source: "home", workload: "dir", host: "h", toolVersion: "0", runID: backup.session.lease.id,
            started: house.clock.now())
        record.roots = [SnapshotRoot(path: [47], entry: root)]
        let error = #expect(throws: HoldfastError.self) {
            try backup.session.commit(record, previous: previous)
        }
        backup.session.close()
        #expect(error?.code == .rollbackDetected)
        #expect(try house.repository.snapshots().snapshots.count == 1)
    }

    @Test("notices that another client was led to a fork")
    func fork() throws {
        try house.backup(["a": .whole(house.noise(1))])
        let newest = try house.backup(["a": .whole(house.noise(2))])
        try look { _ = try $0.snapshots() }
        let tag = try house.repository.tag(ofSource: "home")
        _ = try hide(ObjectNames.snapshot(tag, newest))
        // Others never saw it.
        try house.backup(["a": .whole(house.noise(3))])
        try house.backup(["a": .whole(house.noise(4))])
        let told = try alarms()
        #expect(told.count == 1 && told[0].contains("as if it had never been"), "\(told)")
    }

    @Test("does not mind that retention thins out what has successors")
    func thinned() throws {
        let first = try house.backup(["a": .whole(house.noise(1))])
        try look { _ = try $0.snapshots() }
        let second = try house.backup(["a": .whole(house.noise(2))])
        try house.backup(["a": .whole(house.noise(3))])
        try house.forget(first)
        #expect(try alarms().isEmpty)
        try house.forget(second)
        #expect(try alarms { _ = try $0.snapshots() }.isEmpty)
    }

    @Test("does not mind a tombstone under the name of the newest snapshot")
    func buried() throws {
        try house.backup(["a": .whole(house.noise(1))])
        let newest = try house.backup(["a": .whole(house.noise(2))])
        try look { _ = try $0.snapshots() }
        try house.forget(newest)
        try house.repository.bury(newest, of: try house.repository.tag(ofSource: "home"), generation: 0)
        #expect(try alarms { _ = try $0.snapshots() }.isEmpty)
        // The next backup takes its number.
        try house.backup(["a": .whole(house.noise(3))])
        #expect(try alarms { _ = try $0.snapshots() }.isEmpty)
    }

    @Test("is told that an epoch is gone, the newest or an older one", arguments: [1, 2])
    func epoch(_ number: UInt32) throws {
        _ = try house.repository.rotateEpoch()
        _ = try open()
        let bringBack = try hide(ObjectNames.epoch(number))
        let told = try alarms()
        #expect(told.contains { $0.contains("epochs/\(number) is not there any more") }, "\(told)")
        let error = #expect(throws: HoldfastError.self) { try open() }
        #expect(error?.code == .rollbackDetected)
        try bringBack()
        #expect(try alarms().isEmpty)
    }

    @Test("is told that the newest format object is gone")
    func format() throws {
        let second = try FormatForge.encoded(number: 2, of: house.repository)
        try house.store.putIfAbsent(ObjectNames.format(2), second.span.bytes)
        _ = try open()
        try rings(on: ObjectNames.format(2), "the newest format object is format/1, and was format/2 before")
    }

    @Test("is told that a step of a collection is gone", arguments: ["gc/1", "gc/1.sweep", "gc/1.done"])
    func collection(_ name: String) throws {
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        _ = try house.prune()
        if name != "gc/1" {
            house.clock.advance(by: LeaseTimes.grace + .seconds(1))
            _ = try house.prune()
        }
        if name == "gc/1.sweep" { try house.store.delete(ObjectNames.done(1)) }
        try look { _ = try $0.loadIndex() }
        try rings(on: try #require(ObjectKey(name)), "\(name) is not there any more")
    }

    @Test("is told that a step of a collection is another one than before")
    func otherCollection() throws {
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        _ = try house.prune()
        try look { _ = try $0.loadIndex() }
        let key = ObjectNames.condemned(1)
        try house.store.delete(key)
        let object = CollectionObject(
            kind: .condemned, repository: house.repository.id, generation: 1, slot: house.repository.keyring.slot,
            made: house.clock.now(), packs: [], runs: [])
        let bytes = try object.encoded(signer: house.repository.keyring.signing)
        try house.store.putIfAbsent(key, bytes.span.bytes)
        let error = #expect(throws: HoldfastError.self) { try open().loadIndex() }
        #expect(error?.code == .rollbackDetected)
        #expect(try alarms { _ = try $0.loadIndex() }.contains { $0.contains("gc/1 is another one") })
    }

    @Test("goes by the listing that shows all, when the first one came late")
    func lateListing() throws {
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        _ = try house.prune()
        let key = ObjectNames.condemned(1)
        let bytes = try house.store.get(key, limit: .mebi(8))
        let store = InterposedStore(house.store)
        let repository = try open(through: store)
        store.before(.list(ObjectNames.collections)) { [house] in
            do { try house.store.delete(key) } catch { Issue.record(error) }
        }
        store.before(.list(ObjectNames.collections)) { [house] in
            do { try house.store.putIfAbsent(key, bytes.span.bytes) } catch { Issue.record(error) }
        }
        let state = try repository.readCollections()
        #expect(state.newest == 1)
        #expect(state.condemned[1] != nil, "what is condemned must not be relied on")
    }

    @Test("minds nothing of an honest life of backups, forgets, prunes and rotations")
    func honest() throws {
        for round in 0..<6 {
            let id = try house.backup(["a": .whole(house.noise(UInt64(round)))], as: try open())
            try house.backup(["b": .whole(house.noise(UInt64(round)))], source: "other")
            if round % 2 == 0 { _ = try house.repository.rotateEpoch() }
            try house.backup(["a": .whole(house.noise(UInt64(round) + 100))], as: try house.open())
            try house.forget(id)
            try house.pruneFully(try open())
            try look { _ = try $0.loadIndex() }
        }
        #expect(try alarms { _ = try $0.snapshots() }.isEmpty)
    }

    // MARK: - The file

    private func files(_ suffix: String) -> [String] {
        let folder = "\(directory.path)/\(house.repository.id)"
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(suffix) { names.append("\(folder)/\(name)") }
        }
        return names
    }

    @Test("goes on without a memory that is damaged anywhere, says so, and keeps it aside")
    func damagedMemory() throws {
        try house.backup(["a": .whole(house.noise(1))])
        try look { _ = try $0.snapshots() }
        let path = try #require(files(".memory").first)
        #expect(try alarms().isEmpty)
        let file = Glibc.open(path, O_RDWR)
        try #require(file >= 0)
        defer { close(file) }
        let size = lseek(file, 0, SEEK_END)
        for place in stride(from: 0, to: size, by: 7) {
            var byte: UInt8 = 0
            #expect(pread(file, &byte, 1, place) == 1)
            byte ^= 4
            #expect(pwrite(file, &byte, 1, place) == 1)
            #expect(throws: HoldfastError.self, "byte \(place)") { try loadFails() }
            byte ^= 4
            #expect(pwrite(file, &byte, 1, place) == 1)
        }
        #expect(truncate(path, size / 2) == 0)
        #expect(try alarms { _ = try $0.snapshots() }.contains { $0.hasPrefix("memory: ") })
        #expect(files(".damaged").count == 1)
        #expect(try alarms().isEmpty, "a new one was begun")
        #expect(files(".memory").count == 1)
    }

    /// Throws when the memory is told to be unreadable, and leaves it where it is.
    private func loadFails() throws {
        let told = Monitor(false)
        let other = StoreWitness(directory: directory.path, answer: .tell) { remark in
            if case .memory = remark { told.withLock { $0 = true } }
        }
        let path = try #require(files(".memory").first)
        #expect(link(path, path + ".kept") == 0)
        var environment = SmallHouse.environment(house.clock, 8)
        environment.witness = other
        _ = try Repository.open(house.store, secret: SmallHouse.secret(1), environment: environment)
        unlink(path)
        unlink(path + ".damaged")
        #expect(rename(path + ".kept", path) == 0)
        if told.withLock({ $0 }) { throw HoldfastError(.corruptObject, "it was told", hint: "") }
    }

    @Test("goes on when there is no place for a memory, and says so")
    func noPlace() throws {
        #expect(symlink("/dev/null", "\(directory.path)/\(house.repository.id)") == 0)
        #expect(try alarms { _ = try $0.snapshots() }.contains { $0.hasPrefix("memory: ") })
    }

    @Test("adds to what other processes remembered at the same time")
    func concurrent() throws {
        for number in 0..<8 {
            try house.backup(["a": .whole(house.noise(UInt64(number)))], source: "source \(number)")
        }
        let repositories = try (0..<8).map { _ in try open() }
        let tags = try (0..<8).map { try house.repository.tag(ofSource: "source \($0)") }
        withThreads(8) { number in
            do {
                let tag = tags[number]
                _ = try repositories[number].snapshots(of: tag)
                repositories[number].environment.witness?.save()
            } catch { Issue.record(error) }
        }
        for tag in Set(try house.repository.snapshots().snapshots.map(\.tag)) {
            for snapshot in try house.repository.snapshots(of: tag).snapshots {
                try house.store.delete(ObjectNames.snapshot(tag, snapshot.id))
            }
        }
        #expect(try alarms().count == 8)
    }

    @Test("keeps the newest within its limits")
    func limits() throws {
        var memory = StoreMemory()
        for number in 0..<UInt32(StoreMemory.maximumCollections * 2) {
            memory.collections[number] = StoreMemory.Collection()
        }
        for number in 0..<UInt64(StoreMemory.maximumHeads + 5) {
            memory.heads[SourceTag(Bytes16(w0: number))] = StoreMemory.Head(
                sequence: 1, id: ULID(Bytes16(w0: number)), digest: Bytes32(), seen: Timestamp(seconds: Int64(number)))
        }
        memory.add(StoreMemory())
        #expect(memory.collections.count == StoreMemory.maximumCollections)
        #expect(memory.newestCollection == UInt32(StoreMemory.maximumCollections * 2 - 1))
        #expect(memory.heads.count == StoreMemory.maximumHeads)
        #expect(memory.heads[SourceTag(Bytes16(w0: 4))] == nil && memory.heads[SourceTag(Bytes16(w0: 5))] != nil)
    }
}
