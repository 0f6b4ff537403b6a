// The process that carries out a run, as the store names it.

import CLinux
import FoundationEssentials
import Glibc
import Primitives
import Scheduling

/// Looks at holders of this host by their numbers; those of other hosts, and of other PID namespaces of this one, are
/// left alone: a number says nothing of them.
package enum HolderProcess {
    private static let maximumStatus = ByteCount(4096)

    /// What is known of a holder.
    private enum Standing {
        /// Of another host or another namespace: nobody here can tell.
        case elsewhere
        case gone
        /// There is a process of its number, and nothing is known that would tell it from the holder.
        case numbered
        /// It is there, in this state of proc(5).
        case there(Character)
    }

    /// This process, as others are to know it.
    package static func own(host: String) -> RunHolder {
        var holder = RunHolder(host: host, process: getpid())
        if let namespace, let status = status(of: "self") {
            holder.mark = mark(holder.process, namespace, status.began)
        }
        return holder
    }

    /// Whether the process is known not to be there any more.
    package static func isGone(_ holder: RunHolder, host: String) -> Bool {
        if case .gone = standing(of: holder, host) { true } else { false }
    }

    /// Whether the very process that took the run is there, and neither stopped nor dead.
    package static func isWorking(_ holder: RunHolder, host: String) -> Bool {
        if case .there(let state) = standing(of: holder, host) { !"TtZX".contains(state) } else { false }
    }

    /// Whether the process is there and somebody has stopped it.
    package static func isStopped(_ holder: RunHolder, host: String) -> Bool {
        if case .there(let state) = standing(of: holder, host) { "Tt".contains(state) } else { false }
    }

    /// Asks the process to end its run. Another program that has got the number since is left alone.
    ///
    /// - Returns: Whether it was asked.
    package static func stop(_ holder: RunHolder, host: String) -> Bool {
        guard holder.process != getpid() else { return false }
        switch standing(of: holder, host) {
        case .elsewhere, .gone: return false
        case .numbered, .there: break
        }
        let handle = holdfast_process_handle(holder.process)
        guard handle >= 0 else { return false }
        defer { close(handle) }
        guard let own = program("self"), program("\(holder.process)") == own else { return false }
        return holdfast_signal_process(handle, SIGTERM) == 0
    }

    private static func standing(of holder: RunHolder, _ host: String) -> Standing {
        guard holder.host == host, holder.process > 0 else { return .elsewhere }
        let words = holder.mark.split(separator: " ").map(String.init)
        // A mark that is not of this number was left by an earlier holder of the line.
        guard words.count == 3, words[0] == "\(holder.process)" else {
            return holder.process != getpid() && isFree(holder.process) ? .gone : .numbered
        }
        guard let namespace, words[1] == namespace else { return .elsewhere }
        if isFree(holder.process) { return .gone }
        // Where /proc is that of another namespace, its numbers are others.
        guard link("/proc/self") == "\(getpid())" else { return .numbered }
        guard let status = status(of: "\(holder.process)") else {
            return isFree(holder.process) ? .gone : .numbered
        }
        return mark(holder.process, namespace, status.began) == holder.mark ? .there(status.state) : .gone
    }

    private static func mark(_ process: Int32, _ namespace: String, _ began: String) -> String {
        "\(process) \(namespace) \(began)"
    }

    private static func isFree(_ process: Int32) -> Bool { kill(process, 0) != 0 && errno == ESRCH }

    /// `pid:[4026531836]`.
    private static var namespace: String? { link("/proc/self/ns/pid") }

    /// The state of a process, and when it began in ticks since the boot: fields 3 and 22 of its `stat`, of which the
    /// second, the name, may hold anything.
    private static func status(of process: String) -> (state: Character, began: String)? {
        guard let bytes = try? InputFile.read("/proc/\(process)/stat", limit: maximumStatus),
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = String(decoding: bytes[(end + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 19, let state = fields[0].first else { return nil }
        return (state, String(fields[19]))
    }

    private static func program(_ process: String) -> String? { link("/proc/\(process)/exe") }

    private static func link(_ path: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    }
}
