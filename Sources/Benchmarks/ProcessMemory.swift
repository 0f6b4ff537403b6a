// What this process holds in memory, and further processes of this program.

import Glibc
import Primitives
import Synchronization

/// Memory that is neither shared nor a file's (`RssAnon` of proc(5)), in MiB.
enum ProcessMemory {
    static func anonymous() -> Double {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 1 << 14)
        let count = fread(&text, 1, text.count, file)
        for line in text[..<count].split(separator: 10) {
            let line = String(decoding: line, as: UTF8.self)
            guard line.hasPrefix("RssAnon:") else { continue }
            return Double(line.filter(\.isNumber)).map { $0 / 1024 } ?? 0
        }
        return 0
    }

    /// What `body` returns, the seconds it took, and the most anonymous memory that was seen meanwhile, looking every
    /// two milliseconds.
    static func watching<R>(
        _ body: () throws(HoldfastError) -> R
    ) throws(HoldfastError) -> (result: R, seconds: Double, peak: Double) {
        let state = WatchState()
        let thread = JoinableThread { state.watch() }
        let clock = ContinuousClock()
        let start = clock.now
        defer {
            state.end()
            thread?.join()
        }
        let result = try body()
        let took = seconds(clock.now - start)
        return (result, took, state.highest)
    }
}

/// Shared by the thread that watches and the one that works.
private final class WatchState: Sendable {
    private let isOver = Atomic(false)
    private let peak = Mutex(0.0)

    var highest: Double { peak.withLock { max($0, ProcessMemory.anonymous()) } }

    func end() { isOver.store(true, ordering: .releasing) }

    func watch() {
        while !isOver.load(ordering: .acquiring) {
            let now = ProcessMemory.anonymous()
            peak.withLock { $0 = max($0, now) }
            SystemClock().sleep(for: .milliseconds(2), unless: Cancellation())
        }
    }
}

func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}

/// Runs this program again with `arguments` and waits for it.
func runSelf(_ arguments: [String]) throws(HoldfastError) {
    let words = ["Benchmarks"] + arguments
    let strings = words.map { strdup($0) }
    defer { for string in strings { free(string) } }
    var child: pid_t = 0
    let failed = posix_spawn(&child, "/proc/self/exe", nil, nil, strings + [nil], environ)
    var status: Int32 = 0
    guard failed == 0, waitpid(child, &status, 0) == child, status == 0 else {
        throw HoldfastError(
            .processFailed, "a step of the benchmark failed: \(arguments.joined(separator: " "))",
            hint: "Its own message is above.")
    }
}

/// Writes figures, a line of name and value each.
func writeFigures(_ figures: [(name: String, value: Double)], to path: String) throws(HoldfastError) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw HoldfastError.systemCall("open", errno, on: path) }
    defer { close(file) }
    emit(figures.map { "\($0.name) \($0.value)\n" }.joined(), to: file)
}

func readFigures(_ path: String) throws(HoldfastError) -> [String: Double] {
    guard let file = fopen(path, "r") else { throw HoldfastError.systemCall("open", errno, on: path) }
    defer { fclose(file) }
    var text = [UInt8](repeating: 0, count: 1 << 12)
    let count = fread(&text, 1, text.count, file)
    var figures: [String: Double] = [:]
    for line in String(decoding: text[..<count], as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count == 2 { figures[String(words[0])] = Double(words[1]) }
    }
    return figures
}
