// The removal of trees that somebody made to be hard to remove.

import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

@testable import Workloads

@Suite("A tree that is thrown away")
struct ScratchTreeTests {
    /// Makes directories within each other, beginning in `path`; no path to the last of them could be given.
    ///
    /// - Returns: The last one.
    private func nest(_ path: String, depth: Int, name: String = "d") throws -> OwnedDescriptor {
        var directory = OwnedDescriptor(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        for _ in 0..<depth {
            try #require(mkdirat(directory.number, name, 0o755) == 0)
            let next = openat(directory.number, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            try #require(next >= 0)
            directory = OwnedDescriptor(next)
        }
        return directory
    }

    @Test("goes whole, however deep it is and whatever has the names that its directories are given meanwhile")
    func deep() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        #expect(mkdir(tree, 0o755) == 0)
        let last = try nest(tree, depth: 5000)
        let file = openat(last.number, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        #expect(file >= 0)
        close(file)
        for number in 0..<3 {
            #expect(mkdir("\(tree)/holdfast-deep-\(number)", 0o755) == 0)
            _ = try nest("\(tree)/holdfast-deep-\(number)", depth: 300, name: String(repeating: "n", count: 250))
        }
        try ScratchTree.remove(tree)
        #expect(access(tree, F_OK) != 0)
    }

    @Test(
        "in which something cannot be removed loses all else, and the error names it shortly",
        .enabled(if: geteuid() == 0, "run the tests as root"))
    func stubborn() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        for path in [tree, tree + "/a", tree + "/m", tree + "/m/mounted", tree + "/z"] {
            #expect(mkdir(path, 0o755) == 0)
        }
        for number in 0..<100 { #expect(mkdir("\(tree)/\(number)", 0o755) == 0) }
        let long = String(repeating: "n", count: 250)
        let deep = try nest(tree + "/a", depth: 30, name: long)
        #expect(mkdirat(deep.number, "mounted", 0o755) == 0)
        // Nobody can remove a directory that something is mounted over.
        #expect(fchdirMount(deep.number, "mounted") && mount("none", tree + "/m/mounted", "tmpfs", 0, nil) == 0)
        defer {
            umount2(tree + "/m/mounted", Int32(MNT_DETACH))
            _ = fchdirUnmount(deep.number, "mounted")
        }
        do {
            try ScratchTree.remove(tree)
            Issue.record("a mounted directory was removed")
        } catch {
            #expect(error.code == .targetFailed && error.message.contains("mounted"), "\(error)")
            #expect(error.message.utf8.count < 1000, "\(error.message.utf8.count)")
        }
        #expect(ScratchTree.names(in: tree).sorted() == ["a", "m"], "\(ScratchTree.names(in: tree))")
    }

    @Test(
        "in which a directory that lies deep can be neither removed nor moved is given up, and not tried for ever",
        .enabled(if: geteuid() == 0, "run the tests as root"))
    func immovable() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        #expect(mkdir(tree, 0o755) == 0)
        // The deepest of which descriptors are held, so that what lies in it is moved.
        let deep = try nest(tree, depth: 99)
        #expect(mkdirat(deep.number, "mounted", 0o755) == 0 && fchdirMount(deep.number, "mounted"))
        defer { _ = fchdirUnmount(deep.number, "mounted") }
        let error = #expect(throws: HoldfastError.self) { try ScratchTree.remove(tree) }
        #expect(error?.message.contains("mounted") == true, "\(error?.message ?? "")")
    }

    @Test(
        "loses nothing of a directory of the same file system that was bound into it",
        .enabled(if: geteuid() == 0, "run the tests as root"))
    func bound() throws {
        let directory = TemporaryDirectory()
        let (tree, other) = (directory.path + "/tree", directory.path + "/other")
        for path in [tree, other, tree + "/bound", tree + "/z"] { #expect(mkdir(path, 0o755) == 0) }
        #expect(mkdir(other + "/inner", 0o755) == 0 && chmod(other, 0o500) == 0)
        let deep = try nest(tree + "/z", depth: 98)
        #expect(mkdirat(deep.number, "deep", 0o755) == 0)
        let places = [tree + "/bound", "/proc/self/fd/\(deep.number)/deep"]
        // MS_BIND, of which there are two declarations.
        let bind: UInt = 4096
        for place in places { #expect(mount(other, place, nil, bind, nil) == 0) }
        defer {
            for place in places { umount2(place, Int32(MNT_DETACH)) }
            withExtendedLifetime((deep, directory)) {}
        }
        let error = #expect(throws: HoldfastError.self) { try ScratchTree.remove(tree) }
        #expect(error?.message.contains("busy") == true, "\(error?.message ?? "")")
        #expect(ScratchTree.names(in: other) == ["inner"])
        var status = stat()
        #expect(lstat(other, &status) == 0 && status.st_mode & 0o777 == 0o500)
    }

    @Test(
        "that is found again by marks loses nothing of what is mounted at its first level, and its marks last",
        .enabled(if: geteuid() == 0, "run the tests as root"))
    func marked() throws {
        let directory = TemporaryDirectory()
        let (tree, other) = (directory.path + "/tree", directory.path + "/other")
        let (mounted, bound) = (tree + "/mounted", tree + "/bound")
        for path in [tree, other, mounted, bound, tree + "/data", tree + "/mark-2", other + "/inner"] {
            #expect(mkdir(path, 0o755) == 0)
        }
        // MS_BIND, of which there are two declarations.
        #expect(mount("none", mounted, "tmpfs", 0, nil) == 0 && mount(other, bound, nil, 4096, nil) == 0)
        defer { for place in [mounted, bound] { umount2(place, Int32(MNT_DETACH)) } }
        for path in [tree + "/owner", tree + "/mark-1", tree + "/data/file", mounted + "/file", other + "/file"] {
            let number = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            #expect(number >= 0)
            close(number)
        }
        let error = #expect(throws: HoldfastError.self) {
            try ScratchTree.remove(tree) { $0.hasPrefix("mark-") }
        }
        #expect(error?.message.contains("busy") == true, "\(error?.message ?? "")")
        #expect(ScratchTree.names(in: mounted) == ["file"])
        #expect(ScratchTree.names(in: other).sorted() == ["file", "inner"])
        #expect(ScratchTree.names(in: tree).sorted() == ["bound", "mark-1", "mark-2", "mounted", "owner"])
        for place in [mounted, bound] { #expect(umount2(place, Int32(MNT_DETACH)) == 0) }
        try ScratchTree.remove(tree) { $0.hasPrefix("mark-") }
        #expect(access(tree, F_OK) != 0)
        // What is not there is no failure.
        try ScratchTree.remove(tree) { _ in false }
    }

    @Test("is left where it is, with its marks, once somebody interrupts the removal")
    func interrupted() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        #expect(mkdir(tree, 0o700) == 0 && mkdir(tree + "/system", 0o700) == 0)
        for name in ["owner", "mark"] { close(open("\(tree)/\(name)", O_WRONLY | O_CREAT, 0o600)) }
        let cancellation = Cancellation()
        cancellation.raise()
        let error = #expect(throws: HoldfastError.self) {
            try ScratchTree.remove(tree, cancellation: cancellation) { $0 == "mark" }
        }
        #expect(error?.code == .interrupted)
        #expect(ScratchTree.names(in: tree).sorted() == ["mark", "owner", "system"])
    }

    @Test("in which a file may not be removed says so, and not that it is no directory")
    func immutable() throws {
        let directory = TemporaryDirectory()
        let tree = directory.path + "/tree"
        #expect(mkdir(tree, 0o755) == 0)
        let files = [tree + "/file", directory.path + "/alone"]
        for file in files {
            let number = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            #expect(number >= 0)
            close(number)
        }
        // Only root can, and not on each file system.
        guard files.allSatisfy({ setImmutable($0, true) }) else {
            for file in files { _ = setImmutable(file, false) }
            return
        }
        defer { for file in files { _ = setImmutable(file, false) } }
        for path in [tree, directory.path + "/alone"] {
            let error = #expect(throws: HoldfastError.self) { try ScratchTree.remove(path) }
            #expect(error?.code == .accessDenied, "\(error?.message ?? "")")
            #expect(error?.message.contains("Operation not permitted") == true, "\(error?.message ?? "")")
        }
    }

    /// FS_IOC_SETFLAGS with FS_IMMUTABLE_FL, or with none.
    private func setImmutable(_ path: String, _ isImmutable: Bool) -> Bool {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return false }
        defer { close(number) }
        var flags: Int32 = isImmutable ? 0x10 : 0
        return ioctl(number, 0x4008_6602, &flags) == 0
    }

    private func fchdirMount(_ directory: Int32, _ name: String) -> Bool {
        mount("none", "/proc/self/fd/\(directory)/\(name)", "tmpfs", 0, nil) == 0
    }

    private func fchdirUnmount(_ directory: Int32, _ name: String) -> Bool {
        umount2("/proc/self/fd/\(directory)/\(name)", Int32(MNT_DETACH)) == 0
    }
}
