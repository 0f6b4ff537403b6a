// Jobs as timers and services of systemd, for hosts on which no daemon of ours runs.

import Primitives

/// The two units of a job, and what a timer does otherwise than the daemon.
package struct SystemdUnits: Sendable, Hashable {
    package var job: JobName
    /// Lines that came from the calendar, for `systemd-analyze calendar`.
    package var calendars: [String]
    package var timer: String
    package var service: String
    /// Sentences for the operator.
    package var notes: [String]

    package var timerName: String { "holdfast-\(job).timer" }
    package var serviceName: String { "holdfast-\(job).service" }
}

/// Makes units.
package struct SystemdExport: Sendable {
    /// The program and its options after `schedule run JOB --scheduled-for latest`.
    package var program: String
    package var options: [String]
    package var now: Timestamp
    /// For so long, runs that a timer would lose at changes of the clocks get lines of their own.
    package static let horizon: Duration = .seconds(5 * 366 * 86_400)
    /// At most so many lines of that kind, and so many for one interval.
    package static let maximumLines = 100

    package init(program: String, options: [String], now: Timestamp) {
        self.program = program
        self.options = options
        self.now = now
    }

    /// The units of a job.
    ///
    /// - Throws: `.usage` when no timer of systemd has the instants of the job, with what can be done.
    package func units(_ job: Job) throws(HoldfastError) -> SystemdUnits {
        var notes: [String] = []
        let calendars = try calendars(job, &notes)
        if job.jitter > .zero {
            notes.append("systemd chooses the delay of up to \(job.jitter.lengthOfTime) by its own hash, not by ours.")
        }
        if job.catchUp.which == .all {
            notes.append("systemd makes up for missed runs with one run, not with all of them.")
        }
        if !job.after.isEmpty {
            notes.append("systemd orders it behind the jobs of `after`; the run itself looks whether they ended well.")
        }
        if !job.concurrency.isEmpty, job.concurrency != [.source: .skip] {
            notes.append("`concurrency` is kept by the runs themselves, through the state directory that they share.")
        }
        return SystemdUnits(
            job: job.name, calendars: calendars, timer: timer(job, calendars), service: service(job), notes: notes)
    }

    // MARK: Files

    private func timer(_ job: Job, _ calendars: [String]) -> String {
        var lines = [
            "# Written by holdfast schedule export systemd; it replaces this file when it is run again.", "[Unit]",
            "Description=Holdfast: when \(job.name) runs", "", "[Timer]",
        ]
        lines += calendars.map { "OnCalendar=\($0)" }
        lines.append("AccuracySec=1s")
        if job.jitter > .zero {
            lines += ["RandomizedDelaySec=\(job.jitter.components.seconds)s", "FixedRandomDelay=yes"]
        }
        lines += ["Persistent=\(job.catchUp.which == .none ? "no" : "yes")", "", "[Install]", "WantedBy=timers.target"]
        return lines.joined(separator: "\n") + "\n"
    }

    private func service(_ job: Job) -> String {
        let words = [program, "schedule", "run", job.name.description, "--scheduled-for", "latest"] + options
        var lines = [
            "# Written by holdfast schedule export systemd; it replaces this file when it is run again.", "[Unit]",
            "Description=Holdfast: \(job.action.kind) by the job \(job.name)",
        ]
        if !job.after.isEmpty {
            lines.append("After=" + job.after.map { "holdfast-\($0).service" }.joined(separator: " "))
        }
        lines += [
            "", "[Service]", "Type=oneshot", "ExecStart=" + words.map(Self.quoted).joined(separator: " "), "Nice=10",
            "IOSchedulingClass=best-effort", "IOSchedulingPriority=7", "StateDirectory=holdfast",
            "StateDirectoryMode=0700", "CacheDirectory=holdfast", "CacheDirectoryMode=0700",
            "Environment=XDG_CACHE_HOME=%C", "UMask=0077", "NoNewPrivileges=yes",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// A word as systemd.service(5) reads it, with `%` and `$` taken as they are.
    static func quoted(_ word: String) -> String {
        var text = ""
        for scalar in word.unicodeScalars {
            switch scalar {
            case "%": text += "%%"
            case "$": text += "$$"
            case "\"", "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        let isPlain = word.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "/._-=:,@+".utf8.contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        return isPlain && !word.isEmpty ? text : "\"\(text)\""
    }

    // MARK: Calendars

    private func calendars(_ job: Job, _ notes: inout [String]) throws(HoldfastError) -> [String] {
        switch job.schedule.rule {
        case .every(let interval): return try intervals(job, interval)
        case .calendar(let fields):
            let zone = job.schedule.zone
            let isFixed = zone.segment(at: now.seconds).end == nil
            if fields.isWildcard, fields.isEveryDay, !isFixed, hasWholeHours(zone) {
                // The same minutes of every hour are the same by each clock that differs by hours.
                return fields.systemdTexts.map { "\($0) UTC" }
            }
            let texts = fields.systemdTexts.map { zone.name == "UTC" ? "\($0) UTC" : "\($0) \(zone.name)" }
            guard !isFixed else { return texts }
            let end = now + Self.horizon
            var lost: [String] = []
            var instant = now
            while let next = job.schedule.next(after: instant), next.instant <= end {
                instant = next.instant
                guard next.mark != .plain, next.mark != .firstOfTwo else {
                    // Far from a change nothing is lost; the search goes on shortly before the next one.
                    let change = zone.segment(at: instant.seconds).end ?? end.seconds
                    if change - instant.seconds > 2 * 86_400 { instant = Timestamp(seconds: change - 2 * 86_400) }
                    continue
                }
                lost.append("\(instant)".replacing("T", with: " ").replacing("Z", with: " UTC"))
                guard lost.count <= Self.maximumLines else {
                    throw HoldfastError(
                        .usage,
                        "job \(job.name): a timer would lose more than \(Self.maximumLines) runs at changes of the "
                            + "clocks of \(zone.name) in five years",
                        hint: "Take `timeZone: UTC`, or let the daemon run this job.")
                }
            }
            if !lost.isEmpty {
                notes.append(
                    "a timer loses runs when the clocks of \(zone.name) change; those up to "
                        + "\("\(end)".prefix(10)) have lines of their own, so export again before then.")
            }
            return texts + lost
        }
    }

    private func hasWholeHours(_ zone: TimeZoneRules) -> Bool {
        var segment = zone.segment(at: now.seconds)
        let end = (now + Self.horizon).seconds
        while true {
            if segment.offset % 3600 != 0 { return false }
            guard let next = segment.end, next < end else { return true }
            segment = zone.segment(at: next)
        }
    }

    /// An interval that divides the day, as times of the day in UTC.
    private func intervals(_ job: Job, _ interval: Int64) throws(HoldfastError) -> [String] {
        func refused(_ why: String) -> HoldfastError {
            HoldfastError(
                .usage, "job \(job.name): no timer of systemd has the instants of `\(job.schedule.text)`, \(why)",
                hint: "Take an interval that divides a day, a calendar, or let the daemon run this job.")
        }
        guard 86_400 % interval == 0 else { throw refused("which does not divide a day") }
        if interval == 86_400 { return ["*-*-* 00:00:00 UTC"] }
        if 60 % interval == 0 { return [interval == 60 ? "*-*-* *:*:00 UTC" : "*-*-* *:*:00/\(interval) UTC"] }
        if interval % 60 == 0, 3600 % interval == 0 {
            return [interval == 3600 ? "*-*-* *:00:00 UTC" : "*-*-* *:00/\(interval / 60):00 UTC"]
        }
        if interval % 3600 == 0 { return ["*-*-* 00/\(interval / 3600):00:00 UTC"] }
        guard 86_400 / interval <= Self.maximumLines else { throw refused("which has too many times in a day") }
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return stride(from: Int64(0), to: 86_400, by: Int(interval)).map { second in
            "*-*-* \(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) UTC"
        }
    }
}

extension CalendarFields {
    /// The fields in systemd's notation; two texts where either the day or the weekday is enough.
    var systemdTexts: [String] {
        if !isEitherDay { return [systemdText] }
        var (byDay, byWeekday) = (self, self)
        (byDay.isEitherDay, byWeekday.isEitherDay) = (false, false)
        byDay.weekdays = Self.everyWeekday
        byWeekday.days = Array(repeating: Self.everyDay, count: 4)
        return [byDay.systemdText, byWeekday.systemdText]
    }

    private var systemdText: String {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        let week =
            weekdays == Self.everyWeekday
            ? ""
            : names.indices.filter { weekdays >> UInt8($0) & 1 == 1 }.map { names[$0] }.joined(separator: ",") + " "
        let year = years.map { Self.list($0) } ?? "*"
        let month = months == Self.everyMonth ? "*" : Self.list(Self.places(UInt64(months)))
        let time = [(UInt64(hours), UInt64(Self.everyHour)), (minutes, Self.everyMinute), (seconds, Self.everyMinute)]
            .map { $0.0 == $0.1 ? "*" : Self.list(Self.places($0.0)) }.joined(separator: ":")
        return "\(week)\(year)-\(month)\(day) \(time)"
    }

    private var day: String {
        // Days from the end are at the same distance from it in months of each length.
        guard Set(days).count > 1 else {
            return days[3] == Self.everyDay ? "-*" : "-" + Self.list(Self.places(UInt64(days[3])))
        }
        return "~" + Self.list(Self.places(UInt64(days[3])).map { Int64(32) - $0 }.reversed())
    }

    private static func places(_ bits: UInt64) -> [Int64] {
        (0..<64).filter { (place: Int64) in bits >> UInt64(place) & 1 == 1 }
    }

    private static func list(_ values: [Int64]) -> String {
        var texts: [String] = []
        var index = 0
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        while index < values.count {
            var end = index
            while end + 1 < values.count, values[end + 1] == values[end] + 1 { end += 1 }
            texts.append(
                end >= index + 2 ? "\(two(values[index]))..\(two(values[end]))" : two(values[index]))
            index = end >= index + 2 ? end + 1 : index + 1
        }
        return texts.joined(separator: ",")
    }
}
