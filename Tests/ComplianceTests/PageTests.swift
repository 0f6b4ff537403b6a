// Hostile names in every field of every format, and what the formats are.

import Compliance
import FoundationEssentials
import Primitives
import Printing
import Repository
import TestSupport
import Testing

@Suite("The formats of a report")
struct PageTests {
    /// What may come in a name: markup, formulas, quotes with accents, ends of lines, marks that turn text, a NUL.
    private static let hostile = [
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "\"\u{301} onmouseover=\"\u{301}alert(1)",
        "'; DROP TABLE t; --", "=HYPERLINK(\"http://x\",\"y\")", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r\n=1", " =1",
        "＝1",
        "a,b\n\"c\"", "]]><x/>", "&lt;&amp;", "\u{202E}txt.exe", "\u{0}\u{1}\u{7F}\u{85}\u{2028}", "größer", "\u{FFFE}",
        "--><b>", "\\u{41}", "%0a", "日本", "<\u{338}b>", "a;b|c",
    ]

    private let document: ReportDocument

    init() throws {
        let story = try Story()
        let names = Self.hostile
        var sources: [EvidenceSource] = []
        for (place, name) in names.enumerated() {
            var source = Story.source(name)
            (source.workload, source.owner, source.tier) = (name, names[(place + 1) % names.count], name)
            source.dataClass = name
            sources.append(source)
        }
        var jobs: [EvidenceJob] = []
        for name in names {
            var job = Story.job(name, names)
            (job.schedule, job.kind) = (name, name)
            jobs.append(job)
        }
        for day in Int64(0)..<2 {
            try story.seal(
                day, names.map { Story.run($0, Story.at(day, 1), $0) },
                facts: ["audit": "<b> 3 <i>"])
            try story.declare(
                day, sources, jobs: jobs,
                points: names.enumerated().map { place, name in
                    var point = Story.point(
                        name, UInt64(place) + UInt64(day) * 100 + 1, asOf: Story.at(day, 1), durable: Story.at(day, 1.1)
                    )
                    point.rows = [name: "7"]
                    return point
                })
        }
        for name in names {
            try story.exception(
                0,
                [
                    "exception.finding": name, "exception.owner": name, "exception.due": name, "exception.reason": name,
                    "exception.ticket": name, "exception.severity": name,
                ])
            try story.drill(1, name) { record in
                (record.operator, record.approver, record.plan) = (name, name, name)
                (record.environment.host, record.environment.network, record.environment.account) = (name, name, name)
                record.members[0].selection = name
                record.members[0].name = "m" + name
                record.checks[0].id = name
                record.checks[0].member = "m" + name
                (record.checks[0].expected, record.checks[0].actual, record.checks[0].kind) = (
                    name, name, String(name.prefix(9))
                )
                record.findings = [EvidenceFinding(severity: String(name.prefix(9)), object: name, message: name)]
            }
        }
        let report = try story.report(0, 2, .soc2).report
        document = try ReportDocument(
            report,
            origin: ReportOrigin(
                at: story.clock.now(), operator: names[0], host: names[1], toolVersion: names[2], seen: names))
    }

    /// Elements of the page, none of which a name may add to; and what stands outside of tags.
    private func tags(_ page: String) -> [String: Int] {
        var tags: [String: Int] = [:]
        for part in page.unicodeScalars.split(separator: "<").dropFirst() {
            let name = String(
                String.UnicodeScalarView(
                    part.prefix {
                        $0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "/" || $0 == "!" || $0 == "?"
                    }))
            tags[name, default: 0] += 1
        }
        return tags
    }

