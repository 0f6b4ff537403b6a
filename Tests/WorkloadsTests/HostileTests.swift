// Snapshots that try to write outside of the target, and trees that change while they are read.

import CLinux
import Glibc
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

private func code(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch { return (error as? HoldfastError)?.code }
}

@Suite("hostile snapshots")
struct HostileTests {
    /// What no restore may touch.
    private func makeOutside(_ root: String) throws -> (picture: TreePicture, path: String) {
        #expect(
            shell(
                "mkdir -p outside/dir; printf precious > outside/file; ln -s file outside/link; chmod 640 outside/file",
                in: root) == 0)
        return (try TreePicture(root + "/outside"), root + "/outside")
    }

    private func expectUntouched(_ picture: TreePicture, _ path: String) throws {
        let now = try TreePicture(path)
        #expect(now.order == picture.order)
        #expect(now.contents == picture.contents)
        for (name, entry) in picture.entries { #expect(now.entries[name] == entry, "\(printablePath(name))") }
    }

    @Test("names that lead elsewhere are refused by every operation")
    func names() throws {
        let root = TemporaryDirectory()
        let outside = try makeOutside(root.path)
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        let bad: [[[UInt8]]] = [
            [bytes("..")], [bytes("."), bytes("x")], [bytes("a"), bytes(".."), bytes("..")], [bytes("../outside/file")],
            [bytes("/etc/holdfast")], [bytes("")], [bytes("a/b")], [bytes("a\0b")], [bytes(".."), bytes("outside")],
            [Array(repeating: 0x61, count: 256)],
        ]
        let directory = EntryMetadata(name: [], kind: .directory)
        for parts in bad {
            #expect(code { try writer.makeDirectory(parts) } == .unsafePath)
            #expect(code { _ = try writer.openFile(parts) } == .unsafePath)
            #expect(code { try writer.makeSymlink(parts, target: bytes("x")) } == .unsafePath)
            #expect(code { try writer.makeFifo(parts) } == .unsafePath)
            #expect(code { try writer.makeHardLink(parts, [bytes("new")]) } == .unsafePath)
            #expect(code { try writer.makeHardLink([bytes("new")], parts) } == .unsafePath)
            #expect(
                code { _ = try writer.makeDevice(parts, EntryMetadata(name: [], kind: .blockDevice)) } == .unsafePath)
            #expect(code { try writer.apply(directory, at: parts) } == .unsafePath)
            #expect(code { _ = try writer.entries(of: parts) } == .unsafePath)
        }
        try expectUntouched(outside.picture, outside.path)
        #expect(try TreePicture(root.path + "/out").order.isEmpty)
    }

    @Test("a planted link is never written through")
    func plantedLinks() throws {
        let root = TemporaryDirectory()
        let outside = try makeOutside(root.path)
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        try writer.makeSymlink(parts("up"), target: bytes("../outside"))
        try writer.makeSymlink(parts("absolute"), target: bytes(outside.path))
        var metadata = EntryMetadata(name: [], kind: .file)
        metadata.mode = 0o777
        for link in ["up", "absolute"] {
            #expect(code { _ = try writer.openFile(parts(link + "/file")) } == .unsafePath)
            #expect(code { try writer.makeDirectory(parts(link + "/dir/new")) } == .unsafePath)
            #expect(code { try writer.makeSymlink(parts(link + "/planted"), target: bytes("x")) } == .unsafePath)
            #expect(code { try writer.makeHardLink(parts(link + "/file"), parts("stolen")) } == .unsafePath)
            #expect(code { try writer.apply(metadata, at: parts(link + "/file")) } == .unsafePath)
            #expect(code { try writer.apply(metadata, at: parts(link)) } == .targetFailed)
            #expect(code { _ = try writer.entries(of: parts(link)) } == .unsafePath)
        }
        // A file, a directory or metadata due at a link's own place replace the link or touch the link alone.
        try writer.makeSymlink(parts("file"), target: bytes("../outside/file"))
        let file = try writer.openFile(parts("file"))
        #expect(file.isFresh)
        try bytes("replaced").withUnsafeBytes { try file.write($0, at: 0) }
        try writer.makeDirectory(parts("up"))
        try writer.makeSymlink(parts("kept"), target: bytes("../outside/file"))
        var link = EntryMetadata(name: [], kind: .symbolicLink)
        link.mode = 0o777
        link.modified = Timestamp(seconds: 1)
        link.attributes = [ExtendedAttribute(name: bytes("user.evil"), value: bytes("x"))]
        try writer.apply(link, at: parts("kept"))
        try writer.makeHardLink(parts("kept"), parts("kept-twice"))
        try writer.finish()
        try expectUntouched(outside.picture, outside.path)
        let out = try TreePicture(root.path + "/out")
        #expect(out.entries[bytes("file")]?.kind == .file)
        #expect(out.entries[bytes("kept-twice")]?.kind == .symbolicLink)
        #expect(out.entries[bytes("up")]?.kind == .directory)
    }

    @Test("a directory that became a link after it was made is not followed at the end")
    func swapped() throws {
        let root = TemporaryDirectory()
        let outside = try makeOutside(root.path)
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        try writer.makeDirectory(parts("d"))
        var metadata = EntryMetadata(name: [], kind: .directory)
        metadata.mode = 0o777
        try writer.apply(metadata, at: parts("d"))
        #expect(shell("rmdir out/d; ln -s ../outside out/d", in: root.path) == 0)
        #expect(code { try writer.finish() } == .targetFailed)
        try expectUntouched(outside.picture, outside.path)
    }

    @Test("an existing file with a second name outside of the target is replaced, not written to")
    func existingHardLink() throws {
        let root = TemporaryDirectory()
        #expect(shell("mkdir out; printf precious > outside; ln outside out/inside", in: root.path) == 0)
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        let file = try writer.openFile(parts("inside"))
        try bytes("new").withUnsafeBytes { try file.write($0, at: 0) }
        var metadata = EntryMetadata(name: [], kind: .file)
        metadata.mode = 0o666
        try file.apply(metadata)
        #expect(shell("[ $(cat outside) = precious ] && [ $(stat -c %a outside) = 644 ]", in: root.path) == 0)
        #expect(shell("[ $(cat out/inside) = new ]", in: root.path) == 0)
    }

    @Test("a directory with content is not removed to make room for a file; an empty one is")
    func inTheWay() throws {
        let root = TemporaryDirectory()
        #expect(shell("mkdir -p out/full out/bare; touch out/full/x", in: root.path) == 0)
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        #expect(code { _ = try writer.openFile(parts("full")) } == .targetFailed)
        #expect(try writer.openFile(parts("bare")).isFresh)
        #expect(shell("[ -f out/full/x ] && [ -f out/bare ]", in: root.path) == 0)
    }

    @Test("a new target is closed to others until its metadata is set, and so is a file while it is written")
    func modes() throws {
        let root = TemporaryDirectory()
        #expect(shell("mkdir out; printf public > out/f; chmod 666 out/f", in: root.path) == 0)
        let other = try TreeWriter(target: bytes(root.path + "/new"))
        #expect(shell("[ $(stat -c %a new) = 700 ]", in: root.path) == 0)
        _ = other
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        let file = try writer.openFile(parts("f"))
        #expect(shell("[ $(stat -c %a out/f) = 666 ]", in: root.path) == 0)
        try bytes("secret").withUnsafeBytes { try file.write($0, at: 0) }
        #expect(shell("[ $(stat -c %a out/f) = 600 ]", in: root.path) == 0)
    }

    @Test("directories that their owner may not enter get their metadata after all that lies in them")
    func deepestFirst() throws {
        let root = TemporaryDirectory()
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        for (path, mode) in [("a", UInt32(0)), ("a/b", 0o500), ("a/b/c", 0o711)] {
            try writer.makeDirectory(parts(path))
            var metadata = EntryMetadata(name: [], kind: .directory)
            metadata.mode = mode
            metadata.user = geteuid()
            metadata.group = getegid()
            metadata.modified = Timestamp(seconds: 1_000_000_000, nanoseconds: 7)
            try writer.apply(metadata, at: parts(path))
        }
        _ = try writer.openFile(parts("a/b/file"))
        try writer.finish()
        #expect(
            shell("[ \"$(stat -c '%a %Y' out/a)\" = '0 1000000000' ]; s=$?; chmod 700 out/a; exit $s", in: root.path)
                == 0)
        #expect(
            shell("[ \"$(stat -c '%a %Y' out/a/b out/a/b/c)\" = '500 1000000000\n711 1000000000' ]", in: root.path) == 0
        )
    }

    @Test("what is sparse is written sparse in any order, over fresh and over old content", arguments: [true, false])
    func sparseWrites(_ isFresh: Bool) throws {
        let root = TemporaryDirectory()
        #expect(shell("mkdir out", in: root.path) == 0)
        if !isFresh { #expect(shell("head -c 3000000 /dev/urandom > out/f", in: root.path) == 0) }
        var content = [UInt8](repeating: 0, count: 2_000_003)
        for place in [0, 5000, 1_000_000, 2_000_002] { content[place] = 1 }
        let writer = try TreeWriter(target: bytes(root.path + "/out"))
        let file = try writer.openFile(parts("f"))
        #expect(file.isFresh == isFresh)
        try file.setSize(UInt64(content.count))
        for start in stride(from: 0, to: content.count, by: 300_007).reversed() {
            try content[start..<min(content.count, start + 300_007)].withUnsafeBytes {
                try file.write($0, at: UInt64(start))
            }
        }
        #expect(try TreePicture(root.path + "/out").contents[bytes("f")] == content)
        var status = stat()
        #expect(stat(root.path + "/out/f", &status) == 0)
        #expect(status.st_blocks * 512 < 200_000, "\(status.st_blocks * 512) bytes are taken")
        try file.punchHole(0..<1_500_000)
        content.replaceSubrange(0..<1_500_000, with: repeatElement(0, count: 1_500_000))
        #expect(try TreePicture(root.path + "/out").contents[bytes("f")] == content)
    }

    @Test("set-id bits go when the thing cannot be given to its owner")
    func setID() throws {
        let root = TemporaryDirectory()
        var options = TreeWriterOptions()
        options.ownership = false
        let writer = try TreeWriter(target: bytes(root.path + "/out"), options: options)
        let file = try writer.openFile(parts("f"))
        var metadata = EntryMetadata(name: [], kind: .file)
        metadata.mode = 0o6755
        metadata.user = 4321
        metadata.group = 4321
        try file.apply(metadata)
        #expect(shell("[ $(stat -c %a out/f) = 755 ]", in: root.path) == 0)
        #expect(writer.currentReport.warnings.count == 1)
    }
}

