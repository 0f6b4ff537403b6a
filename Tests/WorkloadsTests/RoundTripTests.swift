// A tree read and written again is the same tree.

import CLinux
import Glibc
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

@Suite("a tree, read and written")
struct RoundTripTests {
    /// One of each kind of thing, with odd modes, times, names and attributes.
    private func makeTree(_ root: String) throws {
        #expect(
            shell(
                """
                mkdir -p src/a/deep/er src/empty.d
                printf hello > src/a/file; : > src/empty; printf suid > src/suid; chmod 4755 src/suid
                printf sgid > src/sgid; chmod 2711 src/sgid; chmod 1777 src/empty.d; chmod 2750 src/a
                ln -s a/file src/link; ln -s nowhere/at/all src/dangling; mkfifo -m 640 src/fifo
                ln src/a/file src/a/deep/second; ln src/a/file src/zz-third
                truncate -s 8M src/sparse; printf data | dd of=src/sparse bs=1 seek=4194304 conv=notrunc 2>/dev/null
                printf x > "src/$(printf 'bad\\377name')"; printf y > 'src/new
                line'
                printf secret > src/locked; chmod 400 src/locked
                touch -h -d '2001-02-03T04:05:06.123456789Z' src/link src/fifo src/a/file src/empty.d
                touch -d '1965-02-03T04:05:06.5Z' src/suid
                touch -d '1999-12-31T23:59:59.999999999Z' src/a/deep/er src/a/deep src/a src
                """, in: root) == 0)
        #expect(setAttribute(root + "/src/empty", "user.note", bytes("value")))
        #expect(setAttribute(root + "/src/a/deep", "user.empty", []))
        #expect(setAttribute(root + "/src/sgid", "system.posix_acl_access", sampleList))
        #expect(setAttribute(root + "/src/empty.d", "system.posix_acl_default", sampleList))
        if isRoot {
            #expect(setAttribute(root + "/src/link", "trusted.link", bytes("on a link")))
            #expect(shell("chown -h 1234:5678 src/link src/suid src/a/deep; chmod 4755 src/suid", in: root) == 0)
            #expect(shell("mknod src/null c 1 3; touch -d '1965-02-03T04:05:06.5Z' src/suid", in: root) == 0)
            #expect(shell("touch -d '1999-12-31T23:59:59.999999999Z' src/a src", in: root) == 0)
        }
    }

    @Test("every kind of thing comes back with content, modes, times, attributes and access lists")
    func everything() throws {
        let root = TemporaryDirectory()
        try makeTree(root.path)
        let source = try TreePicture(root.path + "/src")
        #expect(source.failures.isEmpty)
        let report = try write(source, to: root.path + "/out")
        #expect(report.warnings.isEmpty, "\(report.warnings)")
        let restored = try TreePicture(root.path + "/out")
        #expect(restored.order == source.order)
        for (path, entry) in source.entries {
            let other = try #require(restored.entries[path], "\(printablePath(path)) is missing")
            #expect(comparable(other) == comparable(entry), "\(printablePath(path))")
            #expect(restored.contents[path] == source.contents[path], "\(printablePath(path))")
        }
        let first = restored.entries[bytes("a/file")]
        #expect(first?.inode == restored.entries[bytes("zz-third")]?.inode)
        #expect(first?.inode == restored.entries[bytes("a/deep/second")]?.inode)
        #expect(first?.links == 3)
        var status = stat()
        #expect(stat(root.path + "/out/sparse", &status) == 0)
        #expect(status.st_size == 8 << 20)
        #expect(status.st_blocks * 512 < 1 << 20)
        #expect(shell("diff -r --no-dereference src out -x fifo -x null", in: root.path) == 0)
    }

    @Test("writing again over a changed tree repairs it")
    func again() throws {
        let root = TemporaryDirectory()
        try makeTree(root.path)
        let source = try TreePicture(root.path + "/src")
        _ = try write(source, to: root.path + "/out")
        #expect(
            shell(
                """
                cd out; rm link; mkdir link; rm fifo; ln -s /etc/passwd fifo; chmod 777 a; chmod 000 empty.d
                rm -r empty; ln -s suid empty; printf overlong-content > a/file; touch a/deep
                dd if=/dev/urandom of=sparse bs=1M count=8 conv=notrunc 2>/dev/null; chmod 000 locked
                """, in: root.path) == 0)
        #expect(setAttribute(root.path + "/out/suid", "user.extra", bytes("x")))
        #expect(setAttribute(root.path + "/out/a", "system.posix_acl_access", sampleList))
        let report = try write(source, to: root.path + "/out")
        #expect(report.warnings.isEmpty, "\(report.warnings)")
        let restored = try TreePicture(root.path + "/out")
        #expect(restored.order == source.order)
        for (path, entry) in source.entries {
            let other = try #require(restored.entries[path])
            #expect(comparable(other) == comparable(entry), "\(printablePath(path))")
            #expect(restored.contents[path] == source.contents[path], "\(printablePath(path))")
        }
        var status = stat()
        #expect(stat(root.path + "/out/sparse", &status) == 0)
        #expect(status.st_blocks * 512 < 1 << 20)
    }

    @Test("holes are skipped by extents", .enabled(if: hasHoles()))
    func extents() throws {
        let root = TemporaryDirectory()
        #expect(
            shell("truncate -s 8M f; printf x | dd of=f bs=1 seek=4194304 conv=notrunc 2>/dev/null", in: root.path) == 0
        )
        let directory = try DirectoryHandle.open(path: bytes(root.path))
        let file = try directory.file(try #require(try directory.entries().entries.first))
        let extent = try #require(try file.dataExtent(from: 0))
        #expect(extent.contains(4 << 20))
        #expect(extent.count <= 1 << 20)
        #expect(try file.dataExtent(from: extent.upperBound) == nil)
    }
}

/// Whether the file system of temporary directories knows holes.
private func hasHoles() -> Bool {
    let root = TemporaryDirectory()
    return shell("truncate -s 1M f; [ $(stat -c %b f) -lt 100 ]", in: root.path) == 0
}
