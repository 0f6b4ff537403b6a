// A script of SQL taken apart into its statements.

/// The statements of what pg_dumpall prints: comments and psql's own commands are left out.
///
/// Knows single and double quotes, with backslashes in `E''`, and line comments; dollar quotes do not occur there.
struct SQLStatements {
    private(set) var all: [String] = []

    init(_ script: [UInt8]) {
        var statement: [UInt8] = []
        var quote: UInt8?
        var hasEscapes = false
        var index = 0
        func isNext(_ byte: Character) -> Bool {
            index + 1 < script.count && script[index + 1] == byte.asciiValue
        }
        /// Up to the line's end, which parts words.
        func skipLine() { while index < script.count, script[index] != UInt8(ascii: "\n") { index += 1 } }
        while index < script.count {
            let byte = script[index]
            if let open = quote {
                statement.append(byte)
                if byte == UInt8(ascii: "\\"), hasEscapes, index + 1 < script.count {
                    index += 1
                    statement.append(script[index])
                } else if byte == open {
                    // A doubled quote closes and opens again.
                    quote = nil
                }
                index += 1
                continue
            }
            switch byte {
            case UInt8(ascii: "-") where isNext("-"):
                skipLine()
                continue
            case UInt8(ascii: "\\") where statement.isEmpty:
                skipLine()
                continue
            case UInt8(ascii: ";"):
                all.append(String(decoding: statement, as: UTF8.self))
                statement = []
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                hasEscapes = byte == UInt8(ascii: "'") && statement.last == UInt8(ascii: "E")
                quote = byte
                statement.append(byte)
            case UInt8(ascii: "\n"), UInt8(ascii: " "):
                if !statement.isEmpty { statement.append(byte) }
            default: statement.append(byte)
            }
            index += 1
        }
        if !statement.isEmpty { all.append(String(decoding: statement, as: UTF8.self)) }
    }
}
