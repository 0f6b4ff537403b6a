// Limits of a drill: a thread that looks at the clock, at the scratch directory and at memory, and stops what is over.

import CLinux
import Glibc
import Primitives
import Synchronization
import Workloads

/// Watches one drill from its beginning to its teardown.
///
/// The disk and the memory are looked at once a second, or less often where a look takes long. In between the free room
/// of the file system is: as soon as so much of it is gone that the disk's limit could be reached, the next look comes
/// at once. What is used until it is over can be over the limit.
final class DrillWatch: Sendable {
    private static let nap = Duration.milliseconds(50)
    private static let lookEvery = Duration.seconds(1)

    private struct State {
        var reason: HoldfastError?
        /// A part of the work with a deadline of its own.
        var part: (cancellation: Cancellation, deadline: Duration)?
        var isPartLate = false
        var mostDisk: UInt64 = 0
        var mostMemory: UInt64 = 0
    }

    /// Raised when the drill is interrupted or over a limit.
    let cancellation = Cancellation()
    private let parent: Cancellation
    private let ending = Cancellation()
    private let state = Mutex(State())
    private let thread = Mutex<JoinableThread?>(nil)
    private let clock: any Clock

    /// - Parameter start: Starts the thread.
    /// - Throws: `.busy` when there is no thread to watch with: nothing would be limited.
    init(
        _ limits: DrillLimits, directory: String, clock: any Clock, parent: Cancellation,
        start: (@escaping @Sendable () -> Void) -> JoinableThread? = { JoinableThread($0) }
    ) throws(HoldfastError) {
        self.parent = parent
        self.clock = clock
        let deadline = limits.time.map { clock.uptime() + $0 }
        guard let own = start({ [self] in run(limits, deadline, directory) }) else {
            throw HoldfastError(
                .busy, "there is no thread to watch the drill's limits with",
                hint: "Try again when the machine is less busy.", retry: .later)
        }
        thread.withLock { $0 = own }
    }

    /// Why the drill was stopped; nil when it was not, or on request.
    var reason: HoldfastError? { state.withLock { $0.reason } }
    var mostDisk: UInt64 { state.withLock { $0.mostDisk } }
    var mostMemory: UInt64 { state.withLock { $0.mostMemory } }

