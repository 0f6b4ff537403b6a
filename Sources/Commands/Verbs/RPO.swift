// holdfast rpo: how much work would have been lost, over a period.

import ArgumentParser
import Configuring
import Primitives
import Recovery
import Repository

struct RPOVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rpo",
        abstract: "Tell the exposure of a source over a period.",
        discussion: """
            The exposure at an instant is the time back to what could have been recovered then: from the instant that \
            the data of a snapshot is consistent as of, counted once the snapshot was durable. Worst, mean, 95th \
            percentile and the share of time within the objective are exact. They are told for any copy, for each \
            class of copies that the configuration declares, and for copies that a drill has read and proven. A \
            point that a drill found damaged counts until then, and again once another drill recovered it. Of past \
            periods only points that are still there count: where some were forgotten, the figures are upper bounds, \
            and it says so. When the objective was not kept, the exit status is 4.

            Examples:

              holdfast rpo shop

              holdfast rpo shop --from 2026-10-01 --to 2026-11-01 --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The source, by its name.", valueName: "source"))
    var source: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The beginning of the period: a date, a time with its zone, or a length of time ago such as 30d.",
            discussion: "30 days ago where it is not given, or the first snapshot if that is later.",
            valueName: "time"))
    var from: InstantArgument?

    @Option(name: .long, help: ArgumentHelp("The end of the period; now where it is not given.", valueName: "time"))
    var to: InstantArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The objective; that of the configuration where it is not given, else that of the newest snapshot.",
            valueName: "duration"))
    var objective: DurationArgument?

    private static let standardPeriod = Duration.seconds(30 * 86_400)

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let (place, configured) = try place(context)
            let repository = try context.openRepository(at: place)
            let copies = RepositoryCopies(of: repository, place, context)
            let places = copies.places
            let points = try RecoveryPoints(of: source, in: places)
            let failures = (copies.failures + points.failures).map {
                RPOReport.Failure(location: $0.location, code: $0.error.code.rawValue, message: $0.error.message)
            }
            let now = context.clock.now()
            let end = (to?.instant(now: now)) ?? now
            let begin = from?.instant(now: now) ?? max(end + (.zero - Self.standardPeriod), points.firstDurable ?? end)
            let objective = objective?.duration ?? configured?.rpo ?? points.declaredObjective
            let report = try RPOReport(points, places, from: begin, to: end, objective, failures)
            for line in report.lines { try context.output.line(line) }
            for warning in report.warnings { context.output.warning(warning) }
            try context.output.json(report)
            if !points.damaged.isEmpty { return .failed }
            if report.isKept == false { return .checkFailed }
            return failures.isEmpty ? .success : .partial
        }
    }

    private func place(
        _ context: CommandContext
    ) throws(HoldfastError) -> (RepositoryPlace, ConfiguredSource?) {
        let configuration = try context.configuration()
        let configured = configuration?.source(named: source)
        if let named = try context.namedPlace() { return (named, configured) }
        guard let configuration, let configured else { return (try context.place(), nil) }
        return (try context.place(of: configured.repository, in: configuration), configured)
    }
}

/// `holdfast.rpo/1`. Times in seconds; missing where there was nothing to recover.
struct RPOReport: Encodable {
    let schema = "holdfast.rpo/1"
    let source, from, to: String
    let objectiveSeconds: Double?
    /// Whether the objective was kept at every instant, by any copy; nil without one.
    let isKept: Bool?
    let views: [View]
    let copies: [Copy]
    let failures: [Failure]
    let points: Int
    let incomplete, sealed, forgotten: UInt64
    /// Points that count no more in some copy, since a drill found them damaged.
    let foundDamaged: UInt64
    /// Points of which drills compared the bytes, and in none the engine could be asked.
    let withoutEngine: UInt64
    /// Snapshots of the source were forgotten, so that the exposure may have been less.
    let isUpperBound: Bool
    let seesAllEvidence: Bool
    let damaged: [String]

    struct View: Encodable {
        /// `any`, or the class.
        let copies: String
        let onlyVerified: Bool
        let atEndSeconds, worstSeconds, meanSeconds, p95Seconds: Double?
        let unprotectedSeconds: Double
        /// From 0 to 1; nil without an objective.
        let withinObjective: Double?
    }

    struct Copy: Encodable {
        let location: String
        let classes: [String]
    }

    struct Failure: Encodable {
        let location, code, message: String
    }

    private enum CodingKeys: String, CodingKey {
        case schema, source, from, to, objectiveSeconds, isKept, views, copies, failures, points, incomplete, sealed
        case forgotten, foundDamaged, withoutEngine, isUpperBound, seesAllEvidence, damaged
    }

    init(
        _ known: RecoveryPoints, _ places: [CopyPlace], from: Timestamp, to: Timestamp, _ objective: Duration?,
        _ failures: [Failure]
    ) throws(HoldfastError) {
        source = known.source
        self.from = from.description
        self.to = to.description
        objectiveSeconds = objective.map(Self.seconds)
        let declared = CopyClass.allCases.filter { one in places.contains { $0.classes.contains(one) } }
        var views: [View] = []
        var isKept: Bool?
        for onlyVerified in [false, true] {
            for copyClass in [nil] + declared {
                let exposure = try known.exposure(
                    ExposureView(copyClass, onlyVerified: onlyVerified), from: from, to: to)
                if copyClass == nil, !onlyVerified, let objective {
                    isKept = exposure.worst.map { $0 <= objective } ?? false
                }
                views.append(
                    View(
                        copies: copyClass?.rawValue ?? "any", onlyVerified: onlyVerified,
                        atEndSeconds: exposure.at(to).map(Self.seconds), worstSeconds: exposure.worst.map(Self.seconds),
                        meanSeconds: exposure.mean.map(Self.seconds),
                        p95Seconds: exposure.percentile(95).map(Self.seconds),
                        unprotectedSeconds: Self.seconds(exposure.unprotected),
                        withinObjective: objective.map { exposure.share(within: $0) }))
            }
        }
        self.views = views
        self.isKept = isKept
        copies = places.map { Copy(location: $0.location, classes: $0.classes.sorted().map(\.rawValue)) }
        self.failures = failures
        points = known.points.count
        incomplete = known.incomplete
        sealed = known.sealed
        forgotten = known.forgotten
        foundDamaged = known.foundDamaged
        withoutEngine = known.withoutEngine
        isUpperBound = known.forgotten > 0
        seesAllEvidence = known.seesAllEvidence
        damaged = known.damaged
    }

    private static func seconds(_ duration: Duration) -> Double { Double(duration.nanosecondsClamped) / 1e9 }

    var lines: [String] {
        func text(_ seconds: Double?) -> String {
            seconds.map { Duration.nanoseconds(Int64($0 * 1e9)).lengthOfTime } ?? "no end"
        }
        var table = Table([
            ("COPIES", .left), ("AT END", .right), ("WORST", .right), ("MEAN", .right), ("P95", .right),
            ("WITHIN", .right),
        ])
        for view in views {
            table.add([
                view.copies + (view.onlyVerified ? ", verified" : ""), text(view.atEndSeconds),
                text(view.worstSeconds), text(view.meanSeconds), text(view.p95Seconds),
                view.withinObjective.map(Self.percent) ?? "-",
            ])
        }
        let aim = objectiveSeconds.map { "objective \(text($0))" } ?? "no objective"
        let note =
            withoutEngine == 0
            ? []
            : ["of the verified points \(withoutEngine) are so by their bytes alone: the engine's checks were skipped"]
        return ["\(ShownText.name(source)) from \(from) to \(to): \(points) recovery points, \(aim)"] + table.lines
            + note
    }

    /// Rounded down, so that only what was kept all the time is called so.
    private static func percent(_ share: Double) -> String {
        let hundredths = Int((share * 10_000).rounded(.down))
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) %"
    }

    var warnings: [String] {
        var warnings = failures.map { "the copy \($0.location) cannot be read: \(ShownText.line($0.message))" }
        warnings += damaged.map { "\($0) is damaged" }
        if forgotten > 0 {
            warnings.append(
                "\(forgotten) snapshots were forgotten, and only those that are still there count, for the past as "
                    + "well; the exposure was this or less")
        }
        if foundDamaged > 0 {
            warnings.append("\(foundDamaged) points were found damaged by a drill and count no more from then on")
        }
        if incomplete > 0 { warnings.append("\(incomplete) snapshots are partial or damaged and count for nothing") }
        if sealed > 0 { warnings.append("\(sealed) snapshots are sealed to other keys and count for nothing") }
        if !seesAllEvidence { warnings.append("not all evidence can be read; more points may be verified") }
        return warnings
    }
}
