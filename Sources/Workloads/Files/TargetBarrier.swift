// How what a restore wrote comes to stable storage without waiting for what others write on the same file system.

import CLinux
import Glibc
import Primitives
import Synchronization

/// Brings the files of one target to the device, and then what the file system knows of them.
///
/// syncfs(2) does that too, but it also waits for everything that anybody else wrote: gigabytes, on a machine where
/// data was just copied. File systems with one journal need less: once the data of the files is on the device, the
/// commit of the journal's latest transaction makes all earlier changes of names and sizes durable, and flushes the
/// device's cache. XFS is such, and ext4 where it has a journal; on others, and for many files, it is left to syncfs.
/// So it is on every other file system that is mounted below the target.
///
/// Thread: safe.
final class TargetBarrier: Sendable {
    /// Files that are on their way to the device and still open.
    private static let maximumOpen = 64
    /// `f_type` of statfs(2): that of ext4 is that of ext2 as well.
    private static let ext: UInt64 = 0xEF53
    private static let xfs: UInt64 = 0x5846_5342
    /// With more files than this it is cheaper to let the kernel choose the order of all writes.
    static let maximumFiles: UInt64 = 16_384

    private struct State: Sendable {
        var open: [FileTarget] = []
        var failure: HoldfastError?
        /// Something on each other file system that was written to.
        var others: [UInt64: OwnedDescriptor] = [:]
    }

    private let isByFile: Bool
    /// The file system of the target; nil when that cannot be told.
    private let device: UInt64?
    private let state = Mutex(State())

    /// - Parameter files: How many files will be written.
    init(root: OwnedDescriptor, files: UInt64) {
        device = Self.device(of: root)
        isByFile = files <= Self.maximumFiles && Self.hasJournal(root, device)
    }

    /// Whether one commit makes all changes of names and sizes durable that went before it.
    private static func hasJournal(_ root: OwnedDescriptor, _ device: UInt64?) -> Bool {
        var status = statfs()
        guard let device, fstatfs(root.number, &status) == 0 else { return false }
        switch UInt64(truncatingIfNeeded: status.f_type) {
        case xfs: return true
        case ext: return hasJournal(device)
        default: return false
        }
    }

    /// Whether the ext4 file system on `device` has a journal, by what the kernel shows of it below `system`: the
    /// number of the task that writes the journal, or `<none>`. ext2 shows nothing there.
    static func hasJournal(_ device: UInt64, system: String = "/sys") -> Bool {
        let link = "\(system)/dev/block/\(holdfast_major(device)):\(holdfast_minor(device))"
        guard let path = realpath(link, nil) else { return false }
        defer { free(path) }
        guard let name = String(cString: path).split(separator: "/").last else { return false }
        let number = holdfast_openat(AT_FDCWD, "\(system)/fs/ext4/\(name)/journal_task", O_RDONLY, 0)
        guard number >= 0 else { return false }
        let file = OwnedDescriptor(number)
        var first: UInt8 = 0
        return read(file.number, &first, 1) == 1 && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    }

    private static func device(of descriptor: OwnedDescriptor) -> UInt64? {
        var status = stat()
        return fstat(descriptor.number, &status) == 0 ? UInt64(status.st_dev) : nil
    }

    /// How many other file systems are waited for.
    var otherCount: Int { state.withLock { $0.others.count } }

    /// Takes note of where something is written: a directory that was opened, or a file that was there.
    func note(_ descriptor: OwnedDescriptor) {
        guard let found = Self.device(of: descriptor), found != device else { return }
        state.withLock { state in
            if state.others[found] == nil { state.others[found] = descriptor }
        }
    }

    /// Takes over a file that is complete: its data begins its way to the device, and the oldest one's is waited for.
    func add(_ target: FileTarget) {
        guard isByFile else { return }
        target.beginWriting()
        let oldest = state.withLock { state -> FileTarget? in
            state.open.append(target)
            return state.open.count > Self.maximumOpen ? state.open.removeFirst() : nil
        }
        if let oldest { wait(for: oldest) }
    }

    private func wait(for target: FileTarget) {
        do throws(HoldfastError) {
            try target.waitForData()
        } catch {
            state.withLock { state in
                if state.failure == nil { state.failure = error }
            }
        }
    }

    /// Waits until all that was written is on stable storage.
    func wait(root: OwnedDescriptor, name: String) throws(HoldfastError) {
        func failed(_ number: Int32) -> HoldfastError {
            .systemCall("sync", number, on: name, code: .targetFailed)
        }
        while let next = state.withLock({ $0.open.popLast() }) { wait(for: next) }
        if let failure = state.withLock({ $0.failure }) { throw failure }
        for (_, other) in state.withLock({ $0.others }) {
            guard holdfast_syncfs(other.number) == 0 else { throw failed(errno) }
        }
        // A change of the root, to no effect, belongs to the latest transaction, so that fsync commits that one. This
        // one is allowed to everybody and leaves the bits of the mode alone.
        if !isByFile || fchown(root.number, .max, .max) != 0 {
            guard holdfast_syncfs(root.number) == 0 else { throw failed(errno) }
        }
        guard fsync(root.number) == 0 else { throw failed(errno) }
    }
}
