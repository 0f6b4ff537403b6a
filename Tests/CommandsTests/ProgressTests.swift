// Progress on a clock that is turned by hand.

import Glibc
import Primitives
import TestSupport
import Testing

@testable import Commands

@Suite("Progress")
struct ProgressTests {
    private func values(_ bytes: UInt64, of total: UInt64, items: UInt64 = 0) -> Progress.Values {
        var values = Progress.Values()
        values.phase = .backingUp
        values.bytesDone = bytes
        values.bytesTotal = total
        values.itemsDone = items
        return values
    }

    @Test("counters add up, and a new phase begins at nothing")
    func counters() {
        let progress = Progress()
        progress.enter(.backingUp, bytesTotal: 100)
        progress.expect(bytes: 20, items: 3)
        progress.add(bytes: 7)
        progress.add(items: 1)
        progress.add(bytesNew: 5)
        progress.add(bytesStored: 2)
        #expect(progress.values.bytesTotal == 120)
        #expect(progress.values.itemsTotal == 3)
        #expect(progress.values.bytesDone == 7)
        progress.enter(.committing)
        #expect(progress.values.phase == .committing)
        #expect(progress.values.bytesDone == 0)
        #expect(progress.values.bytesTotal == 0)
        #expect(progress.values.bytesNew == 5)
        #expect(progress.values.bytesStored == 2)
    }

    @Test("the rate is that of the last seconds and begins anew with a phase")
    func rate() {
        var pace = Pace()
        pace.take(values(0, of: 1000), at: .seconds(0))
        #expect(pace.bytesPerSecond == 0)
        pace.take(values(1000, of: 10000), at: .seconds(10))
        #expect(pace.bytesPerSecond == 100)
        for second in 1...20 { pace.take(values(1000 + UInt64(second) * 10, of: 10000), at: .seconds(10 + second)) }
        #expect(pace.bytesPerSecond == 10)
        var next = values(5, of: 10)
        next.phase = .committing
        pace.take(next, at: .seconds(31))
        #expect(pace.bytesPerSecond == 0)
    }

    @Test("a terminal gets a bar, the amounts, the rate and the time that is left, within its width")
    func terminalLine() {
        var pace = Pace()
        pace.take(values(0, of: 10 << 20), at: .seconds(0))
        let now = values(5 << 20, of: 10 << 20, items: 3)
        pace.take(now, at: .seconds(5))
        #expect(
            ProgressLine.text(now, pace, width: 200)
                == "backing up  [##########----------] 50%  5.0 MiB of 10.0 MiB  3 items  1.0 MiB/s  0:05 left")
        #expect(
            ProgressLine.text(now, pace, width: 80)
                == "backing up  [#####-----] 50%  5.0 MiB of 10.0 MiB  1.0 MiB/s  0:05 left")
        #expect(
            ProgressLine.text(now, pace, width: 60) == "backing up  [#####-----] 50%  1.0 MiB/s  0:05 left")
        #expect(ProgressLine.text(now, pace, width: 40) == "backing up  50%  1.0 MiB/s  0:05 left")
        #expect(ProgressLine.text(now, pace, width: 30) == "backing up  50%  1.0 MiB/s  0")
        #expect(
            ProgressLine.text(now, pace, width: nil)
                == "backing up  50%  5.0 MiB of 10.0 MiB  3 items  1.0 MiB/s  0:05 left")
    }

    @Test("nothing is made up where the whole is not known, and more than the whole is the whole")
    func unknownWhole() {
        var pace = Pace()
        pace.take(values(0, of: 0), at: .seconds(0))
        pace.take(values(2048, of: 0), at: .seconds(1))
        #expect(ProgressLine.text(values(2048, of: 0), pace, width: 80) == "backing up  2.0 KiB  2.0 KiB/s")
        #expect(ProgressLine.fraction(of: values(20, of: 10)) == 1)
        #expect(ProgressLine.remaining(values(20, of: 10), pace) == nil)
    }

    @Test("times are read as on a clock", arguments: [(7, "0:07"), (750, "12:30"), (11100, "3:05:00")])
    func clockText(seconds: UInt64, text: String) { #expect(ProgressLine.clockText(seconds) == text) }

    @Test("a terminal is drawn ten times in a second, a file gets a line in ten seconds")
    func rhythm() {
        let clock = ManualClock()
        var terminal = ProgressRhythm(width: 80, startedAt: clock.uptime())
        var plain = ProgressRhythm(width: nil, startedAt: clock.uptime())
        var drawn = 0
        var lines = 0
        for step in 0..<4000 {
            clock.advance(by: .milliseconds(10))
            let now = values(UInt64(step), of: 4000)
            if terminal.line(now, at: clock.uptime()) != nil { drawn += 1 }
            if plain.line(now, at: clock.uptime()) != nil { lines += 1 }
        }
        #expect(drawn == 400)
        #expect(lines == 4)
    }

    @Test("whole lines stand above the line that is redrawn")
    func console() throws {
        let text = try written { file in
            let console = Console(descriptor: file, isTerminal: true)
            console.show("one")
            console.show("one")
            console.line("remark")
            console.show("two")
            console.show("")
            console.line("end")
        }
        #expect(text == "\r\u{1B}[Kone\r\u{1B}[Kremark\none\r\u{1B}[Ktwo\r\u{1B}[Kend\n")
    }

    @Test("the display shows what the engine reports, and leaves nothing behind")
    func display() throws {
        let text = try written { file in
            let progress = Progress()
            progress.enter(.restoring, itemsTotal: 4)
            progress.add(items: 1)
            let clock = ManualClock()
            let display = ProgressDisplay(progress, on: Console(descriptor: file, isTerminal: true), clock: clock)
            // The display's own sleeps turn the clock; a second of its time is ten drawings.
            while clock.uptime() - ManualClock().uptime() < .seconds(1) { sched_yield() }
            display.stop()
        }
        #expect(text.contains("restoring  [#####---------------] 25%  1 of 4 items"))
        #expect(text.hasSuffix("\r\u{1B}[K"))
    }
}
