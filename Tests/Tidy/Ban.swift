// What no source may say, and where the exceptions are.

/// A piece of code that is banned outside the named targets.
struct Ban {
    let needle: String
    let reason: String
    /// Targets in which the piece is at home.
    var exceptions: Set<String> = []
    var holdsInTests = true
    /// On a line that also says this, the piece is harmless.
    var unless: String?

    static let all: [Ban] = [
        Ban(
            needle: "print(", reason: "only Commands speaks to the terminal", exceptions: ["Commands", "Benchmarks"],
            holdsInTests: false),
        Ban(needle: "Date()", reason: "time comes from a Clock", holdsInTests: false),
        Ban(needle: ".random", reason: "randomness comes from Entropy", unless: "using:"),
        Ban(needle: ".randomElement", reason: "randomness comes from Entropy", unless: "using:"),
        Ban(needle: ".shuffled()", reason: "randomness comes from Entropy"),
        Ban(needle: ".shuffle()", reason: "randomness comes from Entropy"),
        Ban(needle: "SystemRandomNumberGenerator", reason: "randomness comes from Entropy"),
        Ban(needle: "arc4random", reason: "randomness comes from Entropy"),
        Ban(needle: "arc4random_buf", reason: "randomness comes from Entropy"),
        Ban(needle: "clock_gettime", reason: "time comes from a Clock", exceptions: ["Primitives"]),
        Ban(needle: "try!", reason: "failures are thrown or handled"),
        Ban(needle: "as!", reason: "a cast that fails is handled"),
        Ban(needle: "fatalError", reason: "a programmer error is a precondition, anything else is thrown"),
        Ban(needle: "Task.detached", reason: "tasks are structured"),
        Ban(needle: "Thread.sleep", reason: "waiting goes through a Clock"),
        Ban(needle: "usleep", reason: "waiting goes through a Clock", exceptions: ["Primitives"]),
    ]

    static let words = ["TODO", "FIXME", "XXX"]

    static func check(_ source: SwiftSource) -> [Violation] {
        let target = source.path.split(separator: "/").dropFirst().first.map(String.init) ?? ""
        let isTest = source.path.hasPrefix("Tests/")
        var violations: [Violation] = []
        for ban in all where !ban.exceptions.contains(target) && (ban.holdsInTests || !isTest) {
            for offset in occurrences(of: ban.needle, in: source.code) {
                // A method of that name on something else, such as `printer.print(`, is not the global function.
                if ban.needle == "print(" && offset > 0 && source.code[offset - 1] == UInt8(ascii: ".") { continue }
                let line = source.line(of: offset)
                if let unless = ban.unless, source.lines(source.code)[line - 1].contains(unless) { continue }
                violations.append(
                    Violation(path: source.path, line: line, message: "\(ban.needle) is banned: \(ban.reason)"))
            }
        }
        for word in words {
            for offset in occurrences(of: word, in: source.comments) {
                violations.append(
                    Violation(
                        path: source.path, line: source.line(of: offset),
                        message: "\(word) belongs in the tracker, not in the code"))
            }
        }
        return violations
    }
}
