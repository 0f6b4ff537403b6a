// From bytes to a tree of YAML nodes, within bounds.

import Primitives
import Yams

/// Reads one YAML document.
///
/// Bounds: the bytes, the depth, and the nodes after aliases are put in, so that a small file cannot grow large.
enum YAMLReader {
    static let maximumBytes = 1 << 20
    static let maximumDepth = 32
    static let maximumNodes = 50_000
    static let maximumAliases = 100

    /// The document's root; nil when it is empty, or when a problem was found.
    static func read(_ bytes: [UInt8], _ problems: inout ProblemList) -> YAMLNode? {
        let start = Position(line: 1, column: 1)
        guard bytes.count <= maximumBytes else {
            problems.add(start, "the file is larger than \(ByteCount(UInt64(maximumBytes)))")
            return nil
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            problems.add(placeOfBadByte(bytes), "the text is not UTF-8")
            return nil
        }
        if let problem = AliasScan.problem(bytes) {
            problems.add(problem.position, problem.message)
            return nil
        }
        do {
            // Types come from the declarations; telling them by patterns took a seventh of the time, and nothing is
            // constructed.
            let parser = try Parser(
                yaml: text, resolver: .basic, constructor: Constructor([:], [:], [:]), encoding: .utf8)
            guard let root = try parser.singleRoot() else { return nil }
            var budget = maximumNodes
            return convert(root, depth: 0, &budget, &problems)
        } catch let error as YamlError {
            let problem = problem(error, bytes)
            problems.add(problem.position, problem.message)
        } catch {
            problems.add(start, "the YAML cannot be read")
        }
        return nil
    }

    /// What Yams has to say, without the lines of the file that it would quote.
    private static func problem(_ error: YamlError, _ bytes: [UInt8]) -> Problem {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let words = [context?.text, problem].compactMap { $0 }.joined(separator: ": ")
            // Calendars, cron expressions and patterns begin with it.
            let remedy = words.contains("scanning an alias") ? "; \(AliasScan.quotes)" : ""
            return Problem(position: position(mark), message: "not valid YAML: \(words)\(remedy)")
        case .reader(let problem, let offset, _, let yaml):
            let before = yaml.prefix(offset ?? 0)
            let line = before.split(separator: "\n", omittingEmptySubsequences: false)
            let column = (line.last?.unicodeScalars.count ?? 0) + 1
            return Problem(
                position: Position(line: max(1, line.count), column: column), message: "not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            // The place is the first one; the same key stands again further down in the same mapping.
            let names = duplicates.sorted().map { "`\($0)`" }.joined(separator: ", ")
            return Problem(
                position: position(context.mark), message: "the key \(names) is given more than once in one mapping")
        default:
            return Problem(position: Position(line: 1, column: 1), message: "the YAML cannot be read")
        }
    }

    private static func position(_ mark: Mark?) -> Position {
        Position(line: mark?.line ?? 1, column: mark?.column ?? 1)
    }

    private static func placeOfBadByte(_ bytes: [UInt8]) -> Position {
        var decoder = Unicode.UTF8.ForwardParser()
        var source = bytes.makeIterator()
        var (line, column) = (1, 1)
        while case .valid(let encoded) = decoder.parseScalar(from: &source) {
            column += 1
            if encoded.first == UInt8(ascii: "\n") { (line, column) = (line + 1, 1) }
        }
        return Position(line: line, column: column)
    }

    private static func convert(
        _ node: Node, depth: Int, _ budget: inout Int, _ problems: inout ProblemList
    ) -> YAMLNode? {
        let place = position(node.mark)
        budget -= 1
        guard budget >= 0, depth < maximumDepth else {
            // Once is enough: everything above gives up as well.
            if budget == -1 { problems.add(place, "the file holds more than \(maximumNodes) values") }
            if depth == maximumDepth { problems.add(place, "values lie more than \(maximumDepth) deep") }
            budget = Int.min / 2
            return nil
        }
        switch node {
        case .scalar(let scalar):
            let isNothing = scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
            return YAMLNode(position: place, content: isNothing ? .nothing : .scalar(scalar.string))
        case .sequence(let sequence):
            var items: [YAMLNode] = []
            for item in sequence {
                guard let item = convert(item, depth: depth + 1, &budget, &problems) else { return nil }
                items.append(item)
            }
            return YAMLNode(position: place, content: .sequence(items))
        case .mapping(let mapping):
            var pairs: [YAMLNode.Pair] = []
            for (key, value) in mapping {
                let keyPlace = position(key.mark)
                guard case .scalar(let name) = key else {
                    problems.add(keyPlace, "a key must be a single word")
                    return nil
                }
                guard let value = convert(value, depth: depth + 1, &budget, &problems) else { return nil }
                pairs.append(YAMLNode.Pair(key: name.string, position: keyPlace, value: value))
            }
            return YAMLNode(position: place, content: .mapping(pairs))
        case .alias:
            problems.add(place, "the alias cannot be resolved")
            return nil
        }
    }
}

