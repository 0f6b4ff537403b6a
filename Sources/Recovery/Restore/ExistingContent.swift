// What stands in the target already is compared piece by piece, and only what differs is fetched.

import Primitives
import Repository
import Sealing
import Synchronization
import Workloads

/// Compares batches with the files of the target.
struct ExistingContent {
    /// Pieces that one thread takes at a time.
    private static let slice = 64

    private let context: RestoreContext
    private let threads: Int

    init(_ context: RestoreContext, threads: Int) {
        self.context = context
        self.threads = threads
    }

    /// Makes a range of an existing file read as zeros.
    func makeZero(_ range: Range<UInt64>, _ job: FileJob) {
        guard let target = job.open(context.writer, context.tally), !target.isFresh else { return }
        let end = min(range.upperBound, target.foundSize)
        guard range.lowerBound < end else { return }
        do throws(HoldfastError) {
            try target.punchHole(range.lowerBound..<end)
        } catch {
            job.giveUp(error, context.tally)
        }
    }

    /// The pieces of `batch` that differ from what stands at their places; the others are let go.
    func withoutEqual(_ batch: [Want]) -> [Want] {
        let slices = (batch.count + Self.slice - 1) / Self.slice
        guard slices > 0 else { return [] }
        let next = Atomic<Int>(0)
        let different = Mutex<[(slice: Int, wants: [Want])]>([])
        let context = context
        let key: SecretBytes
        do throws(HoldfastError) { key = try context.keyring.key(.dataID) } catch { return batch }
        withThreads(min(threads, slices)) { _ in
            let reader = Comparer(key)
            while true {
                let slice = next.add(1, ordering: .relaxed).oldValue
                guard slice < slices, !context.tally.isAborted else { return }
                let wants = batch[slice * Self.slice..<min(batch.count, (slice + 1) * Self.slice)]
                var kept: [Want] = []
                for want in wants {
                    if reader.isEqual(want, context) {
                        context.tally.counters.add(alreadyThere: Int(want.location.entry.raw))
                        want.job.release(1, context.writer, context.tally)
                    } else {
                        kept.append(want)
                    }
                }
                different.withLock { $0.append((slice, kept)) }
            }
        }
        return different.withLock { all in all.sorted { $0.slice < $1.slice }.flatMap(\.wants) }
    }
}

/// Reads and hashes pieces of files, for one thread.
private final class Comparer {
    private let hash: KeyedHash
    private var buffer: UnsafeMutableRawBufferPointer

    init(_ key: SecretBytes) {
        hash = KeyedHash(key: key)
        buffer = .allocate(byteCount: 1 << 20, alignment: 16)
    }

    deinit { buffer.deallocate() }

    func isEqual(_ want: Want, _ context: RestoreContext) -> Bool {
        guard let target = want.job.open(context.writer, context.tally), !target.isFresh,
            want.range.upperBound <= target.foundSize
        else { return false }
        let count = Int(want.location.entry.raw)
        if buffer.count < count {
            buffer.deallocate()
            buffer = .allocate(byteCount: count, alignment: 16)
        }
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        do throws(HoldfastError) {
            guard try target.read(at: want.offset, into: part) == count else { return false }
        } catch {
            // What cannot be read is written anew, and the write says what is wrong.
            return false
        }
        let bytes = UnsafeRawBufferPointer(part)
        return ChunkID(hash.digest(RawSpan(_unsafeBytes: bytes))) == want.id
    }
}