    /// Ends the watch. Call it once.
    func stop() {
        ending.raise()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    /// Runs `body` with a cancellation that is raised after `timeout`, or with the drill's.
    ///
    /// - Returns: nil when its time was over.
    func within<R>(
        _ timeout: Duration?, _ body: (Cancellation) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R? {
        guard let timeout else { return try body(cancellation) }
        let part = Cancellation()
        state.withLock { state in
            state.part = (part, clock.uptime() + timeout)
            state.isPartLate = false
        }
        if cancellation.isRaised { part.raise() }
        defer { state.withLock { $0.part = nil } }
        do throws(HoldfastError) {
            return try body(part)
        } catch {
            if error.code == .interrupted, state.withLock({ $0.isPartLate }), !cancellation.isRaised { return nil }
            throw error
        }
    }

    private func end(_ error: HoldfastError) {
        state.withLock { if $0.reason == nil { $0.reason = error } }
        raise()
    }

    private func raise() {
        cancellation.raise()
        state.withLock { $0.part?.cancellation.raise() }
    }

    private func run(_ limits: DrillLimits, _ deadline: Duration?, _ directory: String) {
        var next = clock.uptime()
        var soonest = next
        var free = DrillScratch.room(at: directory)
        var disk: UInt64 = 0
        while !ending.isRaised {
            clock.sleep(for: Self.nap, unless: ending)
            let now = clock.uptime()
            if parent.isRaised { return raise() }
            if let deadline, now >= deadline, let time = limits.time {
                return end(
                    HoldfastError(
                        .limitExceeded, "the drill was stopped after its limit of \(time.lengthOfTime)",
                        hint: "Raise `time` below `scratch`, or look at what took so long."))
            }
            state.withLock { state in
                guard let part = state.part, now >= part.deadline else { return }
                state.isPartLate = true
                part.cancellation.raise()
            }
            let room = DrillScratch.room(at: directory)
            // Others may use the file system too, so that this only says when to look.
            let isNear = limits.disk.map { disk + (free - min(free, room)) > $0.bytes } ?? false
            guard now >= next || isNear && now >= soonest else { continue }
            free = room
            disk = DrillDisk.used(by: directory)
            if let over = look(limits, disk) { return end(over) }
            let took = clock.uptime() - now
            next = clock.uptime() + max(Self.lookEvery, took * 20)
            soonest = clock.uptime() + took * 3
        }
    }

    private func look(_ limits: DrillLimits, _ disk: UInt64) -> HoldfastError? {
        let memory = ProcessFamily.memory
        state.withLock { state in
            state.mostDisk = max(state.mostDisk, disk)
            state.mostMemory = max(state.mostMemory, memory)
        }
        if let limit = limits.disk, disk > limit.bytes {
            return HoldfastError(
                .limitExceeded, "the scratch directory took \(ByteCount(disk)), over its limit of \(limit)",
                hint: "Raise `disk` below `scratch`.")
        }
        if let limit = limits.memory, memory > limit.bytes {
            return HoldfastError(
                .limitExceeded,
                "what the drill started took \(ByteCount(memory)) of memory, over the limit of \(limit)",
                hint: "Raise `memory` below `scratch`.")
        }
        return nil
    }
}

/// What a drill takes on the disk.
enum DrillDisk {
    /// The scratch directory, those of its servers, and what its programs hold open there and unlinked, in bytes.
    static func used(by directory: String) -> UInt64 {
        var sum = ScratchTree.size(of: directory)
        for place in ScratchPlace.noted(in: directory) { sum += ScratchTree.size(of: place) }
        var status = stat()
        if stat(directory, &status) == 0 { sum += ProcessFamily.unlinked(on: status.st_dev) }
        return sum
    }
}

/// The processes that this one started, and theirs.
enum ProcessFamily {
    /// Proportional set size of all of them, ourselves left out; 0 where the kernel does not tell.
    static var memory: UInt64 { members.reduce(0) { $0 + size($1) } }

    /// What they hold open on the file system `device` and has no name any more, in bytes.
    static func unlinked(on device: dev_t) -> UInt64 {
        var sizes: [ino_t: UInt64] = [:]
        for process in members {
            let directory = "/proc/\(process)/fd"
            for name in ScratchTree.names(in: directory) {
                var status = stat()
                guard stat("\(directory)/\(name)", &status) == 0, status.st_nlink == 0, status.st_dev == device else {
                    continue
                }
                sizes[status.st_ino] = UInt64(clamping: status.st_blocks) * 512
            }
        }
        return sizes.values.reduce(0, +)
    }

    private static var members: [Int32] {
        var parents: [Int32: Int32] = [:]
        for name in ScratchTree.names(in: "/proc") {
            guard let process = Int32(name), let text = text("/proc/\(name)/stat") else { continue }
            // The name in parentheses may hold anything; what follows it is state and parent.
            guard let end = text.lastIndex(of: ")") else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ")
            if fields.count > 1, let parent = Int32(fields[1]) { parents[process] = parent }
        }
        let own = getpid()
        return parents.keys.filter { process in
            var at = process
            var steps = 0
            while let parent = parents[at], parent != own, steps < 64 {
                at = parent
                steps += 1
            }
            return parents[at] == own
        }
    }

    private static func size(_ process: Int32) -> UInt64 {
        guard let text = text("/proc/\(process)/smaps_rollup"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Pss:") }),
            let kibi = line.split(separator: " ").compactMap({ UInt64($0) }).first
        else { return 0 }
        return kibi * 1024
    }

    private static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