/// Looks over a text before it is parsed, for what would make the parser itself take time without end.
///
/// The parser shares what aliases stand for, so they cost nothing, but it takes the digest of every key: a key that is
/// an alias, or a collection with aliases, could be made to stand for more than can be walked. So a file with aliases
/// may not have such keys, nor flow mappings, in which every word is a key.
///
/// What is an alias depends on quotes, comments and brackets around it, which are the parser's business. So every `*`
/// with a name counts, wherever it stands, if there is an `&` with the same name: an alias of a name that has no
/// anchor stands for nothing, and ends the parsing. A text is refused too much only where both are in it by chance.
enum AliasScan {
    static let quotes = "a text that begins with `*` stands in quotes"

    static func problem(_ bytes: [UInt8]) -> Problem? {
        func problem(at index: Int, _ message: String) -> Problem {
            Problem(position: place(of: index, in: bytes), message: message)
        }
        if let index = bytes.indices.first(where: { isUnquoted(bytes, $0) }) { return problem(at: index, quotes) }
        let anchors = Set(bytes.indices.lazy.filter { bytes[$0] == UInt8(ascii: "&") }.map { name(bytes, $0) })
        let aliases = bytes.indices.filter { index in
            guard bytes[index] == UInt8(ascii: "*") else { return false }
            let name = name(bytes, index)
            return !name.isEmpty && anchors.contains(name)
        }
        guard let first = aliases.first else { return nil }
        if aliases.count > YAMLReader.maximumAliases {
            let index = aliases[YAMLReader.maximumAliases]
            return problem(at: index, "more than \(YAMLReader.maximumAliases) aliases")
        }
        for index in aliases where isBeforeColon(bytes, index + 1 + name(bytes, index).count) {
            return problem(at: index, "an alias cannot be a key")
        }
        for index in bytes.indices where startsToken(bytes, index) || "]}".utf8.contains(bytes[index]) {
            switch bytes[index] {
            case UInt8(ascii: "{"):
                return problem(
                    at: index,
                    "a file with aliases (line \(place(of: first, in: bytes).line)) cannot have mappings in braces; "
                        + "write one key a line")
            // In brackets it needs no blank behind it.
            case UInt8(ascii: "?"),
                UInt8(ascii: "]") where isBeforeColon(bytes, index + 1),
                UInt8(ascii: "}") where isBeforeColon(bytes, index + 1):
                return problem(at: index, "a key must be a single word")
            default: continue
            }
        }
        return nil
    }

    /// The name behind an indicator, by the letters that libyaml takes.
    private static func name(_ bytes: [UInt8], _ indicator: Int) -> ArraySlice<UInt8> {
        bytes[(indicator + 1)...].prefix { isNameLetter($0) }
    }

    /// A calendar such as `*-*-* 01:30` where a value begins: the parser's word on it would help nobody.
    private static func isUnquoted(_ bytes: [UInt8], _ index: Int) -> Bool {
        index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "-") && isAlias(bytes, index)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    private static func startsToken(_ bytes: [UInt8], _ index: Int) -> Bool {
        guard index > 0 else { return true }
        let before = bytes[index - 1]
        return isBlank(before) || before == 0x0A || "[{,:-?".utf8.contains(before) || before > 0x7F
    }

    /// An asterisk where a value begins as people write them, before a letter of a name.
    ///
    /// Behind a word it is a part of that word, so it is right behind a hyphen, and right behind a colon unless that
    /// follows a key in quotes or brackets: calendars such as `Mon *-*-* *:00` are full of them.
    private static func isAlias(_ bytes: [UInt8], _ index: Int) -> Bool {
        guard bytes[index] == UInt8(ascii: "*"), startsToken(bytes, index), index + 1 < bytes.count,
            isNameLetter(bytes[index + 1])
        else { return false }
        guard let before = bytes[..<index].lastIndex(where: { !isBlank($0) }), bytes[before] != 0x0A else {
            return true
        }
        let isAdjacent = before + 1 == index
        switch bytes[before] {
        case UInt8(ascii: "-"): return !isAdjacent
        case UInt8(ascii: ":"): return !isAdjacent || before > 0 && "\"']}".utf8.contains(bytes[before - 1])
        default: return "[{,?".utf8.contains(bytes[before]) || bytes[before] > 0x7F
        }
    }

    /// A letter that libyaml takes in the name of an alias.
    private static func isNameLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "-_".utf8.contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isBeforeColon(_ bytes: [UInt8], _ index: Int) -> Bool {
        bytes[index...].first { !isBlank($0) && $0 != 0x0A } == UInt8(ascii: ":")
    }

    private static func place(of index: Int, in bytes: [UInt8]) -> Position {
        let before = bytes[..<index]
        let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        let scalars = before[start...].count { $0 & 0xC0 != 0x80 }
        return Position(line: before.count { $0 == 0x0A } + 1, column: scalars + 1)
    }
}
