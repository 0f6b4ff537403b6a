// A document as text of 80 columns.

import Primitives

/// Writes a document as text in UTF-8.
package enum TextPage {
    /// Clear text and secrets, put together at the end in memory that is wiped.
    private struct Pieces {
        private var pieces: [SecretBytes] = []

        mutating func line(_ text: String = "") {
            let bytes = Array((text + "\n").utf8)
            pieces.append(SecretBytes(copying: bytes.span.bytes))
        }

        mutating func line(_ secret: SecretBytes, indented: Int, dropping closing: Int = 0) {
            let text = SecretBytes(count: indented + secret.count - closing + 1)
            text.withMutableBytes { raw in
                for place in 0..<indented { raw[place] = UInt8(ascii: " ") }
                secret.withBytes { secret in
                    for (place, byte) in secret.dropLast(closing).enumerated() { raw[indented + place] = byte }
                }
                raw[raw.count - 1] = UInt8(ascii: "\n")
            }
            pieces.append(text)
        }

        var joined: SecretBytes {
            let text = SecretBytes(count: pieces.reduce(0) { $0 + $1.count })
            text.withMutableBytes { raw in
                var place = 0
                for piece in pieces {
                    piece.withBytes { UnsafeMutableRawBufferPointer(rebasing: raw[place...]).copyMemory(from: $0) }
                    place += piece.count
                }
            }
            return text
        }
    }

    /// The whole document.
    package static func render(_ document: PrintedDocument) throws(HoldfastError) -> SecretBytes {
        var pieces = Pieces()
        pieces.line(document.title)
        pieces.line(String(repeating: "=", count: min(document.title.count, PrintedDocument.columns)))
        for block in document.blocks {
            pieces.line()
            switch block {
            case .heading(let text):
                pieces.line(text)
                pieces.line(String(repeating: "-", count: min(text.count, PrintedDocument.columns)))
            case .paragraph(let text):
                for line in wrapped(text, PrintedDocument.columns) { pieces.line(line) }
            case .facts(let facts):
                for fact in facts { write(fact, to: &pieces) }
            case .commands(let commands):
                for command in commands {
                    for (number, line) in command.enumerated() { pieces.line((number == 0 ? "$ " : "> ") + line) }
                }
            case .table(let table):
                // One below the other: eighty columns are too few for many cells in a line.
                for row in table.rows {
                    for (name, cell) in zip(table.columns, row) { write(.init(name, cell), to: &pieces) }
                    pieces.line()
                }
            case .secret(let secret):
                for line in secret.lines { pieces.line(line, indented: 4, dropping: 1) }
                pieces.line()
                pieces.line()
                for line in try QRCode(secret.letters).textLines { pieces.line(line, indented: 2 * QRCode.margin) }
                pieces.line()
            }
        }
        pieces.line()
        for line in wrapped(document.foot, PrintedDocument.columns) { pieces.line(line) }
        return pieces.joined
    }

    private static func write(_ fact: PrintedDocument.Fact, to pieces: inout Pieces) {
        let room = PrintedDocument.columns - PrintedDocument.nameColumns
        for (number, line) in wrapped(fact.value, room).enumerated() {
            let head = number == 0 ? fact.name : ""
            pieces.line(head + String(repeating: " ", count: max(1, PrintedDocument.nameColumns - head.count)) + line)
        }
    }

    private static func wrapped(_ text: String, _ columns: Int) -> [String] {
        PaperText.wrapped(text) { $0.count <= columns }
    }
}