@Suite("trees that change")
struct ChangingTreeTests {
    @Test("a file replaced by a link, a fifo or another file between listing and opening is refused")
    func replaced() throws {
        let root = TemporaryDirectory()
        #expect(shell("for n in a b c d; do printf x > $n; done; mkdir e", in: root.path) == 0)
        let directory = try DirectoryHandle.open(path: bytes(root.path))
        let entries = try directory.entries().entries
        #expect(
            shell(
                "ln -sf /etc/passwd a; rm b; mkfifo b; printf y > new; mv new c; rm d; rmdir e; ln -s / e",
                in: root.path) == 0)
        for entry in entries.prefix(3) {
            #expect(code { _ = try directory.file(entry) } == .sourceIncomplete, "\(printablePath(entry.name))")
        }
        #expect(code { _ = try directory.file(entries[3]) } == .objectMissing)
        #expect(code { _ = try directory.directory(entries[4]) } == .sourceIncomplete)
    }

    @Test("a file that grows or shrinks while it is read is read as it is, and its marks tell")
    func grows() throws {
        let root = TemporaryDirectory()
        #expect(shell("printf 12345678 > grows; printf 12345678 > shrinks; printf 1 > same", in: root.path) == 0)
        let directory = try DirectoryHandle.open(path: bytes(root.path))
        for entry in try directory.entries().entries {
            let file = try directory.file(entry)
            #expect(shell("printf 9 >> grows; truncate -s 3 shrinks", in: root.path) == 0)
            let content = try readAll(file, 100)
            let after = try file.metadata()
            let name = String(decoding: entry.name, as: UTF8.self)
            #expect(entry.hasSameContentMarks(as: after) == (name == "same"), "\(name)")
            #expect(content.count == Int(after.size))
        }
    }

    @Test("an entry that cannot be read is reported by its path, and the rest is read", .enabled(if: !isRoot))
    func unreadable() throws {
        let root = TemporaryDirectory()
        #expect(
            shell("mkdir locked; touch locked/x a; chmod 000 locked; printf x > b; chmod 000 b", in: root.path) == 0)
        let directory = try DirectoryHandle.open(path: bytes(root.path))
        let listing = try directory.entries()
        #expect(listing.entries.map(\.name) == ["a", "b", "locked"].map(bytes))
        #expect(code { _ = try directory.file(listing.entries[1]) } == .accessDenied)
        #expect(code { _ = try directory.directory(listing.entries[2]) } == .accessDenied)
        _ = shell("chmod 700 locked", in: root.path)
    }

    @Test("listings are in the order of name bytes, whatever the names")
    func order() throws {
        let root = TemporaryDirectory()
        #expect(shell("touch b a A 'a b' a.b \"$(printf 'a\\377')\" \"$(printf 'a\\001')\" aa", in: root.path) == 0)
        let names = try DirectoryHandle.open(path: bytes(root.path)).entries().entries.map(\.name)
        #expect(names.count == 8)
        #expect(names == names.sorted { $0.lexicographicallyPrecedes($1) })
    }

    @Test("too many entries and too deep a nesting are refused by name")
    func limits() throws {
        let root = TemporaryDirectory()
        #expect(shell("mkdir -p a/b/c; touch 1 2 3", in: root.path) == 0)
        var options = TreeReaderOptions()
        options.maximumEntries = 3
        options.maximumDepth = 2
        let directory = try DirectoryHandle.open(path: bytes(root.path), options: options)
        #expect(code { _ = try directory.entries() } == .limitExceeded)
        options.maximumEntries = 4
        #expect(code { _ = try TreePicture(root.path, options) } == .limitExceeded)
    }

    @Test("a source that is missing or no directory is named", arguments: ["nowhere", "file"])
    func missing(_ name: String) {
        let root = TemporaryDirectory()
        #expect(shell("touch file", in: root.path) == 0)
        #expect(code { _ = try DirectoryHandle.open(path: bytes(root.path + "/" + name)) } == .pathNotFound)
    }

    @Test("one file system: a mount point is listed and read as empty", .enabled(if: isRoot && canMount()))
    func oneFileSystem() throws {
        let root = TemporaryDirectory()
        #expect(
            shell("mkdir -p s/m s/d; mount -t tmpfs none s/m && mkdir s/m/sub && touch s/m/inside s/d/x", in: root.path)
                == 0)
        defer { shell("umount s/m", in: root.path) }
        var options = TreeReaderOptions()
        #expect(try TreePicture(root.path + "/s", options).paths == ["d", "d/x", "m", "m/inside", "m/sub"])
        options.oneFileSystem = true
        #expect(try TreePicture(root.path + "/s", options).paths == ["d", "d/x", "m"])
    }

    @Test("a read limit waits on the clock for what was read")
    func readLimit() throws {
        let root = TemporaryDirectory()
        #expect(shell("truncate -s 1000000 f", in: root.path) == 0)
        let clock = ManualClock()
        var options = TreeReaderOptions()
        options.readLimit = ByteRateLimit(ByteCount(100_000), clock: clock, cancellation: Cancellation())
        let start = clock.uptime()
        _ = try TreePicture(root.path, options)
        #expect(clock.uptime() - start >= .seconds(9))
        #expect(clock.uptime() - start <= .seconds(10))
    }
}

private func canMount() -> Bool {
    let root = TemporaryDirectory()
    return shell("mkdir m; mount -t tmpfs none m 2>/dev/null && umount m", in: root.path) == 0
}
