// Limits of a drill: a thread that looks at the clock, at the scratch directory and at memory, and stops what is over.

import CLinux
import Glibc
import Primitives
import Synchronization
import Workloads

/// Watches one drill from its beginning to its teardown.
///
/// The disk and the memory are looked at once a second, or less often where a look takes long; what is used in between
/// can be over the limit for that time.
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

    init(_ limits: DrillLimits, directory: String, clock: any Clock, parent: Cancellation) {
        self.parent = parent
        self.clock = clock
        let deadline = limits.time.map { clock.uptime() + $0 }
        let own = JoinableThread { [self] in run(limits, deadline, directory) }
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
            guard now >= next else { continue }
            if let over = look(limits, directory) { return end(over) }
            let took = clock.uptime() - now
            next = clock.uptime() + max(Self.lookEvery, took * 20)
        }
    }

    private func look(_ limits: DrillLimits, _ directory: String) -> HoldfastError? {
        let disk = ScratchTree.size(of: directory)
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

/// The processes that this one started, and theirs.
enum ProcessFamily {
    /// Proportional set size of all of them, ourselves left out; 0 where the kernel does not tell.
    static var memory: UInt64 {
        var parents: [Int32: Int32] = [:]
        for name in ScratchTree.names(in: "/proc") {
            guard let process = Int32(name), let text = text("/proc/\(name)/stat") else { continue }
            // The name in parentheses may hold anything; what follows it is state and parent.
            guard let end = text.lastIndex(of: ")") else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ")
            if fields.count > 1, let parent = Int32(fields[1]) { parents[process] = parent }
        }
        let own = getpid()
        return parents.keys.reduce(0) { sum, process in
            var at = process
            var steps = 0
            while let parent = parents[at], parent != own, steps < 64 {
                at = parent
                steps += 1
            }
            return parents[at] == own ? sum + size(process) : sum
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
