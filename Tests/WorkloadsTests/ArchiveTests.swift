// Archives by GNU tar taken apart, and archives that GNU tar and unzip take apart.

import Glibc
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

@Suite("archives")
struct ArchiveTests {
    private struct Picture {
        var members: [String: ArchiveMember] = [:]
        var contents: [String: [UInt8]] = [:]
        var order: [String] = []
    }

    private func read(_ path: String) throws -> Picture {
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        let reader = try ArchiveReader(StreamSource(descriptor: descriptor, cancellation: Cancellation()))
        var picture = Picture()
        var buffer = [UInt8](repeating: 0, count: 10_007)
        while let member = try reader.next() {
            let name = member.parts.map { printablePath($0) }.joined(separator: "/")
            picture.order.append(name)
            picture.members[name] = member
            var content = [UInt8]()
            while true {
                let count = try buffer.withUnsafeMutableBytes { try reader.read(into: $0) }
                if count == 0 { break }
                content += buffer[..<count]
            }
            picture.contents[name] = content
        }
        return picture
    }

    private func makeTree(_ root: String) {
        let long = String(repeating: "long-name-", count: 15)
        #expect(
            shell(
                """
                mkdir -p src/dir/\(long)/\(long); printf hello > src/file; ln src/file src/second
                printf deep > src/dir/\(long)/\(long)/\(long); ln -s file src/link; mkfifo src/fifo
                truncate -s 3M src/sparse; printf data | dd of=src/sparse bs=1 seek=1048576 conv=notrunc 2>/dev/null
                head -c 100000 /dev/urandom > src/random; : > src/empty; chmod 4751 src/random
                printf x > "src/$(printf 'bad\\377')"; printf u > src/grüße
                touch -d '2001-02-03T04:05:06.123456789Z' src/file src/dir
                """, in: root) == 0)
        #expect(setAttribute(root + "/src/file", "user.note", bytes("value")))
        #expect(setAttribute(root + "/src/random", "system.posix_acl_access", sampleList))
        #expect(shell("chmod 4751 src/random; setfacl --version > /dev/null 2>&1 || true", in: root) == 0)
    }

    @Test("GNU tar's archives come apart whole", arguments: ["pax --sparse --xattrs", "gnu --sparse", "gnu", "pax"])
    func gnuTar(_ format: String) throws {
        let root = TemporaryDirectory()
        makeTree(root.path)
        #expect(shell("tar --format=\(format) -cf t.tar -C src .", in: root.path) == 0)
        let source = try TreePicture(root.path + "/src")
        let picture = try read(root.path + "/t.tar")
        #expect(Set(picture.order) == Set(source.paths + [""]))
        for (path, entry) in source.entries {
            let member = try #require(picture.members[printablePath(path)], "\(printablePath(path))")
            guard member.hardLink == nil else {
                #expect(entry.links == 2)
                continue
            }
            #expect(member.parts == pathParts(path))
            #expect(member.metadata.kind == entry.kind)
            #expect(member.metadata.mode == entry.mode, "\(printablePath(path))")
            #expect(member.metadata.user == entry.user)
            #expect(member.metadata.linkTarget == entry.linkTarget)
            #expect(member.metadata.size == entry.size, "\(printablePath(path))")
            #expect(member.metadata.modified.seconds == entry.modified.seconds)
            if format.hasPrefix("pax") { #expect(member.metadata.modified == entry.modified) }
            #expect(picture.contents[printablePath(path)] == source.contents[path] ?? [], "\(printablePath(path))")
            if format.contains("--xattrs") {
                #expect(
                    member.metadata.attributes.contains { $0.name == bytes("user.note") } == (path == bytes("file")))
            }
        }
        #expect(picture.members.values.count { $0.hardLink != nil } == 1)
    }

    @Test("an archive cut anywhere is an error")
    func truncated() throws {
        let root = TemporaryDirectory()
        #expect(
            shell("printf hello > a; head -c 5000 /dev/urandom > b; printf end > c; tar -cf t.tar a b c", in: root.path)
                == 0)
        // a: 512 + 512; b: 512 + 5120; c: 512 + 512; then the end mark.
        for length in [0, 1, 100, 512, 600, 1024, 1536, 4000, 6656, 7168, 7171, 7680] {
            #expect(shell("head -c \(length) t.tar > cut.tar", in: root.path) == 0)
            #expect(throws: HoldfastError.self, "\(length) bytes") { _ = try read(root.path + "/cut.tar") }
        }
        #expect(shell("head -c 8704 t.tar > cut.tar", in: root.path) == 0)
        #expect(try read(root.path + "/cut.tar").order == ["a", "b", "c"])
    }

    @Test("damage, a second archive behind the first, and what is no tar at all are errors")
    func damaged() throws {
        let root = TemporaryDirectory()
        #expect(
            shell(
                """
                printf hello > a; printf world > b; tar -cf t.tar a b; cat t.tar t.tar > twice.tar
                cp t.tar flipped.tar; printf X | dd of=flipped.tar bs=1 seek=1030 conv=notrunc 2>/dev/null
                head -c 20000 /dev/urandom > noise.tar; gzip -c t.tar > t.tar.gz
                """, in: root.path) == 0)
        for name in ["twice.tar", "flipped.tar", "noise.tar", "t.tar.gz"] {
            #expect(throws: HoldfastError.self, "\(name)") { _ = try read(root.path + "/" + name) }
        }
    }

    @Test("members that lead out of the archive are refused, absolute ones lose their slash")
    func unsafe() throws {
        let root = TemporaryDirectory()
        #expect(
            shell(
                """
                mkdir d; printf x > x; printf y > d/y; (cd d && tar -Pcf ../up.tar ../x)
                tar -Pcf absolute.tar "$PWD/x"
                """, in: root.path) == 0)
        #expect(throws: HoldfastError.self) { _ = try read(root.path + "/up.tar") }
        #expect(try read(root.path + "/absolute.tar").order == [String((root.path + "/x").dropFirst())])
    }

    /// Writes a picture of a tree as an archive.
    private func write(_ picture: TreePicture, _ format: ArchiveFormat, to path: String) throws {
        let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        defer { close(descriptor) }
        let writer = try ArchiveWriter(format) { (block) throws(HoldfastError) in
            guard Glibc.write(descriptor, block.baseAddress, block.count) == block.count else {
                throw HoldfastError(.noSpace, "short write")
            }
        }
        var first: [UInt64: [[UInt8]]] = [:]
        for path in picture.order {
            guard let entry = picture.entries[path] else { continue }
            let link = entry.links > 1 && entry.kind == .file && format == .tar ? first[entry.inode] : nil
            first[entry.inode] = pathParts(path)
            let isTaken = try writer.add(pathParts(path), entry, hardLink: link)
            #expect(isTaken == (format == .tar || entry.kind != .fifo))
            guard isTaken, link == nil, let content = picture.contents[path] else { continue }
            try content.withUnsafeBytes { raw in
                try writer.write(UnsafeRawBufferPointer(rebasing: raw[..<(raw.count / 2)]))
                try writer.write(UnsafeRawBufferPointer(rebasing: raw[(raw.count / 2)...]))
            }
        }
        try writer.finish()
    }

    @Test("GNU tar restores what we write, and we read it back with attributes and access lists")
    func writesTar() throws {
        let root = TemporaryDirectory()
        makeTree(root.path)
        let source = try TreePicture(root.path + "/src")
        try write(source, .tar, to: root.path + "/t.tar")
        #expect(
            shell(
                "mkdir out; tar --xattrs --xattrs-include='*' --delay-directory-restore -xpf t.tar -C out 2>tar.err",
                in: root.path) == 0)
        let restored = try TreePicture(root.path + "/out")
        #expect(restored.order == source.order)
        #expect(restored.contents == source.contents)
        for (path, entry) in source.entries where !path.isEmpty {
            let other = try #require(restored.entries[path])
            // Without --acls the owning group's rights stand where the mask stood.
            if path != bytes("random") { #expect(other.mode == entry.mode, "\(printablePath(path))") }
            if entry.kind == .file { #expect(other.modified == entry.modified, "\(printablePath(path))") }
        }
        let picture = try read(root.path + "/t.tar")
        #expect(picture.members["file"]?.metadata.attributes == source.entries[bytes("file")]?.attributes)
        #expect(picture.members["random"]?.metadata.attributes == source.entries[bytes("random")]?.attributes)
        #expect(picture.members["random"]?.metadata.mode == source.entries[bytes("random")]?.mode)
        #expect(picture.members["second"]?.hardLink == [bytes("file")])
    }

    @Test("a zip holds the files and directories of the tree", .enabled(if: shell("python3 -c 0", in: "/") == 0))
    func writesZip() throws {
        let root = TemporaryDirectory()
        makeTree(root.path)
        let source = try TreePicture(root.path + "/src")
        try write(source, .zip, to: root.path + "/t.zip")
        #expect(shell("mkdir out; python3 -m zipfile -e t.zip out && cmp src/random out/random", in: root.path) == 0)
        #expect(shell("cmp src/sparse out/sparse && cmp src/grüße out/grüße && [ -d out/dir ]", in: root.path) == 0)
    }

    @Test("an archive that was not finished is torn for its reader, and a failing sink is reported")
    func torn() throws {
        let root = TemporaryDirectory()
        let descriptor = open(root.path + "/t.tar", O_CREAT | O_WRONLY, 0o600)
        defer { close(descriptor) }
        func begin() throws {
            let writer = try ArchiveWriter(.tar) { (block) throws(HoldfastError) in
                _ = Glibc.write(descriptor, block.baseAddress, block.count)
            }
            _ = try writer.add([bytes("empty")], EntryMetadata(name: bytes("empty"), kind: .file))
        }
        try begin()
        #expect(throws: HoldfastError.self) { _ = try read(root.path + "/t.tar") }
        let full = try ArchiveWriter(.tar) { (_) throws(HoldfastError) in throw HoldfastError(.noSpace, "disk full") }
        _ = try full.add([bytes("empty")], EntryMetadata(name: bytes("empty"), kind: .file))
        let error = #expect(throws: HoldfastError.self) { try full.finish() }
        #expect(error?.code == .noSpace)
    }
}