    @Test("HTML has no element and no attribute that a name brought, and loads nothing")
    func html() {
        let page = document.html
        let known: Set<String> = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "h3", "dl",
            "dt",
            "dd", "div", "b", "span", "section", "article", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
            "svg",
            "rect", "text", "line", "polyline", "circle", "figure", "figcaption",
        ]
        for (tag, count) in tags(page) {
            let name = tag.hasPrefix("/") ? String(tag.dropFirst()) : tag
            #expect(known.contains(name), "\(tag) \(count)")
        }
        // Attributes are ours: every one of a tag is name="value", and no value ends early.
        for part in page.unicodeScalars.split(separator: "<").dropFirst() {
            let text = String(String.UnicodeScalarView(part.prefix { $0 != ">" }))
            #expect(text.unicodeScalars.count { $0 == "\"" } % 2 == 0, "\(text)")
            for word in ["onerror", "onmouseover", "javascript:", "http://x"] {
                #expect(!text.contains(word), "\(text)")
            }
        }
        for word in ["\u{202E}", "\u{0}", "\u{2028}", "src=", "href=", "url(", "@import"] {
            #expect(
                !page.unicodeScalars.contains { "\($0)" == word } && !(word.count > 1 && tagsHold(page, word)),
                "\(word)")
        }
        #expect(page.contains("default-src 'none'".replacing("'", with: "&#39;")))
        #expect(page.contains("prefers-color-scheme:dark") && page.contains("@media print"))
        #expect(page.contains(document.sha256))
    }

    /// Whether a tag or the style sheet holds it.
    private func tagsHold(_ page: String, _ word: String) -> Bool {
        page.unicodeScalars.split(separator: "<").dropFirst().contains { part in
            String(String.UnicodeScalarView(part.prefix { $0 != ">" })).contains(word)
        }
    }

    @Test("CSV has a file for each table, as many cells in each line as names in the first, and no formula")
    func csv() throws {
        #expect(document.tables.map(\.name).count == Set(document.tables.map(\.name)).count)
        for table in document.tables {
            let lines = Self.cells(table.text)
            let width = try #require(lines.first?.count)
            #expect(lines.allSatisfy { $0.count == width }, "\(table.name)")
            for cell in lines.dropFirst().joined() {
                let first = cell.unicodeScalars.first { $0 != " " }
                #expect(first.map { !"=+-@|%＝".unicodeScalars.contains($0) } ?? true, "\(table.name): \(cell)")
                #expect(
                    cell.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\u{202E}" }, "\(table.name): \(cell)")
            }
        }
        let sources = Self.cells(try #require(document.tables.first { $0.name == "sources" }).text)
        #expect(sources.count == 1 + Self.hostile.count)
    }

    /// Lines of cells by RFC 4180.
    private static func cells(_ text: String) -> [[String]] {
        var (lines, line, cell, isQuoted): ([[String]], [String], String, Bool) = ([], [], "", false)
        var scalars = Array(text.unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            if isQuoted {
                guard scalar == "\"" else {
                    cell.unicodeScalars.append(scalar)
                    continue
                }
                if scalars.first == "\"" { cell.unicodeScalars.append(scalars.removeFirst()) } else { isQuoted = false }
            } else if scalar == "\"" {
                isQuoted = true
            } else if scalar == "," {
                line.append(cell)
                cell = ""
            } else if scalar == "\r" {
                scalars.removeFirst()
                lines.append(line + [cell])
                (line, cell) = ([], "")
            } else {
                cell.unicodeScalars.append(scalar)
            }
        }
        return lines
    }

    @Test("JUnit has one test for each control, failed by its status")
    func junit() {
        let page = document.junit
        let found = tags(page)
        #expect(
            Set(found.keys.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 }).isSubset(
                of: [
                    "?xml", "testsuites", "testsuite", "properties", "property", "testcase", "failure", "skipped",
                    "system", "system-out",
                ]))
        #expect(found["testcase"] == document.report.controls.count)
        let bad = document.report.controls.count { ![.met, .notApplicable].contains($0.status) }
        #expect(found["failure"] == bad && page.contains("failures=\"\(bad)\""))
    }

    @Test("JSON reads back as the report that it is, and the document on paper has letters of Latin-1 alone")
    func others() throws {
        #expect(try JSONDecoder().decode(Report.self, from: Data(document.canonical)) == document.report)
        let text = try TextPage.render(document.printed).withBytes { String(decoding: $0, as: UTF8.self) }
        #expect(
            text.unicodeScalars.allSatisfy {
                $0 == "\n" || (0x20..<0x7F).contains($0.value) || (0xA0...0xFF).contains($0.value)
            })
        #expect(text.contains("\\u{202E}txt.exe") && text.contains("größer"))
        let pdf = try document.pdf()
        #expect(pdf.starts(with: Array("%PDF-".utf8)) && pdf.count > 20_000)
    }
}
