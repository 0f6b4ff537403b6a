// A document as PDF, by libharu, in memory.

import CHaru
import CLinux
import Glibc
import Primitives

/// Writes a document as PDF on A4 with margins that letter paper leaves whole.
///
/// The fonts are those that every reader has. Streams are not compressed, and what the library frees is wiped first, so
/// that no copy of a secret stays behind in memory.
package enum PDFPage {
    /// The whole document.
    ///
    /// - Throws: `.inputOutput` when the library gives up, which is for want of memory.
    package static func render(_ document: PrintedDocument) throws(HoldfastError) -> SecretBytes {
        let made = HPDF_NewEx(
            nil, { malloc(Int($0)) },
            { place in
                guard let place else { return }
                holdfast_zero(place, malloc_usable_size(place))
                free(place)
            }, 0, nil)
        guard let made else { throw failure(0) }
        defer { HPDF_Free(made) }
        HPDF_SetCompressionMode(made, HPDF_UINT(HPDF_COMP_NONE))
        HPDF_SetInfoAttr(made, HPDF_INFO_TITLE, PDFWriter.latin(document.title))
        HPDF_SetInfoAttr(made, HPDF_INFO_CREATOR, "holdfast")
        let writer = try PDFWriter(made, foot: document.foot)
        writer.title(document.title)
        for block in document.blocks { try writer.write(block) }
        writer.closePages()
        guard HPDF_GetError(made) == 0, HPDF_SaveToStream(made) == 0 else { throw failure(HPDF_GetError(made)) }
        let result = SecretBytes(count: Int(HPDF_GetStreamSize(made)))
        var count = HPDF_UINT32(result.count)
        let status = result.withMutableBytes { raw in
            HPDF_ReadFromStream(made, raw.baseAddress?.assumingMemoryBound(to: HPDF_BYTE.self), &count)
        }
        guard Int(count) == result.count, status == 0 || status == HPDF_STATUS(HPDF_STREAM_EOF) else {
            throw failure(status)
        }
        return result
    }

    fileprivate static func failure(_ status: HPDF_STATUS) -> HoldfastError {
        HoldfastError(
            .inputOutput, "the PDF cannot be made (libharu's error \(Hex.text(status)))",
            hint: "Make the page as text with --text.")
    }
}

extension Hex {
    fileprivate static func text(_ status: HPDF_STATUS) -> String { "0x" + String(status, radix: 16) }
}

/// One document as it is written from top to bottom.
private final class PDFWriter {
    private static let margin: Float = 46
    private static let bottom: Float = 62
    private static let codeSize: Float = 9.5
    private static let textSize: Float = 10

    private let document: HPDF_Doc
    private let foot: String
    private let plain: HPDF_Font
    private let bold: HPDF_Font
    private let mono: HPDF_Font
    private let monoBold: HPDF_Font
    private var pages: [HPDF_Page] = []
    private var page: HPDF_Page
    /// Of the line that was written last.
    private var height: Float = 0

    init(_ document: HPDF_Doc, foot: String) throws(HoldfastError) {
        func font(_ name: String) -> HPDF_Font? { HPDF_GetFont(document, name, "WinAnsiEncoding") }
        guard let plain = font("Helvetica"), let bold = font("Helvetica-Bold"), let mono = font("Courier"),
            let monoBold = font("Courier-Bold"), let page = HPDF_AddPage(document)
        else { throw PDFPage.failure(HPDF_GetError(document)) }
        self.document = document
        self.foot = foot
        self.plain = plain
        self.bold = bold
        self.mono = mono
        self.monoBold = monoBold
        self.page = page
        begin(page)
    }

    private func begin(_ page: HPDF_Page) {
        HPDF_Page_SetSize(page, HPDF_PAGE_SIZE_A4, HPDF_PAGE_PORTRAIT)
        pages.append(page)
        self.page = page
        height = HPDF_Page_GetHeight(page) - Self.margin
    }

