// What a restore waits for before it says that all is on stable storage.

import CLinux
import Glibc
import TestSupport
import Testing

@testable import Workloads

@Suite("the barrier of a restore")
struct BarrierTests {
    private let directory = TemporaryDirectory()

    /// A picture of what the kernel shows of one ext4 file system on device 8:1.
    private func system(journalTask: String?) throws -> String {
        let path = directory.path
        #expect(
            shell(
                """
                mkdir -p devices/sda/sda1 dev/block fs/ext4/sda1
                ln -s ../../devices/sda/sda1 dev/block/8:1
                """, in: path) == 0)
        if let journalTask { #expect(shell("echo '\(journalTask)' > fs/ext4/sda1/journal_task", in: path) == 0) }
        return path
    }

    @Test(
        "trusts one commit only where a journal is at work",
        arguments: [("187", true), ("0", true), ("<none>", false), ("", false), (nil, false)] as [(String?, Bool)])
    func journal(task: String?, isTrusted: Bool) throws {
        let system = try system(journalTask: task)
        #expect(TargetBarrier.hasJournal(holdfast_makedev(8, 1), system: system) == isTrusted)
        #expect(!TargetBarrier.hasJournal(holdfast_makedev(8, 2), system: system), "a device that nobody knows")
    }

    @Test("waits for every file system that is mounted below the target")
    func mounts() throws {
        var root = stat()
        var shared = stat()
        // Nothing can be mounted for a test, but this is mounted on every Linux.
        guard stat("/", &root) == 0, stat("/dev/shm", &shared) == 0, root.st_dev != shared.st_dev else { return }
        let name = "holdfast-barrier-\(getpid())-\(directory.path.split(separator: "/").last ?? "")"
        let path = "/dev/shm/\(name)"
        guard mkdir(path, 0o700) == 0 else { return }
        defer { shell("rm -rf '\(path)'", in: "/") }
        var options = TreeWriterOptions()
        options.expectedFiles = 1
        let writer = try TreeWriter(target: Array("/".utf8), options: options)
        #expect(writer.barrier.otherCount == 0)
        let file = try writer.openFile(parts("dev/shm/\(name)/file"))
        try file.setSize(3)
        #expect(writer.barrier.otherCount >= 1)
        let others = writer.barrier.otherCount
        _ = try writer.openFile(parts("dev/shm/\(name)/other"))
        #expect(writer.barrier.otherCount == others, "each file system once")
    }
}
