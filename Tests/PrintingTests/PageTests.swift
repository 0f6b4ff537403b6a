// Pages of text and PDF.

import Foundation
import Primitives
import Testing

@testable import Printing

@Suite("A printed page")
struct PageTests {
    private func secret(_ text: String) -> SecretBytes {
        let bytes = Array(text.utf8)
        return SecretBytes(copying: bytes.span.bytes)
    }

    private var letters: SecretBytes { secret(String(repeating: "0123456789ABCDEF", count: 4)) }

    private func document(_ value: String) -> PrintedDocument {
        PrintedDocument(
            title: "Title of the page", foot: "foot",
            blocks: [
                .facts([.init("Location", PaperText.plain(value)), .init("Next", "one")]), .heading("Key"),
                .secret(PrintedSecret(letters, perLine: 16, perGroup: 4)),
                .paragraph(String(repeating: "word ", count: 60)),
                .commands([["echo one"], ["echo \\", "two"]]),
            ])
    }

    private func text(_ document: PrintedDocument) throws -> [String] {
        try TextPage.render(document).withBytes { String(decoding: $0, as: UTF8.self) }
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test("of text keeps to 80 columns, whatever names stand on it, and shows the key in groups")
    func columns() throws {
        let hostile = "a\u{1B}[31mb\n\u{202E}c"
        for value in ["/short", String(repeating: "x", count: 4096), hostile, "/données/Zürich/数据"] {
            let lines = try text(document(value))
            #expect(lines.allSatisfy { $0.count <= PrintedDocument.columns }, "\(value)")
            #expect(lines.joined().unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
            #expect(lines.contains("    1:  0123 4567 89AB CDEF"))
            #expect(lines.contains("    4:  0123 4567 89AB CDEF"))
            #expect(lines.contains("> two") && lines.contains("$ echo one"))
        }
    }

    @Test("shows Latin letters as they are, and other scripts, controls and backslashes by their numbers")
    func plain() {
        #expect(PaperText.plain("Zürich é \\") == "Zürich é \\\\")
        #expect(PaperText.plain("a\u{7}\n\u{202E}\u{A0}\u{AD}数") == "a\\u{7}\\u{A}\\u{202E}\\u{A0}\\u{AD}\\u{6570}")
    }

    @Test("breaks lines between words, and a word that is too long within")
    func wrapping() {
        func lines(_ text: String) -> [String] { PaperText.wrapped(text) { $0.count <= 5 } }
        #expect(lines("ab cd ef") == ["ab cd", "ef"])
        #expect(lines("abcdefghijk lm") == ["abcde", "fghij", "k lm"])
        #expect(lines("") == [])
        #expect(lines("éééééé") == ["ééééé", "é"])
    }

    @Test("of PDF goes over several pages when it must, and each has its number")
    func pages() throws {
        func pages(_ document: PrintedDocument) throws -> String {
            try PDFPage.render(document).withBytes { String(decoding: $0, as: UTF8.self) }
        }
        let short = try pages(document("/short"))
        #expect(short.hasPrefix("%PDF-1."))
        #expect(short.contains("(page 1 of 1)"))
        let long = try pages(document(String(repeating: "x", count: 8000)))
        #expect(long.contains("(page 1 of 3)") && long.contains("(page 3 of 3)"))
    }

    @Test("a QR code is square, with its three corners, and its text lines hold two rows each")
    func code() throws {
        let code = try QRCode(letters)
        #expect(code.width >= 21 && (code.width - 21) % 4 == 0)
        for (column, row) in [(0, 0), (code.width - 7, 0), (0, code.width - 7)] {
            for step in 0..<7 { #expect(code.isDark(column: column + step, row: row)) }
            #expect(!code.isDark(column: column + 1, row: row + 1))
        }
        #expect(code.textLines.count == (code.width + 1) / 2)
        #expect(code.runs(row: 0).first == 0..<7)
    }
}
