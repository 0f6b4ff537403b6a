// What makes a control met, and what does not.

import Compliance
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Controls")
struct ControlTests {
    private let story: Story

    init() throws { story = try Story() }

    private func quiet(_ days: Range<Int64>, _ names: [String] = ["app"]) throws {
        for day in days { try story.quietDay(day, names.map { Story.source($0) }) }
    }

    private func status(_ control: String, _ from: Int64 = 0, _ to: Int64 = 5) throws -> Report.Status? {
        try story.report(from, to).report.control(control)?.status
    }

    @Test("that ask for tests have no evidence in a period without any, however well all else went")
    func withoutTests() throws {
        try quiet(0..<5)
        let report = try story.report(0, 5).report
        #expect(report.control("CP-9")?.status == .met)
        for control in report.controls where control.asksForTest && !["CP-9(1)"].contains(control.control) {
            #expect(control.status == .noEvidence, "\(control.control)")
        }
        #expect(report.has("untested/app") && report.isolation.status == .noEvidence)
        for framework in Framework.allCases {
            let other = try story.report(0, 5, framework).report
            for control in other.controls where control.asksForTest { #expect(control.status != .met) }
        }
    }

    @Test("are met by a test of the period, not by one before it, one that failed, or one that broke something")
    func tests() throws {
        try quiet(0..<10)
        try story.drill(1, "app")
        #expect(try status("CP-10", 0, 5) == .met)
        #expect(try status("CP-10", 5, 10) == .noEvidence)
        try story.drill(6, "app", .failed)
        #expect(try status("CP-10", 5, 10) == .notMet)
        let report = try story.report(5, 10).report
        let tests = try #require(report.source("app")?.tests)
        #expect(tests.passed == 0 && tests.failed == 1 && tests.unclear == 0 && tests.lastProof == nil)
        #expect(report.findings.contains { $0.key.hasPrefix("drill/") && $0.severity == .error })
        // What was broken on purpose, and what was broken off, say nothing.
        let other = try Story()
        try other.quietDay(0, [Story.source("app")])
        try other.drill(0, "app") { $0.sabotage = "page" }
        try other.drill(0, "app", .interrupted)
        #expect(try other.report(0, 1).report.control("CP-10")?.status == .noEvidence)
    }

    @Test("are met in part while a source is untested, and not met when a recovery took too long")
    func parts() throws {
        try quiet(0..<5, ["app", "mail"])
        try story.drill(1, "app")
        #expect(try status("CP-10") == .partial)
        try story.drill(2, "mail", seconds: 7200)
        #expect(try status("CP-10(4)") == .partial)
        let report = try story.report(0, 5).report
        let rto = try #require(report.source("mail")?.rto)
        #expect(rto.measured == 1 && rto.worstSeconds == 7200 && rto.lastSeconds == 7200 && rto.isMet == false)
        #expect(report.has("rto/mail") && !report.has("rto/app"))
        #expect(report.trends.first { $0.source == "mail" }?.restores.map(\.seconds) == [7200])
    }

    @Test("of isolation fail with one drill that did not run apart")
    func isolation() throws {
        try quiet(0..<5)
        try story.drill(1, "app")
        #expect(try story.report(0, 5, .dora).report.control("Art. 12(3)")?.status == .met)
        let beside = try story.drill(2, "app") { $0.environment.isSegregated = false }
        let report = try story.report(0, 5, .dora).report
        #expect(report.control("Art. 12(3)")?.status == .notMet)
        #expect(report.isolation.failed == [beside.id.description] && report.has("isolation/\(beside.id)"))
    }

    @Test("say of clauses that nobody held to their text that this is so")
    func texts() throws {
        for framework in Framework.allCases {
            let report = try story.report(0, 1, framework).report
            #expect(Set(report.controls.map(\.control)).count == report.controls.count)
            for control in report.controls { #expect(control.isTextChecked != control.text.hasPrefix("NOT held")) }
        }
        let page = try story.document(try story.report(0, 1, .soc2).report)
        #expect(page.html.contains("source unchecked") && page.junit.contains("NOT held to the text"))
    }

    @Test("have copies that are declared for a part at most, and rotation without a record for none")
    func declared() throws {
        try quiet(0..<5)
        #expect(try status("CP-6") == .partial && status("CP-9(7)") == .noEvidence)
        let report = try story.report(0, 5, .iso27001).report
        #expect(report.control("A.8.24")?.needs.first { $0.need == "rotation" }?.status == .noEvidence)
        #expect(report.copies.declared == 2 && report.copies.offsite == 1 && report.copies.immutable == 0)
    }

    @Test("count a check of what is stored by the ledger, and the structure alone for nothing")
    func media() throws {
        var structure = Story.job("structure", [], kind: "check")
        structure.readsData = false
        for day in Int64(0)..<3 {
            try story.seal(day, [Story.run("structure", Story.at(day, 2))])
            try story.declare(day, [Story.source("app")], jobs: [structure, Story.job("scrub", [], kind: "check")])
        }
        func need() throws -> Report.Status? {
            try story.report(0, 4).report.control("CP-9(1)")?.needs.first { $0.need == "media-check" }?.status
        }
        #expect(try need() == .noEvidence)
        try story.seal(3, [Story.run("scrub", Story.at(3, 2))])
        #expect(try need() == .met)
    }

    @Test("know exceptions with owner and date, open, closed and overdue, and mind one that an inventory names")
    func exceptions() throws {
        let facts = [
            "exception.finding": "untested/app", "exception.owner": "grace", "exception.severity": "error",
            "exception.due": Story.at(4).description, "exception.reason": "the lab moves",
        ]
        let opened = try story.exception(0, facts)
        try story.quietDay(0, [Story.source("app")])
        try story.declare(1, [Story.source("app")], jobs: [Story.job("nightly", ["app"])], open: [opened.head])
        try story.seal(1, [])
        var report = try story.report(0, 3).report
        #expect(report.exceptions.map(\.owner) == ["grace"] && report.exceptions.first?.isOverdue == false)
        #expect(report.findings.first { $0.key == "untested/app" }?.exception == opened.id.description)
        report = try story.report(0, 5).report
        #expect(report.exceptions.first?.isOverdue == true && report.has("overdue/\(opened.id)"))
        #expect(report.control("CP-4")?.needs.first { $0.need == "follow-up" }?.status == .notMet)
        try story.exception(3, ["exception.closes": opened.id.description, "exception.reason": "done"])
        report = try story.report(0, 5).report
        #expect(report.exceptions.first?.closedBecause == "done" && report.exceptions.first?.isOverdue == false)
        // Before it was closed it was open.
        #expect(try story.report(0, 3).report.exceptions.first?.closed == nil)
        // An inventory names one that is not there.
        let gone = EvidenceHead(slot: opened.slot, number: 77, digest: Bytes32(w0: 1))
        try story.declare(4, [Story.source("app")], jobs: [], open: [opened.head, gone])
        #expect(try story.report(0, 5).report.has("chain/\(opened.slot)/77"))
    }

    @Test("take what was imported for what it is: a test that is marked, and no ledger, inventory or exception")
    func imported() throws {
        try quiet(0..<2)
        let test = try story.drill(1, "app", origin: .imported)
        var ledger = story.records.first { $0.kind == .runs }
        ledger?.id = ULID(Bytes16(w0: 9, w1: 9))
        ledger?.runs = [Story.run("nightly", Story.at(1, 2), "failed")]
        try story.tell(try #require(ledger), origin: .imported)
        let report = try story.report(0, 2).report
        #expect(report.jobs.first?.population.failed == 0 && report.drills.first?.isImported == true)
        #expect(report.has("imported/\(test.id)") && report.chains.first?.imported == 1)
    }
}
