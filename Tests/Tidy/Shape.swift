// How large things may grow, and what must be said at the top.

enum Shape {
    static let fileLimit = 500
    static let functionLimit = 70
    static let columnLimit = 120
    static let requirementLimit = 10

    static func check(_ source: SwiftSource) -> [Violation] {
        checkFile(source) + checkFunctions(source) + checkProtocols(source)
    }

    private static func checkFile(_ source: SwiftSource) -> [Violation] {
        let lines = source.lines(source.text)
        var violations: [Violation] = []
        if lines.count > fileLimit {
            violations.append(
                Violation(path: source.path, line: 0, message: "has \(lines.count) lines, over \(fileLimit)"))
        }
        for (index, line) in lines.enumerated() where line.count > columnLimit {
            violations.append(
                Violation(
                    path: source.path, line: index + 1, message: "has \(line.count) columns, over \(columnLimit)"))
        }
        let first = lines.first ?? ""
        if source.path != "Package.swift", !first.hasPrefix("// ") || first.split(separator: " ").count < 3 {
            violations.append(
                Violation(path: source.path, line: 1, message: "does not begin with a comment that says its purpose"))
        }
        return violations
    }

    private static func checkFunctions(_ source: SwiftSource) -> [Violation] {
        functions(in: source).compactMap { function in
            function.lines <= functionLimit
                ? nil
                : Violation(
                    path: source.path, line: function.line,
                    message: "function has \(function.lines) lines, over \(functionLimit)")
        }
    }

    // MARK: Functions

    /// Where each function, initialiser, subscript and computed property begins, and how many lines it takes.
    static func functions(in source: SwiftSource) -> [(line: Int, lines: Int)] {
        var found: [(line: Int, lines: Int)] = []
        for keyword in ["func", "init", "deinit", "subscript", "var"] {
            for start in occurrences(of: keyword, in: source.code) {
                if start > 0 && source.code[start - 1] == UInt8(ascii: ".") { continue }
                let after = start + keyword.utf8.count
                guard let open = keyword == "var" ? propertyBody(source, after) : functionBody(source, after) else {
                    continue
                }
                let end = source.closingBracket(of: open)
                let line = source.line(of: start)
                found.append((line, source.line(of: end) - line + 1))
            }
        }
        return found.sorted { $0.line < $1.line }
    }

    /// The brace that opens a function's body; nil for a requirement of a protocol, which has none.
    private static func functionBody(_ source: SwiftSource, _ start: Int) -> Int? {
        var index = start
        while index < source.code.count {
            switch source.code[index] {
            case UInt8(ascii: "{"): return index
            case UInt8(ascii: "}"), UInt8(ascii: ";"): return nil
            case UInt8(ascii: "("), UInt8(ascii: "["): index = source.closingBracket(of: index) + 1
            case let byte where byte.isWord:
                let end = source.code[index...].firstIndex { !$0.isWord } ?? source.code.count
                if declarations.contains(String(decoding: source.code[index..<end], as: UTF8.self)) { return nil }
                index = end
            default: index += 1
            }
        }
        return nil
    }

    /// The brace after `var name: Type` on the same line; nil for a stored property or one with an initial value.
    private static func propertyBody(_ source: SwiftSource, _ start: Int) -> Int? {
        for index in start..<source.code.count {
            switch source.code[index] {
            case UInt8(ascii: "{"): return index
            case UInt8(ascii: "="), UInt8(ascii: "}"), newline: return nil
            default: continue
            }
        }
        return nil
    }

    private static let declarations: Set<String> = [
        "func", "var", "let", "init", "deinit", "subscript", "case", "static", "package", "private", "struct", "class",
        "enum", "extension", "protocol", "typealias", "associatedtype", "mutating",
    ]

    // MARK: Protocols

    /// Seams have a doc comment and stay small enough to be implemented in an afternoon.
    private static func checkProtocols(_ source: SwiftSource) -> [Violation] {
        var violations: [Violation] = []
        let lines = source.lines(source.text)
        for start in occurrences(of: "package protocol", in: source.code) {
            let line = source.line(of: start)
            func violation(_ message: String) -> Violation {
                Violation(path: source.path, line: line, message: message)
            }
            var above = line - 2
            while above >= 0 && lines[above].hasPrefix("@") { above -= 1 }
            if above < 0 || !lines[above].hasPrefix("///") {
                violations.append(violation("protocol has no doc comment"))
            }
            guard let open = source.code[start...].firstIndex(of: UInt8(ascii: "{")) else { continue }
            let body = Array(source.code[open..<source.closingBracket(of: open)])
            let count = ["func", "var", "init", "subscript"].reduce(0) { $0 + occurrences(of: $1, in: body).count }
            if count >= requirementLimit {
                violations.append(violation("protocol has \(count) requirements, not under \(requirementLimit)"))
            }
        }
        return violations
    }
}
