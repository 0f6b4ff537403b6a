// What one notifier is still to be told, and when it is tried again.

import Logging
import Primitives
import Scheduling
import State

/// One notifier with what waits for it. One thread.
///
/// An alert that could not be told stays untold in the store, and is tried again until it is told or changes: after
/// half a minute, and twice as long each time, a quarter of an hour at most. Where nobody answers all of them wait; one
/// that is refused waits alone.
struct AlertMail {
    private static let firstPause = Duration.seconds(30)
    private static let longestPause = Duration.seconds(900)
    private static let mostAtOnce = 100
    /// What the store gives at once.
    private static let page = 100

    let route: AlertRoute
    let store: any AlertStore
    let host: String
    let clock: any Clock
    let logger: Logger
    /// How often each was tried in vain, by the ids of their notes.
    private var failures: [String: Int] = [:]
    /// Those that were refused, with the uptimes at which they are tried again.
    private var refused: [String: Duration] = [:]
    private var pause = Self.firstPause
    private var resumes: Duration?

    init(_ route: AlertRoute, _ store: any AlertStore, host: String, clock: any Clock, logger: Logger) {
        self.route = route
        self.store = store
        self.host = host
        self.clock = clock
        self.logger = logger
    }

    private var name: String { route.notifier.name }
    private var ownKey: String { Self.key(of: name) }

    /// The alert that a notifier does not work.
    static func key(of notifier: String) -> String { "notifier/\(notifier)" }

    /// Tells what is to be told now, unless the notifier failed a short while ago.
    ///
    /// - Parameters:
    ///   - stop: No further alert is begun.
    ///   - abort: The one under way is called off; it stays untold.
    mutating func round(until stop: Cancellation, abort: Cancellation) {
        if let resumes, clock.uptime() < resumes { return }
        resumes = nil
        do throws(HoldfastError) {
            let notes = try waiting()
            for (alert, note) in notes {
                if stop.isRaised || abort.isRaised { return }
                if try !tell(alert, note, abort) { break }
            }
        } catch {
            logger.error(
                "alerts cannot be read", metadata: ["notifier": "\(name)", "error": "\(error.message)"])
        }
    }

    /// Those first that were tried the least, so that one that is always refused holds up no other. At most
    /// ``mostAtOnce`` that may be tried now, however many are refused.
    private mutating func waiting() throws(HoldfastError) -> [(AlertRecord, AlertNote)] {
        var all: [(AlertRecord, AlertNote)] = []
        var ids: Set<String> = []
        var last: AlertRecord?
        var isWhole = false
        let (host, uptime) = (host, clock.uptime())
        while all.count < Self.mostAtOnce {
            let page = try store.untoldAlerts(for: name, from: route.severity, after: last, at: clock.now())
            last = page.last
            // That it does not work is not told to itself.
            for alert in page where alert.key != ownKey {
                let note = AlertNote(alert, host: host)
                ids.insert(note.id)
                guard refused[note.id].map({ $0 <= uptime }) ?? true, all.count < Self.mostAtOnce else { continue }
                // One that changed between two pages comes twice: the newer is what is told.
                all.removeAll { $0.0.key == alert.key }
                all.append((alert, note))
            }
            if page.count < Self.page {
                isWhole = true
                break
            }
        }
        if isWhole {
            // Those that are told or changed are not asked about any more.
            failures = failures.filter { ids.contains($0.key) }
            refused = refused.filter { ids.contains($0.key) }
        }
        let failures = failures
        return all.enumerated().sorted { a, b in
            (failures[a.element.1.id] ?? 0, a.offset) < (failures[b.element.1.id] ?? 0, b.offset)
        }.map(\.element)
    }

    /// Says whether the next one is to be tried at once.
    private mutating func tell(
        _ alert: AlertRecord, _ note: AlertNote, _ abort: Cancellation
    ) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            try route.notifier.tell(note, unless: abort)
        } catch {
            if error.code == .interrupted { return false }
            logger.error(
                "an alert was not told",
                metadata: ["alert": "\(alert.key)", "notifier": "\(name)", "error": "\(error.message)"])
            failures[note.id, default: 0] += 1
            guard error.retry == .never else {
                // Where nobody answers the next one gets no answer either.
                resumes = clock.uptime() + pause
                pause = min(pause * 2, Self.longestPause)
                _ = try store.fire(
                    ownKey, .warning, "the notifier \(name) does not work: \(error.message)", at: clock.now())
                return false
            }
            try noteRefusal(of: note, error)
            return true
        }
        try store.markTold(alert, to: name)
        refused[note.id] = nil
        pause = Self.firstPause
        // That others are told says nothing of one that is refused.
        if refused.isEmpty { _ = try store.resolve(ownKey, at: clock.now()) }
        return true
    }

    /// Tells the others once, and not at each try.
    private mutating func noteRefusal(of note: AlertNote, _ error: HoldfastError) throws(HoldfastError) {
        let isFirst = refused[note.id] == nil
        let tries = min(failures[note.id] ?? 1, 16)
        refused[note.id] = clock.uptime() + min(Self.firstPause * (1 << (tries - 1)), Self.longestPause)
        guard isFirst else { return }
        _ = try store.fire(
            ownKey, .warning, "the notifier \(name) refuses the alert \(note.key): \(error.message)", at: clock.now())
    }
}
