// The one way from a job file to a job.

import Primitives
import Scheduling

/// A job with where it was declared.
package struct ConfiguredJob: Sendable {
    package var job: Job
    package var path: String
    /// Where each key of the file stands.
    package var positions: [String: Position]
    /// Names that `before` gives; the loader of a directory puts them into the others' `after`.
    package var before: [JobName]
}

/// What reading a job file gave.
package enum JobReading: Sendable {
    case good(ConfiguredJob)
    case bad([Problem])
}

/// Reads job files.
package enum JobFile {
    /// Reads and checks the file at `path`.
    ///
    /// - Throws: `.configuration` when it cannot be opened.
    package static func read(_ path: String) throws(HoldfastError) -> JobReading {
        try read(path, KeptFile.place(of: path))
    }

    static func read(
        _ path: String, _ place: (shown: String, directory: String)
    ) throws(HoldfastError) -> JobReading {
        let bytes = try InputFile.read(path, limit: ByteCount(UInt64(YAMLReader.maximumBytes) + 1))
        return parse(bytes, path: place.shown, directory: place.directory)
    }

    /// - Parameter directory: Where relative paths go from; without a closing slash.
    package static func parse(_ bytes: [UInt8], path: String, directory: String) -> JobReading {
        var validator = Validator()
        let root = YAMLReader.read(bytes, &validator.problems)
        guard validator.problems.inOrder.isEmpty else { return .bad(validator.problems.inOrder) }
        let empty = YAMLNode(position: Position(line: 1, column: 1), content: .mapping([]))
        let value = validator.section(JobSchema.file, root ?? empty, in: "the file")
        var builder = JobBuilder(path: path, directory: directory, problems: validator.problems)
        guard let job = builder.build(value), builder.problems.inOrder.isEmpty else {
            return .bad(builder.problems.inOrder)
        }
        return .good(job)
    }
}

/// Builds a job out of a section that was held to the declarations.
struct JobBuilder {
    private typealias Keys = JobSchema

    let path: String
    let directory: String
    var problems: ProblemList

    /// Nil when a problem was found.
    mutating func build(_ value: SectionValue) -> ConfiguredJob? {
        let stem = path.split(separator: "/").last.map { $0.hasSuffix(".yaml") ? $0.dropLast(5) : $0 } ?? ""
        let name = value.text(Keys.name) ?? String(stem)
        if !value.has(Keys.name), !TextForm.isName(name) {
            problems.add(value.position, "the name of the file is no name of a job; add `name`")
        }
        guard let schedule = schedule(value), let action = action(value) else { return nil }
        var job = Job(name: JobName(name), action: action, schedule: schedule)
        job.repository = value.text(Keys.repository)
        job.jitter = duration(value, Keys.jitter) ?? .zero
        job.windows = spans(value, Keys.windows)
        job.blackouts = spans(value, Keys.blackouts)
        job.after = names(value, Keys.after)
        for key in [Keys.after, Keys.before] {
            for (text, position) in value.list(key) ?? [] where text == name {
                problems.add(position, "`\(key.name)`: a job cannot wait for itself")
            }
        }
        if let groups = value.section(Keys.concurrency) {
            for key in Keys.concurrencySection.keys {
                if let group = ConcurrencyGroup(rawValue: key.name),
                    let policy = groups.text(key).flatMap({ OverlapPolicy(rawValue: $0) })
                {
                    job.concurrency[group] = policy
                }
            }
        }
        rules(value, &job)
        return ConfiguredJob(
            job: job, path: path, positions: value.values.mapValues(\.position), before: names(value, Keys.before))
    }

    private mutating func rules(_ value: SectionValue, _ job: inout Job) {
        if let retries = value.section(Keys.retries) {
            job.retries.attempts = retries.count(Keys.attempts) ?? 1
            job.retries.backoff = duration(retries, Keys.backoff) ?? job.retries.backoff
            job.retries.longestBackoff = duration(retries, Keys.longestBackoff) ?? job.retries.longestBackoff
            job.retries.codes = Set((retries.list(Keys.retriedCodes) ?? []).compactMap { ErrorCode(rawValue: $0.text) })
        }
        if let deadlines = value.section(Keys.deadlines) {
            job.startDeadline = duration(deadlines, Keys.startDeadline)
            job.runDeadline = duration(deadlines, Keys.runDeadline)
            if job.runDeadline == .zero {
                problems.add(deadlines.position(of: Keys.runDeadline), "`run`: a run needs some time")
            }
        }
        if let catchUp = value.section(Keys.catchUp) {
            job.catchUp.which = catchUp.text(Keys.catchUpPolicy).flatMap { .init(rawValue: $0) } ?? .once
            job.catchUp.within = duration(catchUp, Keys.catchUpWithin) ?? job.catchUp.within
        }
        job.expectedDuration = duration(value, Keys.duration)
        job.isEnabled = value.flag(Keys.enabled) ?? true
        if let paused = value.section(Keys.paused), let reason = paused.text(Keys.pauseReason) {
            job.pause = Pause(reason: reason, until: paused.text(Keys.pauseUntil).flatMap { Timestamp(text: $0) })
        }
    }

