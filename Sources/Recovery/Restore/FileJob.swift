// One file under restore: opened by the first thread that needs it, ended by the last.

import Primitives
import Repository
import Synchronization
import Workloads

/// A file with pieces under way.
///
/// The walk holds the job until it has handed out all pieces; each piece holds it until it is in place or given up. Who
/// lets go last sets the size and the metadata and closes the file.
/// Thread: safe.
final class FileJob: Sendable {
    /// Damaged pieces kept with their ranges; of more, only the first of the file's pieces are named.
    private static let maximumDamage = 4096

    let parts: [[UInt8]]
    let metadata: EntryMetadata
    private let state = Mutex(State())
    private let holds = Atomic<Int>(1)

    private struct State {
        var target: FileTarget?
        var isGivenUp = false
        var damage: [DamagedPath.Part] = []
    }

    init(_ parts: [[UInt8]], _ metadata: EntryMetadata) {
        self.parts = parts
        self.metadata = metadata
    }

    /// The open file; nil once the target has refused it, which is noted the first time.
    func open(_ writer: TreeWriter, _ tally: RestoreTally) -> FileTarget? {
        let (target, error) = state.withLock { state -> (FileTarget?, HoldfastError?) in
            if state.isGivenUp { return (nil, nil) }
            if let target = state.target { return (target, nil) }
            do throws(HoldfastError) {
                let target = try writer.openFile(parts, size: metadata.size)
                state.target = target
                return (target, nil)
            } catch {
                state.isGivenUp = true
                return (nil, error)
            }
        }
        if let error { tally.failed(parts, error) }
        return target
    }

    /// Closes the file for now; the next ``open(_:_:)`` finds what was written so far.
    func suspend() { state.withLock { $0.target = nil } }

    /// Leaves the file as it is; the first failure is noted.
    func giveUp(_ error: HoldfastError, _ tally: RestoreTally) {
        let isFirst = state.withLock { state in
            defer { state.isGivenUp = true }
            return !state.isGivenUp
        }
        if isFirst { tally.failed(parts, error) }
    }

    /// Notes bytes that cannot be had; they read as zeros afterwards.
    func damaged(
        _ range: Range<UInt64>, pack: PackID?, _ error: HoldfastError, _ writer: TreeWriter, _ tally: RestoreTally
    ) {
        state.withLock { state in
            guard state.damage.count < Self.maximumDamage else { return }
            state.damage.append(DamagedPath.Part(range: range, pack: pack, error: error))
        }
        guard let target = open(writer, tally), !target.isFresh else { return }
        do throws(HoldfastError) {
            let end = min(range.upperBound, target.foundSize)
            if range.lowerBound < end { try target.punchHole(range.lowerBound..<end) }
        } catch {
            giveUp(error, tally)
        }
    }

    func hold(_ count: Int = 1) { holds.add(count, ordering: .relaxed) }

    /// Lets go; the last one ends the file.
    func release(_ count: Int = 1, _ writer: TreeWriter, _ tally: RestoreTally) {
        guard holds.subtract(count, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        // After an abort the file stays as it is, to be compared by the next run.
        guard !tally.isAborted else { return suspend() }
        if let target = open(writer, tally) {
            do throws(HoldfastError) {
                try target.setSize(metadata.size)
                try target.apply(metadata)
                tally.counters.addFile()
            } catch {
                giveUp(error, tally)
            }
        }
        let damage = state.withLock { state in
            state.target = nil
            return state.damage
        }
        guard let first = damage.first else { return }
        let sorted = damage.sorted { $0.range.lowerBound < $1.range.lowerBound }
        tally.damaged(DamagedPath(path: joinedPath(parts), parts: sorted, error: first.error))
    }
}
