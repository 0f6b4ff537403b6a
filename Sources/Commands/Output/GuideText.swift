// What the guide of a restore says, in lines. Nothing here asks, writes or looks at a clock.

import Primitives
import Recovery
import Repository
import Workloads

enum GuideText {
    /// Points of a source that are listed; the others are counted.
    static let mostPoints = 20

    // MARK: What can be recovered

    static func sources(_ overview: RecoveryOverview, isFailureGiven: Bool) -> [String] {
        let said = isFailureGiven ? "as was said" : "now, since --failed-at does not say otherwise"
        var table = Table([
            ("NO", .right), ("SOURCE", .left), ("KIND", .left), ("BACK TO", .left), ("LOST", .right), ("SIZE", .right),
            ("POINTS", .right), ("LAST DRILL", .left),
        ])
        for (place, source) in overview.sources.enumerated() {
            let best = source.best
            table.add([
                "\(place + 1)", ShownText.name(source.name), ShownText.name(source.workload),
                "\(best.record.consistentAsOf)", best.lost.lengthOfTime, "\(ByteCount(best.record.counts.bytes))",
                "\(source.points.count)", drill(source.lastDrill),
            ])
        }
        var lines = ["failure   \(overview.failedAt), \(said)", ""] + table.lines
        if overview.sealed > 0 { lines.append("\(overview.sealed) snapshots are closed to this key") }
        for damaged in overview.damaged {
            lines.append("damaged   \(damaged.object): \(ShownText.line(damaged.error.message))")
        }
        if !overview.seesAllEvidence {
            lines.append("Not all records of drills can be read: more may be proven than is shown.")
        }
        return lines
    }

    private static func drill(_ drill: LastDrill?) -> String {
        guard let drill else { return "none" }
        return "\(drill.passed ? "passed" : "failed") \(day(drill.finished))" + figures(drill)
    }

    private static func figures(_ drill: LastDrill) -> String {
        let bytes = drill.logicalBytes.map { " for \(ByteCount($0))" } ?? ""
        return drill.duration.map { ", \(time($0))\(bytes)" } ?? ""
    }

    static func points(_ source: OfferedSource) -> [String] {
        var table = Table([
            ("NO", .right), ("SNAPSHOT", .left), ("BACK TO", .left), ("LOST", .right), ("SIZE", .right),
            ("STATE", .left),
        ])
        for (place, point) in source.points.prefix(mostPoints).enumerated() {
            table.add([
                "\(place + 1)", "\(point.snapshot.id)", "\(point.record.consistentAsOf)", point.lost.lengthOfTime,
                "\(ByteCount(point.record.counts.bytes))", state(point),
            ])
        }
        var lines = ["", "\(ShownText.name(source.name)) can go back to:", ""] + table.lines
        if let oldest = source.points.last, source.points.count > mostPoints {
            lines.append(
                "and \(source.points.count - mostPoints) older ones, from \(oldest.record.consistentAsOf) on")
        }
        return lines
    }

    static func state(_ point: OfferedPoint) -> String {
        var parts = point.record.flags.map { flag in
            flag == "partial" ? "PARTIAL: \(point.record.unreadableCount) paths could not be read" : flag.uppercased()
        }.map { ShownText.line($0) }
        if parts.isEmpty { parts = ["whole"] }
        if point.isAfterFailure { parts.append("TAKEN AFTER THE FAILURE") }
        switch point.proof {
        case .untried: parts.append("never tried")
        case .proven(let at): parts.append("proven \(day(at))")
        case .failed(let at): parts.append("FAILED ITS CHECKS \(day(at))")
        }
        return parts.joined(separator: ", ")
    }

    // MARK: The choice

    static func choice(_ source: OfferedSource, _ point: OfferedPoint, _ failedAt: Timestamp) -> [String] {
        let record = point.record
        var lines = [
            "", "snapshot  \(point.snapshot.id) of \(ShownText.name(source.name)), \(state(point))",
            "back to   \(record.consistentAsOf)",
        ]
        lines.append(
            point.isAfterFailure
                ? "lost      nothing that was there at \(failedAt); it may hold what went wrong then"
                : "lost      \(point.lost.lengthOfTime) of work: what changed from then until \(failedAt)")
        if record.workload == FilesWorkload.kind {
            lines.append(
                "          and what changed while it was read: one file after the other, until \(record.finished)")
        }
        let best = source.best
        if !point.isWhole || point.isAfterFailure, best.isWhole, best.snapshot.id != point.snapshot.id {
            lines.append("          the better one is \(best.snapshot.id), whole, of \(best.record.consistentAsOf)")
        }
        return lines
    }

