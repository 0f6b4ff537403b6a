// What only the local store promises: its directory, foreign files, full and read-only disks.

import Glibc
import ObjectStore
import Primitives
import TestSupport
import Testing

@Suite("The local store")
struct LocalStoreTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/store" }

    // MARK: - Making and opening

    @Test("a directory without a store is not opened and nothing is written there")
    func openWithoutStore() {
        #expect(code { try LocalStore.open(at: path) } == .repositoryNotFound)
        mkdir(path, 0o700)
        #expect(code { try LocalStore.open(at: path) } == .repositoryNotFound)
        #expect(dotFiles(below: path) == [])
        plant(directory.path + "/file")
        #expect(code { try LocalStore.open(at: directory.path + "/file") } == .repositoryNotFound)
    }

    @Test("a store is not made over other files or over a repository, and can be made again when nothing is in it")
    func createRefusals() throws {
        _ = try LocalStore.create(at: path)
        let again = try LocalStore.create(at: path)
        for prefix in ["slots", "grants/a", "epochs"] { try again.put("\(prefix)/1", [1]) }
        _ = try LocalStore.create(at: path)
        try again.put("format/1", [1])
        #expect(code { try LocalStore.create(at: path) } == .repositoryExists)
        plant(path + "/notes")
        #expect(code { try LocalStore.create(at: path) } == .repositoryExists)
        plant(directory.path + "/letters")
        #expect(code { try LocalStore.create(at: directory.path) } == .usage)
    }

    @Test("parents of a new store are made")
    func nested() throws {
        let store = try LocalStore.create(at: path + "/a/b//c/")
        try store.put("gc/1", [1])
        #expect(try LocalStore.open(at: path + "/a/b/c").get("gc/1") == [1])
    }

    @Test("file systems without hard links rename without replacing; without that too, the store says so")
    func naming() throws {
        let noLinks = ScriptedFileCalls { $0.call == .link ? .fail(EPERM) : .pass }
        #expect(try LocalStore.create(at: path + "1", calls: noLinks).capabilities.createsIfAbsent)
        let neither = ScriptedFileCalls { entry in
            switch entry.call {
            case .link: .fail(EOPNOTSUPP)
            // The kernel call of a plain rename has no flags, which is how file systems tell them apart.
            case .rename where entry.name.hasPrefix(".probe-"): .fail(EINVAL)
            default: .pass
            }
        }
        let store = try LocalStore.create(at: path + "2", calls: neither)
        #expect(!store.capabilities.createsIfAbsent)
        try store.put("gc/1", [1])
        #expect(code { try store.put("gc/1", [2]) } == .objectExists)
        #expect(try store.get("gc/1") == [1])
        #expect(dotFiles(below: path + "2") == [path + "2/.reserve"])
    }

    // MARK: - Foreign files

    @Test("files that are no objects are not shown, and no link leads outside")
    func foreignFiles() throws {
        let calls = ScriptedFileCalls()
        let store = try LocalStore.create(at: path, calls: calls)
        try store.put("packs/ab/x", [1])
        let outside = directory.path + "/outside"
        mkdir(outside, 0o700)
        plant(outside + "/secret", [42])
        for name in [".put-00", "UPPER", "sp ace", "naïve", "tab\t"] { plant("\(path)/packs/ab/\(name)") }
        let bytes = Array("\(path)/packs/ab/".utf8CString.dropLast()) + [CChar(bitPattern: 0xff), 0]
        close(open(bytes, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
        mkfifo(path + "/packs/ab/fifo", 0o600)
        symlink(outside + "/secret", path + "/packs/ab/link")
        symlink(outside, path + "/leases/link")
        mkdir(path + "/packs/.hidden", 0o700)
        plant(path + "/packs/.hidden/y")

        #expect(try store.names() == ["packs/ab/x"])
        #expect(code { try store.get("packs/ab/fifo") } == .objectMissing)
        #expect(code { try store.get("packs/ab/link") } == .accessDenied)
        #expect(code { try store.get("leases/link/secret") } == .accessDenied)
        #expect(code { try store.put("leases/link/new", [1]) } == .accessDenied)
        #expect(code { try store.delete(key("leases/link/secret")) } == .accessDenied)
        #expect(calls.openDescriptors == 0)
        #expect(access(outside + "/new", F_OK) != 0)
        #expect(access(outside + "/secret", F_OK) == 0)
    }

    @Test("an object larger than the limit is refused by its size alone")
    func hugeObject() throws {
        let store = try LocalStore.create(at: path)
        plant(path + "/slots/huge")
        #expect(truncate(path + "/slots/huge", 1 << 40) == 0)
        #expect(code { try store.get(key("slots/huge"), limit: .mebi(1)) } == .limitExceeded)
        #expect(try store.info(key("slots/huge"))?.size == 1 << 40)
    }

    @Test("an object that shrinks while it is read is reported as damaged")
    func shrinking() throws {
        let victim = path + "/packs/ab/x"
        let calls = ScriptedFileCalls { entry in
            if entry.call == .read { truncate(victim, 10) }
            return .pass
        }
        let store = try LocalStore.create(at: path, calls: calls)
        try store.put("packs/ab/x", [UInt8](repeating: 1, count: 100))
        #expect(code { try store.get("packs/ab/x") } == .corruptObject)
    }

    @Test("an object that vanishes between readdir and stat is left out of the listing")
    func vanishing() throws {
        let calls = ScriptedFileCalls { entry in
            entry.call == .status && entry.name == "b" ? .fail(ENOENT) : .pass
        }
        let store = try LocalStore.create(at: path, calls: calls)
        for name in ["holds/a", "holds/b", "holds/c"] { try store.put(name, []) }
        #expect(try store.names() == ["holds/a", "holds/c"])
    }

    @Test("an unreadable sector is a fault of the object that may pass, any other listing fault ends the listing")
    func readErrors() throws {
        let calls = ScriptedFileCalls { entry in
            entry.call == .read || entry.call == .status && entry.name == "b" ? .fail(EIO) : .pass
        }
        let store = try LocalStore.create(at: path, reserve: ByteCount(0), calls: calls)
        try store.put("holds/b", [1])
        let error = failure { try store.get("holds/b") }
        #expect(error?.code == .inputOutput)
        #expect(error?.retry == .later)
        #expect(code { try store.names() } != nil)
    }

    // MARK: - Upkeep

    @Test("files of crashed puts are removed once they are old, and nothing else is")
    func abandonedPuts() throws {
        let store = try LocalStore.create(at: path)
        try store.put("packs/ab/x", [1])
        plant(path + "/packs/ab/.put-old", secondsOld: 7200)
        plant(path + "/.probe-old", secondsOld: 7200)
        plant(path + "/packs/ab/.put-young", secondsOld: 600)
        plant(path + "/packs/ab/.other", secondsOld: 7200)
        #expect(try store.removeAbandonedPuts(olderThan: .seconds(3600)) == 2)
        let left = dotFiles(below: path).map { String($0.dropFirst(path.count)) }.sorted()
        #expect(left == ["/.reserve", "/packs/ab/.other", "/packs/ab/.put-young"])
        #expect(try store.names() == ["packs/ab/x"])
    }

    @Test("an object set aside keeps its bytes in quarantine")
    func quarantine() throws {
        let store = try LocalStore.create(at: path)
        let long = "logs/t/" + String(repeating: "n", count: 255)
        try store.put("packs/ab/x", [1])
        try store.put(long, [2])
        try store.setAside(key("packs/ab/x"))
        try store.setAside(key(long))
        let aside = try store.names("quarantine/")
        #expect(aside.count == 2)
        #expect(Set(try aside.map { try store.get($0) }) == [[1], [2]])
        #expect(aside.contains { $0.hasPrefix("quarantine/object-packs_ab_x.") })
    }

    @Test("an object on a mount of its own is set aside where it is")
    func quarantineAcrossMounts() throws {
        let calls = ScriptedFileCalls { entry in
            entry.call == .rename && entry.name.hasPrefix("object-") ? .fail(EXDEV) : .pass
        }
        let store = try LocalStore.create(at: path, reserve: ByteCount(0), calls: calls)
        try store.put("packs/ab/x", [1])
        try store.setAside(key("packs/ab/x"))
        #expect(try store.names() == [])
        let kept = dotFiles(below: path + "/packs/ab")
        #expect(kept.count == 1)
        #expect(kept.first?.hasPrefix(path + "/packs/ab/.object-packs_ab_x.") == true)
    }

    @Test("the reserve is really allocated, given back on request and filled again at the next opening")
    func reserve() throws {
        func allocated() -> Int {
            var status = stat()
            return lstat(path + "/.reserve", &status) == 0 ? Int(status.st_blocks) * 512 : 0
        }
        let store = try LocalStore.create(at: path)
        #expect(allocated() >= 1 << 20)
        try store.releaseReserve()
        #expect(allocated() == 0)
        _ = try LocalStore.open(at: path)
        #expect(allocated() >= 1 << 20)
        truncate(path + "/.reserve", 4096)
        _ = try LocalStore.open(at: path)
        #expect(allocated() >= 1 << 20 && allocated() < 2 << 20)
        // It grows with the number of packs, to its limit.
        for number in 0..<80 { try store.put("packs/55/\(number)", [7]) }
        _ = try LocalStore.open(at: path)
        #expect(allocated() >= 5 << 20 && allocated() < 6 << 20)
        for number in 0..<80 { try store.put("packs/ff/\(number)", [7]) }
        _ = try LocalStore.open(at: path)
        #expect(allocated() >= 8 << 20 && allocated() < 9 << 20)
    }

    @Test(
        "the reserve goes by the volume and by the packs that are there, within its bounds",
        arguments: [
            (0, 0, 1 << 20), (20 << 20, 1024, 1 << 20), (1 << 40, 0, 4 << 20), (1 << 30, 5000, 5000 << 10),
            (1 << 44, 0, 8 << 20), (0, 1 << 40, 8 << 20),
        ] as [(UInt64, UInt64, UInt64)])
    func reserveSize(volume: UInt64, packs: UInt64, due: UInt64) {
        #expect(LocalStore.reserveSize(volume: volume, packs: packs, most: .mebi(8)).bytes == due)
    }

    @Test("a file system that does not allocate on request gets a reserve of written bytes")
    func writtenReserve() throws {
        let calls = ScriptedFileCalls { $0.call == .allocate ? .fail(EOPNOTSUPP) : .pass }
        _ = try LocalStore.create(at: path, reserve: .mebi(1), calls: calls)
        var status = stat()
        #expect(lstat(path + "/.reserve", &status) == 0)
        #expect(status.st_size == 1 << 20)
        #expect(Int(status.st_blocks) * 512 >= 1 << 20)
    }

    // MARK: - Full and read-only disks

    @Test("on a full disk a put leaves nothing behind, and the reserve makes room for the work that frees space")
    func fullDisk() throws {
        guard let disk = SmallFileSystem(mebibytes: 20) else { return }
        let store = try LocalStore.create(at: disk.path)
        let mebibyte = [UInt8](repeating: 7, count: 1 << 20)
        var count = 0
        var error: HoldfastError?
        while error == nil, count < 100 {
            error = failure { try store.put("packs/01/\(count)", mebibyte) }
            if error == nil { count += 1 }
        }
        #expect(error?.code == .noSpace)
        #expect(count >= 17 && count <= 19, "\(count) objects beside a reserve of 1 MiB on 20 MiB")
        #expect(try store.names().count == count)
        #expect(dotFiles(below: disk.path) == [disk.path + "/.reserve"])
        try store.put("packs/01/0", mebibyte)

        #expect(store.refillReserve())
        try store.releaseReserve()
        #expect(!store.refillReserve(), "half of what is free is less than the reserve")
        try store.put("gc/1", mebibyte)
        for index in 0..<count { try store.delete(key("packs/01/\(index)")) }
        #expect(store.refillReserve())
        #expect(try store.get("gc/1") == mebibyte)
    }

    @Test("a disk without room for a reserve still gets a store")
    func tinyDisk() throws {
        guard let disk = SmallFileSystem(mebibytes: 1) else { return }
        let store = try LocalStore.create(at: disk.path)
        try store.put("gc/1", [1])
        #expect(dotFiles(below: disk.path) == [])
    }

    @Test("a store on a read-only mount can be read and refuses the rest as access denied")
    func readOnly() throws {
        guard let disk = SmallFileSystem(mebibytes: 4) else { return }
        try LocalStore.create(at: disk.path).put("gc/1", [1])
        disk.makeReadOnly()
        let store = try LocalStore.open(at: disk.path)
        #expect(try store.get("gc/1") == [1])
        #expect(try store.names() == ["gc/1"])
        #expect(code { try store.put("gc/2", [1]) } == .accessDenied)
        #expect(code { try store.delete(key("gc/1")) } == .accessDenied)
        #expect(code { try store.setAside(key("gc/1")) } == .accessDenied)
        #expect(code { try LocalStore.create(at: disk.path + "/deeper") } == .accessDenied)
    }
}
