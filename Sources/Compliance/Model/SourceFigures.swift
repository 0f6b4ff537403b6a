// What is known of one source over a period: what was declared of it, its recovery points, and what was measured.

import Primitives
import Recovery
import Repository

/// The story of one source, from inventories in order of their periods.
struct SourceFigures: Sendable {
    /// As one inventory declares it, for the time that the inventory covers.
    struct Declaration: Sendable {
        var from: Timestamp
        var to: Timestamp
        var rpo: Duration?
        var rto: Duration?
    }

    /// The sizes of a recovery point.
    struct Size: Sendable, Hashable {
        var at: Timestamp
        var bytes: UInt64
        var bytesNew: UInt64
        var bytesStored: UInt64
        var rows: [String: String]
    }

    var name: String
    private(set) var workload = ""
    private(set) var owner: String?
    private(set) var tier: String?
    private(set) var dataClass: String?
    private var described: Timestamp?
    private(set) var declarations: [Declaration] = []
    private(set) var sizes: [Size] = []
    private var points: [SnapshotID: ExposurePoint] = [:]
    private(set) var pointsInPeriod: Int64 = 0
    private(set) var incomplete: Int64 = 0

    init(name: String) { self.name = name }

    mutating func add(_ source: EvidenceSource, of record: EvidenceRecord) {
        if let point = source.newest { know(point) }
        // Links come chain by chain, and what was before the period last of all.
        let isNewest = described.map { $0 <= record.finished } ?? true
        if isNewest {
            described = record.finished
            if !source.workload.isEmpty { workload = source.workload }
        }
        guard source.isDeclared else { return }
        if isNewest { (owner, tier, dataClass) = (source.owner, source.tier, source.dataClass) }
        declarations.append(
            Declaration(
                from: record.started, to: record.finished, rpo: source.rpoObjective, rto: source.rtoObjective))
    }

    /// A point that came in the period of an inventory.
    mutating func add(_ point: EvidencePoint, in period: ReportPeriod) {
        guard know(point), period.contains(point.durableAt) else { return }
        guard point.isGood else {
            incomplete += 1
            return
        }
        pointsInPeriod += 1
        sizes.append(
            Size(
                at: point.durableAt, bytes: point.bytes, bytesNew: point.bytesNew, bytesStored: point.bytesStored,
                rows: point.rows))
    }

    /// Whether it was not known before.
    @discardableResult
    private mutating func know(_ point: EvidencePoint) -> Bool {
        guard points[point.snapshot.id] == nil else { return false }
        guard point.isGood else { return true }
        points[point.snapshot.id] = ExposurePoint(
            consistentAsOf: point.consistentAsOf, availableFrom: point.durableAt)
        return true
    }

    // MARK: Figures

    /// The objectives in the order in which they held, each with when it did from.
    func objectives(in period: ReportPeriod) -> [Report.Objective] {
        var found: [Report.Objective] = []
        for declaration in inOrder where period.overlaps(declaration.from, declaration.to) {
            let objective = Report.Objective(
                from: max(declaration.from, period.from).description, rpoSeconds: declaration.rpo?.secondsUp,
                rtoSeconds: declaration.rto?.secondsUp)
            if let last = found.last, last.rpoSeconds == objective.rpoSeconds, last.rtoSeconds == objective.rtoSeconds {
                continue
            }
            found.append(objective)
        }
        return found
    }

    private var inOrder: [Declaration] { declarations.sorted { ($0.from, $0.to) < ($1.from, $1.to) } }

    /// When it came within the period: nil when it was there before, or from the beginning.
    ///
    /// - Parameter first: The end of the first inventory that is known at all.
    func added(_ period: ReportPeriod, first: Timestamp?) -> Timestamp? {
        guard let begin = inOrder.first, let first, begin.to > first, period.contains(begin.to) else { return nil }
        return begin.to
    }

    /// When it went within the period.
    ///
    /// - Parameter last: The beginning of the last inventory of the period.
    func retired(_ period: ReportPeriod, last: Timestamp?) -> Timestamp? {
        guard let end = declarations.map(\.to).max(), let last, end <= last, period.contains(end) else { return nil }
        return end
    }

    /// The exposure while it was declared.
    func rpo(_ period: ReportPeriod) throws(HoldfastError) -> Report.RPO? {
        guard let begin = inOrder.first, let end = declarations.map(\.to).max() else { return nil }
        var from = max(period.from, begin.from)
        if begin.from >= period.from {
            // Nothing is known of it from before: it counts from its first recovery point on, and from the end of the
            // inventory that first has it at the latest.
            let earliest = points.values.map(\.availableFrom).filter { $0 >= begin.from }.min() ?? begin.to
            from = max(period.from, min(earliest, begin.to))
        }
        let to = min(period.to, end)
        guard from < to else { return nil }
        let known = Array(points.values)
        let whole = try Exposure(of: known, from: from, to: to)
        var (within, withObjective) = (Int128(0), Int128(0))
        var isMet: Bool?
        for (stretch, objective) in stretches(from, to) {
            guard let objective else { continue }
            let part = try Exposure(of: known, from: stretch.from, to: stretch.to)
            within += Int128(part.within(objective).nanosecondsClamped)
            withObjective += Int128(part.period.nanosecondsClamped)
            isMet = (isMet ?? true) && part.worst.map { $0 <= objective } ?? false
        }
        return Report.RPO(
            from: from.description, to: to.description, worstSeconds: whole.worst?.secondsUp,
            meanSeconds: whole.mean?.secondsUp, unprotectedSeconds: whole.unprotected.secondsUp,
            withinMillionths: withObjective > 0 ? Int64(clamping: within * 1_000_000 / withObjective) : nil,
            isMet: isMet)
    }

    /// The time from `from` to `to` by the RPO objective that held; where two hosts declare it, the tighter one.
    private func stretches(
        _ from: Timestamp, _ to: Timestamp
    ) -> [(stretch: TimeCover.Stretch, objective: Duration?)] {
        let all = inOrder
        var bounds = Set([from, to])
        for declaration in all {
            for bound in [declaration.from, declaration.to] where from < bound && bound < to { bounds.insert(bound) }
        }
        let instants = bounds.sorted()
        var stretches: [(stretch: TimeCover.Stretch, objective: Duration?)] = []
        var cursor = 0
        for (start, end) in zip(instants, instants.dropFirst()) {
            while cursor < all.count, all[cursor].to <= start { cursor += 1 }
            var objective: Duration?
            for declaration in all[cursor...] {
                if declaration.from >= end { break }
                guard declaration.to > start, let own = declaration.rpo else { continue }
                objective = min(objective ?? own, own)
            }
            if let last = stretches.last, last.objective == objective, last.stretch.to == start {
                stretches[stretches.count - 1].stretch.to = end
            } else {
                stretches.append((TimeCover.Stretch(from: start, to: end), objective))
            }
        }
        return stretches
    }

    /// The newest point that was there before the period's end.
    func newestPoint(_ period: ReportPeriod) -> Timestamp? {
        points.values.filter { $0.availableFrom < period.to }.map(\.consistentAsOf).max()
    }
}
