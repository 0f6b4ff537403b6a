// All that a child process left running, also what left its process group.

import CLinux
import Glibc
import Synchronization

/// The children that ``SystemProcess`` has started and not yet reaped, each of which has somebody who waits for it.
enum OwnChildren {
    private static let living = Mutex<Set<Int32>>([])

    /// Starts a child by `body`, which returns its number, or nil when there is none. Nobody who looks for children
    /// meanwhile sees one that is not known.
    static func start<R>(_ body: () -> (child: Int32?, result: R)) -> R {
        living.withLock { living in
            let (child, result) = body()
            if let child { living.insert(child) }
            return result
        }
    }

    /// To be called when the child was reaped.
    static func forget(_ child: Int32) { living.withLock { _ = $0.remove(child) } }

    static var all: Set<Int32> { living.withLock { $0 } }
}

/// The processes below this one.
package enum Descendants {
    /// Rounds of looking and killing; each finds what was forked during the one before.
    private static let maximumRounds = 1000
    private static let maximumProcesses = 1 << 20
    private static let maximumEnvironment = 1 << 20

    /// A process below this one, by /proc (proc(5), `stat`).
    package struct Found: Sendable, Hashable {
        package var process: Int32
        package var parent: Int32
        package var isZombie: Bool
    }

    /// How long after SIGKILL a process is waited for.
    private static let patience = Duration.seconds(2)

    /// Lets orphans become children of this process instead of the init process.
    package static func adoptOrphans() { _ = holdfast_adopt_orphans() }

    /// Sends this process SIGTERM when its parent ends.
    package static func endWithParent() { _ = holdfast_end_with_parent(SIGTERM) }

    /// Those below `root`, parents before children.
    package static func below(_ root: Int32) -> [Found] {
        var children: [Int32: [Found]] = [:]
        for found in all() { children[found.parent, default: []].append(found) }
        var result: [Found] = []
        var next = [root]
        while let parent = next.popLast(), result.count < maximumProcesses {
            let own = children.removeValue(forKey: parent) ?? []
            result += own
            next += own.map(\.process)
        }
        return result
    }

    /// Ends all processes below this one and reaps its children: SIGTERM, `grace`, SIGKILL. Spared are the children
    /// that a ``ProcessRunner`` of this process started and that somebody waits for, with all that is below them.
    ///
    /// - Returns: Whether nothing is left; two seconds after the grace at the latest. A process in an uninterruptible
    ///   wait of the kernel stays until that is over.
    @discardableResult
    package static func end(
        grace: Duration, clock: any Clock
    ) -> Bool {
        let own = getpid()
        let deadline = clock.uptime() + grace
        var asked: Set<Int32> = []
        for _ in 0..<maximumRounds {
            let found = below(own)
            // After the look: what was started since then is not among the found.
            var kept = OwnChildren.all
            // Parents come before their children.
            for one in found where kept.contains(one.parent) { kept.insert(one.process) }
            let rest = found.filter { !kept.contains($0.process) }
            for dead in rest where dead.isZombie && dead.parent == own {
                var status: Int32 = 0
                waitpid(dead.process, &status, WNOHANG)
            }
            let living = rest.filter { !$0.isZombie }
            if living.isEmpty { return true }
            let isOver = clock.uptime() >= deadline
            for one in living {
                if isOver {
                    kill(one.process, SIGKILL)
                } else if asked.insert(one.process).inserted {
                    kill(one.process, SIGTERM)
                }
            }
            // One in an uninterruptible wait of the kernel is not waited for: the loop of the daemon calls this.
            if clock.uptime() >= deadline + patience { return false }
            clock.sleep(for: .milliseconds(isOver ? 10 : 50), unless: Cancellation())
        }
        return false
    }

    /// Ends the processes whose environments hold all of these `NAME=value` lines: SIGTERM, `grace`, SIGKILL. This
    /// process is spared, and those of other users, whose environments cannot be seen. Returns after twice the grace
    /// at the latest, also when a process in an uninterruptible wait of the kernel is still there.
    package static func end(marked lines: [String], grace: Duration, clock: any Clock) {
        let deadline = clock.uptime() + grace
        var asked: Set<Int32> = []
        for _ in 0..<maximumRounds {
            let living = all().filter { !$0.isZombie && $0.process != getpid() }
            var isLeft = false
            for one in living {
                // A handle first: the number may be another's by the time that the environment was read.
                let handle = holdfast_process_handle(one.process)
                guard handle >= 0 else { continue }
                defer { close(handle) }
                guard isMarked(one.process, lines) else { continue }
                isLeft = true
                if clock.uptime() >= deadline {
                    _ = holdfast_signal_process(handle, SIGKILL)
                } else if asked.insert(one.process).inserted {
                    _ = holdfast_signal_process(handle, SIGTERM)
                }
            }
            if !isLeft || clock.uptime() >= deadline + grace { return }
            clock.sleep(for: .milliseconds(50), unless: Cancellation())
        }
    }

    private static func isMarked(_ process: Int32, _ lines: [String]) -> Bool {
        guard
            let bytes = try? InputFile.read("/proc/\(process)/environ", limit: ByteCount(UInt64(maximumEnvironment)))
        else { return false }
        let found = Set(bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
        return lines.allSatisfy { found.contains($0) }
    }

    private static func all() -> [Found] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [Found] = []
        while found.count < maximumProcesses, let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let process = Int32(name), let one = look(process) { found.append(one) }
        }
        return found
    }

    /// One line: the number, the program's name in parentheses, which may hold anything, the state, the parent.
    private static func look(_ process: Int32) -> Found? {
        let descriptor = open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let words = bytes[(end + 1)..<count].split(separator: UInt8(ascii: " "))
        guard words.count > 1, let parent = Int32(String(decoding: words[1], as: UTF8.self)) else { return nil }
        let isZombie = words[0].first == UInt8(ascii: "Z") || words[0].first == UInt8(ascii: "X")
        return Found(process: process, parent: parent, isZombie: isZombie)
    }
}
