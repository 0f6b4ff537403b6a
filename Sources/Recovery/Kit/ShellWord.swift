// Words of commands that people type from paper into bash.

/// Quotes words so that they are ASCII, and breaks them so that they fit on paper.
enum ShellWord {
    /// `words` as one command in lines of at most `columns`; all but the last end in a backslash.
    ///
    /// A word of plain ASCII stands in single quotes where it needs any. One with other bytes, such as controls and
    /// other scripts, is written as `$'…'` with hexadecimal escapes, which bash, zsh and ksh know. A word that is too
    /// long goes on in the next line, where it was left off.
    static func command(_ words: [String], columns: Int) -> [String] {
        let room = columns - 2
        var lines: [String] = []
        var line = ""
        for word in words {
            let pieces = quoted(word, atMost: room)
            for (number, piece) in pieces.enumerated() {
                let gap = number == 0 && !line.isEmpty ? " " : ""
                if line.utf8.count + gap.utf8.count + piece.utf8.count <= room {
                    line += gap + piece
                } else {
                    lines.append(line + (number == 0 ? " \\" : "\\"))
                    line = piece
                }
            }
        }
        return lines + [line]
    }

    /// A word in quoted pieces that stand side by side, none longer than `room`.
    static func quoted(_ word: String, atMost room: Int) -> [String] {
        let isPlain = word.utf8.allSatisfy { (0x20..<0x7F).contains($0) }
        if isPlain, !word.isEmpty, word.utf8.count <= room, word.utf8.allSatisfy(needsNoQuotes) { return [word] }
        let (open, close) = (isPlain ? "'" : "$'", "'")
        var pieces: [String] = []
        var piece = open
        for byte in word.utf8 {
            let letter = isPlain ? plain(byte) : escaped(byte)
            if piece.utf8.count + letter.utf8.count + close.utf8.count > room {
                pieces.append(piece + close)
                piece = open
            }
            piece += letter
        }
        return pieces + [piece + close]
    }

    private static func needsNoQuotes(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: "/._-:=,@%+".utf8.contains(byte)
        }
    }

    private static func letter(_ byte: UInt8) -> String { String(UnicodeScalar(byte)) }

    private static func plain(_ byte: UInt8) -> String { byte == UInt8(ascii: "'") ? "'\\''" : letter(byte) }

    private static func escaped(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "'"), UInt8(ascii: "\\"): return "\\" + letter(byte)
        case 0x20..<0x7F: return letter(byte)
        default:
            // Two digits always, so that what follows is not taken for a third.
            let digits = String(byte, radix: 16)
            return "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits
        }
    }
}
