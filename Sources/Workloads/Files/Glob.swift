// One shell-like pattern over path bytes.

import Primitives

/// `*` and `?` match within a path part, `[a-z]` and `[!a-z]` one byte, `**` any number of whole parts, `\` takes the
/// next byte as it is.
///
/// Matching is over bytes: names need not be text. Time: at most parts × pattern length for each part, no backtracking
/// beyond the last star.
struct Glob: Sendable, Hashable {
    private enum Token: Hashable {
        case byte(UInt8)
        case any
        case star
        case set(ranges: [ClosedRange<UInt8>], isNegated: Bool)
    }

    private enum Part: Hashable {
        case parts
        case name([Token])
    }

    private let parts: [Part]

    /// Reads a slash-separated pattern; nil when a `[` is not closed or a `\` stands last.
    init?(_ pattern: some Collection<UInt8>) {
        var parts = [Part]()
        for part in pattern.split(separator: UInt8(ascii: "/")) {
            if Array(part) == [0x2A, 0x2A] {
                if parts.last != .parts { parts.append(.parts) }
                continue
            }
            guard let tokens = Self.tokens(Array(part)) else { return nil }
            parts.append(.name(tokens))
        }
        self.parts = parts
    }

    var isEmpty: Bool { parts.isEmpty }

    private static func tokens(_ text: [UInt8]) -> [Token]? {
        var tokens = [Token]()
        var index = 0
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "*"):
                if tokens.last != .star { tokens.append(.star) }
            case UInt8(ascii: "?"):
                tokens.append(.any)
            case UInt8(ascii: "\\"):
                index += 1
                guard index < text.count else { return nil }
                tokens.append(.byte(text[index]))
            case UInt8(ascii: "["):
                guard let (set, end) = set(text, from: index + 1) else { return nil }
                tokens.append(set)
                index = end
            default:
                tokens.append(.byte(text[index]))
            }
            index += 1
        }
        return tokens
    }

    /// The set that begins after `[`, and the place of its `]`.
    private static func set(_ text: [UInt8], from start: Int) -> (Token, Int)? {
        var index = start
        var ranges = [ClosedRange<UInt8>]()
        let isNegated = index < text.count && (text[index] == UInt8(ascii: "!") || text[index] == UInt8(ascii: "^"))
        if isNegated { index += 1 }
        let first = index
        while index < text.count {
            var low = text[index]
            if low == UInt8(ascii: "]"), index > first {
                return (.set(ranges: ranges, isNegated: isNegated), index)
            }
            if low == UInt8(ascii: "\\"), index + 1 < text.count {
                index += 1
                low = text[index]
            }
            var high = low
            if index + 2 < text.count, text[index + 1] == UInt8(ascii: "-"), text[index + 2] != UInt8(ascii: "]") {
                high = text[index + 2]
                index += 2
            }
            if low <= high { ranges.append(low...high) }
            index += 1
        }
        return nil
    }

    /// Whether the pattern matches the whole of `path`, given as parts.
    func matches(_ path: ArraySlice<ArraySlice<UInt8>>) -> Bool { matches(parts[...], path) }

    private func matches(_ pattern: ArraySlice<Part>, _ path: ArraySlice<ArraySlice<UInt8>>) -> Bool {
        // The same two-pointer walk as within a part: `**` remembers its place and takes one part more on a mismatch.
        var p = pattern.startIndex
        var n = path.startIndex
        var resume: (p: Int, n: Int)?
        while n < path.endIndex {
            if p < pattern.endIndex {
                if pattern[p] == .parts {
                    p += 1
                    resume = (p, n)
                    continue
                }
                if case .name(let tokens) = pattern[p], Self.matches(tokens, path[n]) {
                    p += 1
                    n += 1
                    continue
                }
            }
            guard let last = resume else { return false }
            resume = (last.p, last.n + 1)
            p = last.p
            n = last.n + 1
        }
        // A closing `**` was entered only with parts left, so `a/**` is what lies in a, not a itself.
        return p == pattern.endIndex
    }

    private static func matches(_ tokens: [Token], _ name: ArraySlice<UInt8>) -> Bool {
        var t = 0
        var n = name.startIndex
        var resume: (t: Int, n: Int)?
        while n < name.endIndex {
            if t < tokens.count {
                if tokens[t] == .star {
                    t += 1
                    resume = (t, n)
                    continue
                }
                if matches(tokens[t], name[n]) {
                    t += 1
                    n += 1
                    continue
                }
            }
            guard let last = resume else { return false }
            resume = (last.t, last.n + 1)
            t = last.t
            n = last.n + 1
        }
        while t < tokens.count, tokens[t] == .star { t += 1 }
        return t == tokens.count
    }

    private static func matches(_ token: Token, _ byte: UInt8) -> Bool {
        switch token {
        case .byte(let expected): byte == expected
        case .any: true
        case .star: false
        case .set(let ranges, let isNegated): ranges.contains { $0.contains(byte) } != isNegated
        }
    }
}