    // MARK: What and when

    private mutating func action(_ value: SectionValue) -> JobAction? {
        func texts(_ section: SectionValue, _ key: Key) -> [String] { (section.list(key) ?? []).map(\.text) }
        if let backup = value.section(Keys.backup) { return .backup(sources: texts(backup, Keys.backupSources)) }
        if let forget = value.section(Keys.forget) {
            return .forget(sources: texts(forget, Keys.forgetSources), prune: forget.flag(Keys.prune) ?? true)
        }
        if let check = value.section(Keys.check) {
            if let time = duration(check, Keys.checkTime) { return .check(.time(time)) }
            if let bytes = check.text(Keys.checkBytes).flatMap({ ByteCount($0) }) { return .check(.bytes(bytes)) }
            return .check(check.flag(Keys.readData) == true ? .everything : .structure)
        }
        if let drill = value.section(Keys.drill) { return drill.text(Keys.plan).map { .drill(plan: $0) } }
        if let mirror = value.section(Keys.mirror) {
            return .mirror(to: texts(mirror, Keys.mirrorTo).map { StoreAddress.absolute($0, from: directory) })
        }
        if value.has(Keys.ledger) { return .ledger }
        if let rotate = value.section(Keys.rotate) { return .rotate(policies: texts(rotate, Keys.rotatePolicies)) }
        guard let words = value.list(Keys.command) else { return nil }
        if words.first?.text.isEmpty == true {
            problems.add(words[0].position, "`command`: the name of the program is empty")
        }
        if let refusal = ClearSecret.refusal(ofCommand: words.map(\.text)) {
            problems.add(words[refusal.index].position, "`command`: \(refusal.reason)")
        }
        return .command(words.map(\.text))
    }

    private mutating func schedule(_ value: SectionValue) -> Schedule? {
        guard let when = value.section(Keys.when) else { return nil }
        let named = value.text(Keys.timeZone)
        do throws(HoldfastError) {
            let zone = try TimeZoneRules(named: named ?? "UTC")
            if let every = duration(when, Keys.every) {
                guard every > .zero else {
                    problems.add(when.position(of: Keys.every), "`every`: an interval is 1s at least")
                    return nil
                }
                return Schedule(
                    text: "every \(every.lengthOfTime)", rule: .every(every.components.seconds), zone: zone)
            }
            if let cron = when.text(Keys.cron) {
                return Schedule(text: cron, rule: .calendar(try CronExpression.fields(cron)), zone: zone)
            }
            guard let text = when.text(Keys.calendar) else { return nil }
            let expression = try KnownCalendars.expression(text)
            if let own = expression.zone, let named, own != named {
                problems.add(
                    value.position(of: Keys.timeZone), "`timeZone` is \(named), and the calendar says \(own); give one")
                return nil
            }
            return Schedule(
                text: expression.text, rule: .calendar(expression.fields),
                zone: try expression.zone.map { (name) throws(HoldfastError) in try TimeZoneRules(named: name) } ?? zone
            )
        } catch {
            problems.add(when.position, error.message)
            return nil
        }
    }

    // MARK: Values

    private func duration(_ value: SectionValue, _ key: Key) -> Duration? {
        value.text(key).flatMap { Duration(lengthOfTime: $0) }
    }

    private func names(_ value: SectionValue, _ key: Key) -> [JobName] {
        (value.list(key) ?? []).map { JobName($0.text) }
    }

    private mutating func spans(_ value: SectionValue, _ key: Key) -> [Span] {
        var spans: [Span] = []
        for (text, position) in value.list(key) ?? [] {
            do throws(HoldfastError) {
                spans.append(try Span(text))
            } catch {
                problems.add(position, "`\(key.name)`: \(error.message)")
            }
        }
        return spans
    }
}