    static func expectation(_ expectation: RestoreExpectation, _ source: OfferedSource) -> [String] {
        let estimate = expectation.estimate
        var lines: [String] = []
        if let time = estimate.estimate, estimate.basis == .measured {
            lines.append(
                "expected  \(self.time(time)), measured: the last drill of as much, on the same class of hardware")
        } else if let time = estimate.estimate {
            let interval = zip2(estimate.low, estimate.high).map { ", \(self.time($0)) to \(self.time($1)) in 9 of 10" }
            let scale = estimate.scale.map { ", \(tenths($0)) times the largest" } ?? ""
            lines.append(
                "expected  \(self.time(time))\(interval ?? ""), extrapolated from \(estimate.samples) drills\(scale); "
                    + "confidence \(estimate.confidence.rawValue)")
        } else if expectation.drills == 0 {
            lines.append("expected  unknown: no drill of \(ShownText.name(source.name)) has passed yet")
        } else {
            lines.append(
                "expected  unknown: \(estimate.samples) drills on this class of hardware, none of as much; an "
                    + "estimate takes three of different sizes")
        }
        if let other = expectation.elsewhere, estimate.estimate == nil {
            let took = figures(other).dropFirst()
            lines.append("          a drill on other hardware took\(took) on \(day(other.finished))")
        }
        return lines
    }

    // MARK: The plan

    static func plan(
        _ plan: RestorePlan, _ target: (any Workload)?, _ attempts: IncidentAttempts?, threads: Int
    ) -> [String] {
        var lines = ["", "target    " + (target.map { ShownText.line($0.identity.url) } ?? "not chosen yet: --to URL")]
        lines += plan.lines
        if let transfer = plan.expectedTime(threads: threads) {
            lines.append("transfer  about \(time(transfer)), at the rate of a few pieces read just now")
        }
        if plan.missing > 0 {
            lines.append(
                "missing   \(plan.missing) pieces are in no pack, or their lists are damaged: not all will come")
        }
        if let last = attempts?.broken.last {
            let isFiles = !(target is DumpWorkload || target is CommandTarget)
            let phase = last.facts["phase"].map { " in the phase \(ShownText.line($0))" } ?? ""
            lines.append(
                "resumes   attempt \(attempts?.broken.count ?? 0), of \(last.started), was broken off\(phase); "
                    + (isFiles ? "what it wrote is kept where it is right" : "this one begins anew"))
        }
        if let target {
            if let replaced = replaced(target) { lines.append("REPLACED  \(replaced)") }
            lines.append("checked   \(checks(target))")
        }
        return lines
    }

    /// What stands where a database goes, and is gone afterwards.
    private static func replaced(_ target: any Workload) -> String? {
        guard let database = target as? SQLiteWorkload, let standing = database.standing else { return nil }
        return "\(ShownText.line(database.path)), which stands there: \(standing.size), changed \(standing.changed)"
    }

    private static func checks(_ target: any Workload) -> String {
        switch target {
        case is FilesWorkload: "every byte is read back and held against the snapshot"
        case is SQLiteWorkload: "the engine looks it through before it takes its place; then every byte is read back"
        case is PgdataWorkload: "every file is held against the server's manifest; no server is started over it"
        case is DumpWorkload: "rows and schemas are counted and held against the snapshot"
        default: "every piece on its way; the program must read all and exit 0"
        }
    }

    // MARK: Words

    private static func day(_ instant: Timestamp) -> String { String("\(instant)".prefix { $0 != "T" }) }

    /// Seconds with a place where they are few.
    static func time(_ duration: Duration) -> String {
        duration < .seconds(10) ? "\(tenths(max(0, duration.inSeconds))) s" : duration.lengthOfTime
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((min(value, 1e12) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func zip2(_ one: Duration?, _ other: Duration?) -> (Duration, Duration)? {
        guard let one, let other else { return nil }
        return (one, other)
    }
}
