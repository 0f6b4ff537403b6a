// The thread that shows progress on standard error.

import Primitives

/// What to draw when: on a terminal one line that is redrawn, elsewhere a plain line now and then.
struct ProgressRhythm {
    /// Ten drawings in a second are as many as an eye follows.
    static let redraw = Duration.milliseconds(100)
    static let plainLine = Duration.seconds(10)

    private let width: Int?
    private var pace = Pace()
    private var lastShown: Duration

    /// - Parameter width: of the terminal, or nil where there is none.
    init(width: Int?, startedAt now: Duration) {
        self.width = width
        lastShown = now
    }

    /// The line that is due at `now`; nil when none is.
    mutating func line(_ values: Progress.Values, at now: Duration) -> String? {
        pace.take(values, at: now)
        guard now - lastShown >= (width == nil ? Self.plainLine : Self.redraw) else { return nil }
        lastShown = now
        return ProgressLine.text(values, pace, width: width)
    }
}

/// Shows a progress until it is stopped.
final class ProgressDisplay: Sendable {
    private let stopping = Cancellation()
    private let thread: JoinableThread?
    private let console: Console

    init(_ progress: Progress, on console: Console, clock: any Clock) {
        self.console = console
        let stopping = stopping
        let width = console.isTerminal ? console.width : nil
        thread = JoinableThread {
            var rhythm = ProgressRhythm(width: width, startedAt: clock.uptime())
            while !stopping.isRaised {
                clock.sleep(for: ProgressRhythm.redraw, unless: stopping)
                guard !stopping.isRaised, let line = rhythm.line(progress.values, at: clock.uptime()) else { continue }
                if width == nil { console.line(line) } else { console.show(line) }
            }
        }
    }

    /// Takes the line away. Call it once.
    func stop() {
        stopping.raise()
        thread?.join()
        if console.isTerminal { console.show("") }
    }
}
