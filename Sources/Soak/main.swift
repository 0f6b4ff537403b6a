// Runs simulated histories one after another: `Soak <first seed> <histories> [store kind|-] [mutation|-] [log]`.

import Glibc
import Primitives
import Simulation

let arguments = CommandLine.arguments
let first = arguments.count > 1 ? UInt64(arguments[1]) ?? 1 : 1
let histories = arguments.count > 2 ? UInt64(arguments[2]) ?? 1000 : 1000
let kind = arguments.count > 3 ? StoreKind(rawValue: arguments[3]) : nil
let mutation = arguments.count > 4 ? Mutation(rawValue: arguments[4]) : nil
let isLogged = arguments.count > 5
/// Seconds after which no further history is begun.
let limit = getenv("SECONDS_TO_RUN").flatMap { Int(String(cString: $0)) } ?? Int.max
let goesOn = getenv("GO_ON") != nil

func say(_ text: String) {
    // A line that can't be written is nobody's loss.
    _ = (text + "\n").withCString { write(STDOUT_FILENO, $0, strlen($0)) }
}

do throws(HoldfastError) {
    let simulator = try Simulator()
    var counts: [String: Int] = [:]
    var calls = 0
    var failed = 0
    let begun = time(nil)
    var done = 0
    for seed in first..<first &+ histories {
        if time(nil) - begun >= limit { break }
        done += 1
        let report = simulator.run(seed: seed, kind: kind, mutation: mutation, isLogged: isLogged)
        for (what, count) in report.counts { counts[what, default: 0] += count }
        calls += report.calls
        for line in report.log { say(line) }
        guard !report.violations.isEmpty else { continue }
        failed += 1
        say("seed \(seed) on a \(report.kind.rawValue) store, \(report.calls) calls:")
        for violation in report.violations { say("  \(violation)") }
        say("  again, with every call: HISTORIES=1 SEED=\(seed) KIND=\(report.kind.rawValue) LOG=1 scripts/soak")
        if !goesOn { exit(1) }
    }
    say("\(done) histories, \(calls) calls, \(failed) failed")
    for (what, count) in counts.sorted(by: { $0.key < $1.key }) { say("  \(what): \(count)") }
    exit(failed == 0 ? 0 : 1)
} catch {
    say("\(error)")
    exit(2)
}