    private var room: Float { HPDF_Page_GetWidth(page) - 2 * Self.margin }

    /// Goes down by `distance`, on a new page when there is no room for it.
    private func descend(_ distance: Float) {
        if height - distance < Self.bottom { turnOver() }
        height -= distance
    }

    /// Goes on at the top of a new page. Without memory for one the document's state says so when it is saved.
    private func turnOver() {
        if let next = HPDF_AddPage(document) { begin(next) }
    }

    // MARK: Blocks

    func title(_ text: String) {
        for line in wrapped(text, bold, 18, room) {
            descend(20)
            show(line, bold, 18, Self.margin)
        }
        height -= 4
    }

    func write(_ block: PrintedDocument.Block) throws(HoldfastError) {
        switch block {
        case .heading(let text):
            // A heading is not left alone at the foot of a page.
            if height < Self.bottom + 60 { turnOver() }
            height -= 10
            descend(14)
            show(text, bold, 12, Self.margin)
            height -= 3
        case .paragraph(let text):
            for line in wrapped(text, plain, Self.textSize, room) {
                descend(13)
                show(line, plain, Self.textSize, Self.margin)
            }
            height -= 4
        case .facts(let facts):
            facts.forEach(write)
            height -= 4
        case .commands(let commands):
            for line in commands.flatMap(Self.prompted) {
                descend(12.5)
                show(line, mono, Self.codeSize, Self.margin)
            }
            height -= 4
        case .secret(let secret): try write(secret)
        case .table(let table): write(table)
        }
    }

    private static func prompted(_ command: [String]) -> [String] {
        command.enumerated().map { ($0 == 0 ? "$ " : "> ") + $1 }
    }

    private func write(_ fact: PrintedDocument.Fact) {
        let indent: Float = 78
        for (number, line) in wrapped(fact.value, mono, 9, room - indent).enumerated() {
            descend(12.5)
            if number == 0 { show(fact.name, bold, 9.5, Self.margin) }
            show(line, mono, 9, Self.margin + indent)
        }
    }

    private func write(_ secret: PrintedSecret) throws(HoldfastError) {
        let code = try QRCode(secret.letters)
        // About five centimetres, margin included.
        let side: Float = 148
        descend(side)
        draw(code, side: side, left: Self.margin, bottom: height)
        let lines = secret.lines
        let step: Float = 26
        var base = height + (side + step * Float(lines.count)) / 2 - 19
        for line in lines {
            show(line, monoBold, 15.5, Self.margin + side + 14, base)
            base -= step
        }
    }

    // MARK: Tables

    private static let cellSize: Float = 8
    private static let cellStep: Float = 10
    private static let cellGap: Float = 6

    private func write(_ table: PrintedTable) {
        let whole = Float(table.parts.reduce(0, +))
        let widths = table.parts.map { room * Float($0) / whole }
        head(table, widths)
        for row in table.rows {
            let cells = zip(row, widths).map { wrapped($0, plain, Self.cellSize, $1 - Self.cellGap) }
            var rest = cells
            // A row that is longer than a page goes on on the next one.
            while rest.contains(where: { !$0.isEmpty }) {
                if height - Self.cellStep * Float(min(rest.map(\.count).max() ?? 1, 4)) < Self.bottom {
                    turnOver()
                    head(table, widths)
                }
                let lines = max(1, Int((height - Self.bottom) / Self.cellStep))
                line(rest.map { Array($0.prefix(lines)) }, widths, plain)
                rest = rest.map { Array($0.dropFirst(lines)) }
            }
            rule(0.3)
        }
        height -= 6
    }

    private func head(_ table: PrintedTable, _ widths: [Float]) {
        // Not alone at the foot of a page.
        if height < Self.bottom + 40 { turnOver() }
        line(zip(table.columns, widths).map { wrapped($0, bold, Self.cellSize, $1 - Self.cellGap) }, widths, bold)
        rule(0.8)
    }

