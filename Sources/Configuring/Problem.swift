// What is wrong with a configuration file, and where.

/// A place in a file; lines and columns begin at 1, columns count Unicode scalars.
package struct Position: Sendable, Hashable, Comparable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (one: Position, other: Position) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }
}

/// One thing that is wrong. A message never repeats a value that could be a secret.
package struct Problem: Sendable, Hashable {
    package var position: Position
    package var message: String
}

/// Problems as they are found; all of a file are told at once, up to a bound.
struct ProblemList {
    static let maximum = 100

    private(set) var problems: [Problem] = []

    mutating func add(_ position: Position, _ message: String) {
        if problems.count < Self.maximum { problems.append(Problem(position: position, message: message)) }
    }

    var inOrder: [Problem] { problems.sorted { ($0.position, $0.message) < ($1.position, $1.message) } }
}

/// The known word that a mistyped one is nearest to.
enum Nearest {
    /// The candidate at the smallest edit distance, when that is at most a third of the word's length, and at least 1.
    static func word(to word: String, among candidates: [String]) -> String? {
        guard word.count <= 64 else { return nil }
        let ranked = candidates.map { (word: $0, distance: distance(word.lowercased(), $0.lowercased())) }
        guard let best = ranked.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else { return nil }
        return best.distance <= max(1, word.count / 3) ? best.word : nil
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    private static func distance(_ one: String, _ other: String) -> Int {
        let (one, other) = (Array(one), Array(other))
        var beforeLast: [Int] = []
        var last = Array(0...other.count)
        for row in one.indices {
            var current = [row + 1]
            for column in other.indices {
                let cost = one[row] == other[column] ? 0 : 1
                var best = min(last[column + 1] + 1, current[column] + 1, last[column] + cost)
                let isSwap = row > 0 && column > 0 && one[row] == other[column - 1] && one[row - 1] == other[column]
                if isSwap { best = min(best, beforeLast[column - 1] + 1) }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[other.count]
    }
}
