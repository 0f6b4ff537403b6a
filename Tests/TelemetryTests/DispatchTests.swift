// Alerts that are told by several threads, to notifiers that refuse, are gone, or have no thread.

import Logging
import Primitives
import Scheduling
import State
import Synchronization
import TestSupport
import Testing

@testable import Telemetry

@Suite("Telling of alerts")
struct DispatchTests {
    private let noon = Timestamp(seconds: 1_800_000_000)

    @Test("that always refuse one alert are told the others at once, and the others hear of it once")
    func refusal() throws {
        let fixture = try Fixture()
        let clock = ManualClock(noon)
        let picky = Recorder("picky")
        picky.refuses.withLock { $0 = ["a"] }
        picky.retry.withLock { $0 = .never }
        var mail = AlertMail(
            AlertRoute(picky, from: .info), fixture.store, host: "host", clock: clock, logger: fixture.logger)
        func round() { mail.round(until: Cancellation(), abort: Cancellation()) }
        func own() throws -> AlertRecord? { try fixture.store.alerts(all: true).first { $0.key == "notifier/picky" } }
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        _ = try fixture.store.fire("b", .critical, "two", at: noon)
        round()
        #expect(picky.tried.withLock { $0 } == ["a", "b"])
        let first = try #require(try own())
        #expect(first.state == .firing && first.summary.contains("refuses the alert a"))
        for (seconds, name) in [(5, "c"), (5, "d"), (20, "e"), (59, "f"), (1, "g")] {
            clock.advance(by: .seconds(seconds))
            _ = try fixture.store.fire(name, .critical, "more", at: clock.now())
            round()
            #expect(picky.told.withLock { $0.last } == "\(name) firing")
        }
        // After half a minute, and a minute after that.
        #expect(picky.tried.withLock { $0 } == ["a", "b", "c", "d", "e", "a", "f", "g", "a"])
        #expect(try own() == first, "it neither went nor changed")
        picky.refuses.withLock { $0 = [] }
        clock.advance(by: .seconds(120))
        round()
        #expect(try own()?.state == .resolved && fixture.untold("picky") == [])
    }

    @Test("are told however many others are refused")
    func manyRefused() throws {
        let fixture = try Fixture()
        let clock = ManualClock(noon)
        let picky = Recorder("picky")
        let others = (0..<120).map { "other/\($0)" }
        picky.refuses.withLock { $0 = Set(others) }
        picky.retry.withLock { $0 = .never }
        var mail = AlertMail(
            AlertRoute(picky, from: .info), fixture.store, host: "host", clock: clock, logger: fixture.logger)
        for name in others { _ = try fixture.store.fire(name, .warning, "text", at: noon) }
        _ = try fixture.store.fire("urgent", .critical, "text", at: noon + .seconds(1))
        mail.round(until: Cancellation(), abort: Cancellation())
        #expect(picky.tried.withLock { $0.count } == 100 && picky.told.withLock { $0.isEmpty })
        mail.round(until: Cancellation(), abort: Cancellation())
        #expect(picky.told.withLock { $0 } == ["urgent firing"])
        #expect(picky.tried.withLock { Set($0).count } == 121 && picky.tried.withLock { $0.count } == 121)
    }

    @Test("that are gone leave no alert that they do not work")
    func gone() throws {
        let fixture = try Fixture()
        for name in ["old", "kept"] { _ = try fixture.store.fire("notifier/\(name)", .warning, "it fails", at: noon) }
        func firing() throws -> [String] { try fixture.store.alerts(all: false).map(\.key) }
        let dispatcher = fixture.dispatcher([], clock: SystemClock())
        let kept = Recorder("kept")
        kept.isBroken.withLock { $0 = true }
        let (stop, abort) = (Cancellation(), Cancellation())
        let thread = try #require(JoinableThread { dispatcher.run(until: stop, abort: abort) })
        dispatcher.replace([AlertRoute(kept, from: .info)])
        for _ in 0..<200 where try firing().contains("notifier/old") {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
        }
        stop.raise()
        abort.raise()
        thread.join()
        #expect(try firing() == ["notifier/kept"])
    }

    @Test("that there was no thread for are told when there is one")
    func noThread() throws {
        let fixture = try Fixture()
        let good = Recorder("good")
        let asked = Mutex(0)
        let dispatcher = AlertDispatcher(
            fixture.store, [AlertRoute(good, from: .info)], host: "host", clock: SystemClock(), logger: fixture.logger
        ) { body in
            asked.withLock { $0 += 1 }
            return asked.withLock { $0 } > 2 ? JoinableThread(body) : nil
        }
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        let (stop, abort) = (Cancellation(), Cancellation())
        let thread = try #require(JoinableThread { dispatcher.run(until: stop, abort: abort) })
        for _ in 0..<200 where good.told.withLock({ $0.isEmpty }) {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
        }
        stop.raise()
        abort.raise()
        thread.join()
        #expect(good.told.withLock { $0 } == ["a firing"] && asked.withLock { $0 } == 3)
    }
}

/// A store with what tells its alerts.
struct Fixture {
    let directory = TemporaryDirectory()
    let store: SQLiteRunStore
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        store = try SQLiteRunStore(
            path: directory.path + "/runs.sqlite", clock: RunStoreClock(boot: "one") { .seconds(1) })
    }

    func dispatcher(_ notifiers: [Recorder], clock: any Primitives.Clock = ManualClock()) -> AlertDispatcher {
        AlertDispatcher(
            store, notifiers.map { AlertRoute($0, from: .info) }, host: "host", clock: clock, logger: logger)
    }

    func untold(_ notifier: String) throws -> [String] {
        try store.untoldAlerts(for: notifier, from: .info, at: Timestamp(seconds: 0)).map(\.key)
            .filter { !$0.hasPrefix("notifier/") }
    }
}

/// A notifier that a test plays.
final class Recorder: Notifier {
    let name: String
    let capabilities = NotifierCapabilities(isRemote: false)
    let told = Mutex<[String]>([])
    let tried = Mutex<[String]>([])
    let isBroken = Mutex(false)
    let hangs = Mutex(false)
    let refuses = Mutex<Set<String>>([])
    let retry = Mutex(RetryClass.later)

    init(_ name: String) { self.name = name }

    func tell(_ note: AlertNote, unless cancellation: Cancellation) throws(HoldfastError) {
        tried.withLock { $0.append(note.key) }
        if hangs.withLock({ $0 }) {
            while !cancellation.isRaised { cancellation.wait(for: .seconds(1)) }
            try cancellation.check()
        }
        if isBroken.withLock({ $0 }) || refuses.withLock({ $0.contains(note.key) }) {
            throw HoldfastError(.processFailed, "broken", hint: "", retry: retry.withLock { $0 })
        }
        told.withLock { $0.append("\(note.key) \(note.state)") }
    }
}