    /// Lines of cells beside each other, from the top.
    private func line(_ cells: [[String]], _ widths: [Float], _ font: HPDF_Font) {
        let top = height
        var left = Self.margin
        for (lines, width) in zip(cells, widths) {
            height = top
            for line in lines {
                height -= Self.cellStep
                show(line, font, Self.cellSize, left)
            }
            left += width
        }
        height = top - Self.cellStep * Float(cells.map(\.count).max() ?? 0)
    }

    private func rule(_ thickness: Float) {
        height -= 3
        HPDF_Page_SetLineWidth(page, thickness)
        HPDF_Page_MoveTo(page, Self.margin, height)
        HPDF_Page_LineTo(page, Self.margin + room, height)
        HPDF_Page_Stroke(page)
        height -= 1
    }

    private func draw(_ code: QRCode, side: Float, left: Float, bottom: Float) {
        let module = side / Float(code.width + 2 * QRCode.margin)
        for row in 0..<code.width {
            for run in code.runs(row: row) {
                HPDF_Page_Rectangle(
                    page, left + module * Float(run.lowerBound + QRCode.margin),
                    bottom + module * Float(code.width + QRCode.margin - row - 1), module * Float(run.count),
                    // A hair more, or some readers show white lines between rows.
                    module * 1.02)
            }
        }
        HPDF_Page_Fill(page)
    }

    /// Writes the foot of each page, now that it is known how many there are.
    func closePages() {
        for (number, page) in pages.enumerated() {
            self.page = page
            HPDF_Page_SetLineWidth(page, 0.5)
            HPDF_Page_MoveTo(page, Self.margin, 46)
            HPDF_Page_LineTo(page, Self.margin + room, 46)
            HPDF_Page_Stroke(page)
            let place = "page \(number + 1) of \(pages.count)"
            let right = width(place, plain, 8)
            let left = wrapped(foot, plain, 8, room - right - 12).first ?? ""
            height = 34
            show(left, plain, 8, Self.margin)
            show(place, plain, 8, Self.margin + room - right)
        }
    }

    // MARK: Text

    private func show(_ text: String, _ font: HPDF_Font, _ size: Float, _ left: Float) {
        text.isEmpty ? () : draw(font, size, left, height) { HPDF_Page_ShowText(page, Self.latin(text)) }
    }

    private func show(_ secret: SecretBytes, _ font: HPDF_Font, _ size: Float, _ left: Float, _ base: Float) {
        draw(font, size, left, base) {
            secret.withBytes { raw in HPDF_Page_ShowText(page, raw.baseAddress?.assumingMemoryBound(to: CChar.self)) }
        }
    }

    private func draw(
        _ font: HPDF_Font, _ size: Float, _ left: Float, _ base: Float, _ text: () -> HPDF_STATUS
    ) {
        HPDF_Page_BeginText(page)
        HPDF_Page_SetFontAndSize(page, font, size)
        HPDF_Page_MoveTextPos(page, left, base)
        // A failure stays in the document's own state, which is looked at when it is saved.
        _ = text()
        HPDF_Page_EndText(page)
    }

    private func width(_ text: String, _ font: HPDF_Font, _ size: Float) -> Float {
        let letters = Self.latin(text)
        let units = letters.withUnsafeBytes { raw in
            HPDF_Font_TextWidth(
                font, raw.baseAddress?.assumingMemoryBound(to: HPDF_BYTE.self), HPDF_UINT(raw.count - 1))
        }
        return Float(units.width) * size / 1000
    }

    private func wrapped(_ text: String, _ font: HPDF_Font, _ size: Float, _ room: Float) -> [String] {
        PaperText.wrapped(text) { width($0, font, size) <= room }
    }

    /// Latin-1 for C; what it lacks, which ``PaperText/plain(_:)`` leaves nothing of, as a question mark.
    static func latin(_ text: String) -> [CChar] {
        text.unicodeScalars.map { CChar(bitPattern: $0.value > 0 && $0.value < 256 ? UInt8($0.value) : 63) } + [0]
    }
}
