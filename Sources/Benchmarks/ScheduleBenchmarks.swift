// How long the next instant of a schedule takes to find, and that of thousands of jobs.

import Primitives
import Scheduling

extension Bench {
    /// Nanoseconds for one next instant, and microseconds for the next of 5,000 jobs.
    mutating func schedules() throws(HoldfastError) {
        guard wants("schedule/") else { return }
        let zone = try TimeZoneRules(named: "Europe/Berlin")
        func calendar(_ text: String) throws(HoldfastError) -> Schedule {
            Schedule(text: text, rule: .calendar(try CalendarExpression(text).fields), zone: zone)
        }
        let start = Timestamp(seconds: 1_800_000_000)
        for (name, text) in [
            ("daily", "*-*-* 02:30"), ("minutely", "*:*:00"), ("leap-day", "*-02-29 12:00"),
            ("never", "*-02-30 12:00"),
        ] {
            let schedule = try calendar(text)
            add(
                Measurement(
                    name: "schedule/next/\(name)", rate: time(repeating: 1000) { schedule.next(after: start) },
                    unit: "ns", note: text))
        }
        var jobs: [Schedule] = []
        for number in 0..<5000 {
            jobs.append(try calendar("*-*-* \(number % 24):\(number / 24 % 60):00"))
        }
        let all = time(repeating: 5) { jobs.compactMap { $0.next(after: start)?.instant }.min() }
        add(Measurement(name: "schedule/tick", rate: all / 1000, unit: "us", note: "the next of 5000 jobs"))
    }

    /// Nanoseconds of the fastest of some rounds, divided by the repetitions in each.
    private func time<R>(repeating count: Int, _ body: () -> R) -> Double {
        let clock = ContinuousClock()
        var best = Duration.seconds(1000)
        for _ in 0..<20 {
            let before = clock.now
            for _ in 0..<count { keep(body()) }
            best = min(best, clock.now - before)
        }
        return Double(best.nanosecondsClamped) / Double(count)
    }

    @inline(never)
    private func keep<R>(_ value: R) {}
}
