// What goes on paper, before it is known whether as text or as PDF.

import Primitives

/// A document with a secret in it.
package struct PrintedDocument: Sendable {
    package enum Block: Sendable {
        case heading(String)
        case paragraph(String)
        /// Names and values, one below the other.
        case facts([Fact])
        /// What is typed into a shell: it stands as it is, and no line may be over ``columns`` less two.
        case commands([[String]])
        /// The letters of a key, in lines and groups, and the same as a QR code.
        case secret(PrintedSecret)
        case table(PrintedTable)
    }

    package struct Fact: Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Letters of one width in a line.
    package static let columns = 80
    /// Room for the names of facts.
    static let nameColumns = 13

    package var title: String
    /// Stands at the foot of each page.
    package var foot: String
    package var blocks: [Block]

    package init(title: String, foot: String, blocks: [Block]) {
        self.title = title
        self.foot = foot
        self.blocks = blocks
    }
}

/// Rows of cells under a head, each column with its part of the width.
package struct PrintedTable: Sendable {
    let columns: [String]
    let parts: [Int]
    let rows: [[String]]

    /// - Precondition: `parts` are above zero, one a column, and each row has a cell for each.
    package init(_ columns: [(name: String, part: Int)], rows: [[String]]) {
        precondition(columns.allSatisfy { $0.part > 0 }, "a column has a width")
        precondition(rows.allSatisfy { $0.count == columns.count }, "a row has a cell for each column")
        self.columns = columns.map(\.name)
        parts = columns.map(\.part)
        self.rows = rows
    }
}

/// A key as letters.
package struct PrintedSecret: Sendable {
    /// ASCII, without spaces.
    let letters: SecretBytes
    let perLine: Int
    let perGroup: Int

    /// - Precondition: `letters` are whole lines of whole groups.
    package init(_ letters: SecretBytes, perLine: Int, perGroup: Int) {
        precondition(letters.count % perLine == 0 && perLine % perGroup == 0, "whole lines of whole groups")
        self.letters = letters
        self.perLine = perLine
        self.perGroup = perGroup
    }

    /// The lines as printed: `1:  ABCD EFGH JKMN PQRS`, each closed by a NUL for C.
    var lines: [SecretBytes] {
        (0..<letters.count / perLine).map { line in
            let head = Array("\(line + 1):  ".utf8)
            let text = SecretBytes(count: head.count + perLine + perLine / perGroup)
            text.withMutableBytes { raw in
                raw.copyBytes(from: head)
                var place = head.count
                letters.withBytes { letters in
                    for (offset, letter) in letters[(line * perLine)..<((line + 1) * perLine)].enumerated() {
                        if offset > 0, offset % perGroup == 0 {
                            raw[place] = UInt8(ascii: " ")
                            place += 1
                        }
                        raw[place] = letter
                        place += 1
                    }
                }
            }
            return text
        }
    }
}

/// Text from outside as it may stand on paper.
package enum PaperText {
    /// Letters of Latin-1 as they are, since every printer's own fonts have them; everything else, such as other
    /// scripts, control characters and what is not UTF-8, by its number, and a backslash doubled.
    package static func plain(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x5C: result += "\\\\"
            case 0x20..<0x7F, 0xA1...0xAC, 0xAE...0xFF: result.unicodeScalars.append(scalar)
            default: result += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
            }
        }
        return result
    }

    /// Breaks a text into lines that fit, between words where it can be, within a word that is too long by itself.
    ///
    /// - Parameter fits: Whether a text has room in a line; a single letter always has.
    static func wrapped(_ text: String, fits: (String) -> Bool) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            var word = String(word)
            let longer = line.isEmpty ? word : line + " " + word
            if fits(longer) {
                line = longer
                continue
            }
            if !line.isEmpty { lines.append(line) }
            while !fits(word), word.count > 1 {
                var head = word
                // Halving first keeps the cost down for names of thousands of letters.
                while !fits(head), head.count > 200 { head = String(head.prefix(head.count / 2)) }
                while !fits(head), head.count > 1 { head.removeLast() }
                lines.append(head)
                word = String(word.dropFirst(head.count))
            }
            line = word
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}
