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
/// device's cache. ext4 and XFS are such; on others, and for many files, it is left to syncfs.
///
/// Thread: safe.
final class TargetBarrier: Sendable {
    /// Files that are on their way to the device and still open.
    private static let maximumOpen = 64
    /// `f_type` of statfs(2).
    private static let journaled: Set<UInt64> = [0xEF53, 0x5846_5342]
    /// With more files than this it is cheaper to let the kernel choose the order of all writes.
    static let maximumFiles: UInt64 = 16_384

    private struct State: Sendable {
        var open: [FileTarget] = []
        var failure: HoldfastError?
    }

    private let isByFile: Bool
    private let state = Mutex(State())

    /// - Parameter files: How many files will be written.
    init(root: OwnedDescriptor, files: UInt64) {
        var status = statfs()
        let isKnown = fstatfs(root.number, &status) == 0
        isByFile =
            isKnown && files <= Self.maximumFiles && Self.journaled.contains(UInt64(truncatingIfNeeded: status.f_type))
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
        // A change of the root, to no effect, belongs to the latest transaction, so that fsync commits that one.
        let status = try root.status(of: name)
        if !isByFile || fchmod(root.number, status.st_mode & 0o7777) != 0 {
            guard holdfast_syncfs(root.number) == 0 else { throw failed(errno) }
        }
        guard fsync(root.number) == 0 else { throw failed(errno) }
    }
}
