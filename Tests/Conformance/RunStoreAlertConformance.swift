// What every run store must do with alerts. RunStoreUnderTest.swift says who runs it.

import Primitives
import Scheduling
import State
import TestSupport
import TestThreads
import Testing

@Suite("The alerts of every run store", .waiting)
struct RunStoreAlertConformance {
    private let noon = Timestamp(seconds: 1_800_000_000)

    @Test("tells of an alert when it changes, and keeps since when it fires", arguments: RunStoreUnderTest.all)
    func alerts(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        #expect(try store.resolve("job/a/failed", at: noon) == nil)
        #expect(try store.fire("job/a/failed", .warning, "it failed", at: noon) != nil)
        #expect(try store.fire("job/a/failed", .warning, "it failed", at: noon + .seconds(1)) == nil)
        let worse = try store.fire("job/a/failed", .critical, "it failed twice", at: noon + .seconds(2))
        #expect(worse?.since == noon && worse?.changed == noon + .seconds(2))
        #expect(try fixture.open().alerts(all: false).map(\.severity) == [.critical])
        // A lesser failure does not make it one that fewer are told of.
        let lesser = try store.fire("job/a/failed", .warning, "it failed once more", at: noon + .seconds(2))
        #expect(lesser?.severity == .critical && lesser?.summary == "it failed once more")
        #expect(try store.resolve("job/a/failed", at: noon + .seconds(3))?.state == .resolved)
        #expect(try store.alerts(all: false).isEmpty)
        #expect(try store.alerts(all: true).map(\.state) == [.resolved])
        #expect(try store.fire("job/a/failed", .warning, "again", at: noon + .seconds(4))?.since == noon + .seconds(4))
    }

    @Test("tells each change of an alert once to each notifier", arguments: RunStoreUnderTest.all)
    func telling(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        func untold(_ notifier: String, _ severity: AlertRecord.Severity = .info) throws -> [AlertRecord] {
            try fixture.open().untoldAlerts(for: notifier, from: severity, at: noon)
        }
        let first = try #require(try store.fire("a", .warning, "one", at: noon))
        #expect(try untold("chat") == [first] && untold("post") == [first])
        #expect(try untold("chat", .critical).isEmpty)
        let second = try #require(try store.resolve("a", at: noon + .seconds(1)))
        // The change that was told is not the last one any more.
        try store.markTold(first, to: "chat")
        #expect(try untold("chat") == [second] && untold("post") == [second])
        try store.markTold(second, to: "chat")
        #expect(try untold("chat").isEmpty && untold("post") == [second])
    }

    @Test(
        "tells whom it told of a grave alert that it is over, also when a lesser one came in between",
        arguments: RunStoreUnderTest.all)
    func tellingTheEnd(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        func untold(_ severity: AlertRecord.Severity = .critical) throws -> [AlertRecord] {
            try store.untoldAlerts(for: "pager", from: severity, at: noon)
        }
        let grave = try #require(try store.fire("a", .critical, "damage", at: noon))
        #expect(try untold() == [grave])
        try store.markTold(grave, to: "pager")
        _ = try store.resolve("a", at: noon + .seconds(1))
        _ = try store.fire("a", .warning, "it failed", at: noon + .seconds(2))
        let end = try #require(try store.resolve("a", at: noon + .seconds(3)))
        #expect(try untold() == [end])
        try store.markTold(end, to: "pager")
        #expect(try untold().isEmpty)
        // What comes after it was told of the end is another matter.
        _ = try store.fire("a", .warning, "it failed", at: noon + .seconds(4))
        #expect(try untold().isEmpty && untold(.warning).count == 1)
    }

    @Test("tells of a run without a further attempt in the moment that it ends", arguments: RunStoreUnderTest.all)
    func concluded(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        let run = RunKey(job: JobName("nightly"), scheduled: noon)
        let completion = RunCompletion(.failed, code: "interrupted", message: "no further attempt")
        try store.conclude(run, .schedule, completion, at: noon)
        let alerts = try store.alerts(all: false)
        #expect(alerts.map(\.key) == [JobAlert.key(run.job)] && alerts.map(\.severity) == [.warning])
        #expect(alerts.first?.summary.contains("no further attempt") == true)
    }

    @Test("tells as many alerts as there are, page by page", arguments: RunStoreUnderTest.all)
    func manyAlerts(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        for index in 0..<230 {
            // Three of each instant: the pages end between such.
            let at = noon + .seconds(Int64(index / 3))
            _ = try store.fire("alert/\(index + 1000)", .warning, "one", at: at)
        }
        var seen: [AlertRecord] = []
        for expected in [100, 100, 30, 0] {
            let page = try store.untoldAlerts(for: "chat", from: .info, after: seen.last, at: noon)
            #expect(page.count == expected)
            seen += page
        }
        #expect(Set(seen.map(\.key)).count == 230)
    }

    @Test("tells a new notifier what fires, and nothing of what is long over", arguments: RunStoreUnderTest.all)
    func newcomer(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        _ = try store.fire("over", .warning, "one", at: noon)
        _ = try store.resolve("over", at: noon + .seconds(1))
        let still = try #require(try store.fire("still", .warning, "two", at: noon))
        let later = noon + .seconds(60)
        #expect(try store.untoldAlerts(for: "new", from: .info, at: later) == [still])
        _ = try store.resolve("still", at: later + .seconds(1))
        #expect(try store.untoldAlerts(for: "new", from: .info, at: later + .seconds(2)).map(\.key) == ["still"])
    }
}
