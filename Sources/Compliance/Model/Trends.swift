// How sizes and restore times went, where they go, and what stands out.

import Primitives
import Recovery

extension Report {
    /// One source over the period, by its recovery points and by the tests that proved it.
    package struct TrendRow: Sendable, Hashable, Codable {
        package var source: String
        package var points: Int64
        package var firstBytes: UInt64?
        package var lastBytes: UInt64?
        package var growth: Growth?
        package var months: [Month]
        package var restores: [Restore]
        package var anomalies: [Anomaly]
    }

    /// A straight line through the sizes, and where it is in 90 days.
    package struct Growth: Sendable, Hashable, Codable {
        package var bytesPerDay: Int64
        package var forecastAt: String
        package var forecastBytes: Int64
        /// Nine of ten values are expected within.
        package var lowBytes: Int64
        package var highBytes: Int64
        /// `low`, `medium` or `high`, by how well the line fits.
        package var confidence: String
        package var rSquaredThousandths: Int64
    }

    package struct Month: Sendable, Hashable, Codable {
        package var month: String
        package var points: Int64
        /// Of the last point of the month.
        package var bytes: UInt64
        /// Sums.
        package var bytesNew: UInt64
        package var bytesStored: UInt64
    }

    package struct Restore: Sendable, Hashable, Codable {
        package var at: String
        package var seconds: Int64
    }

    /// A recovery point that differs from those of the thirty days before it.
    package struct Anomaly: Sendable, Hashable, Codable {
        package var at: String
        /// `size`, `new-bytes`, `compressibility` or `rows`.
        package var kind: String
        /// The table, of `rows`.
        package var object: String
        package var value: Int64
        package var baseline: Int64
    }
}

/// The least squares of points (x, y).
struct Line: Sendable {
    let slope: Double
    let rSquared: Double
    private let meanX: Double
    private let meanY: Double
    private let spreadX: Double
    private let deviation: Double
    private let count: Double

    /// Nil for fewer than three points, or all at one place.
    init?(_ points: [(x: Double, y: Double)]) {
        guard points.count >= 3 else { return nil }
        let n = Double(points.count)
        let meanX = points.reduce(0) { $0 + $1.x } / n
        let meanY = points.reduce(0) { $0 + $1.y } / n
        let sxx = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
        let sxy = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
        let syy = points.reduce(0) { $0 + ($1.y - meanY) * ($1.y - meanY) }
        guard sxx > 0 else { return nil }
        slope = sxy / sxx
        let residual = max(0, syy - slope * sxy)
        // What does not change at all is met by a flat line exactly.
        rSquared = syy > 0 ? 1 - residual / syy : 1
        deviation = (residual / (n - 2)).squareRoot()
        (self.meanX, self.meanY, spreadX, count) = (meanX, meanY, sxx, n)
    }

    func value(at x: Double) -> Double { meanY + slope * (x - meanX) }

    /// Half the width of the interval in which nine of ten values lie, for many points.
    func halfWidth(at x: Double) -> Double {
        let distance = (x - meanX) * (x - meanX) / spreadX
        return 1.645 * deviation * (1 + 1 / count + distance).squareRoot()
    }
}

/// What stands out among values, each held against those of the thirty days before it.
package struct Baseline: Sendable {
    private static let days = Duration.seconds(30 * 86_400)
    /// With fewer there is no baseline.
    private static let least = 7
    /// How many standard deviations away a value stands out, and by what part of the mean at least.
    private static let deviations = 3.0
    private static let leastPart = 0.2

    private var window: [(at: Timestamp, value: Double)] = []
    private var start = 0
    private var sum = 0.0
    private var squares = 0.0

    package init() {}

    /// The mean of the baseline when `value` stands out against it; nil when it does not. Values come in order of time.
    package mutating func judge(_ value: Double, at instant: Timestamp) -> Double? {
        while start < window.count, instant.since(window[start].at) > Self.days {
            sum -= window[start].value
            squares -= window[start].value * window[start].value
            start += 1
        }
        defer {
            window.append((instant, value))
            sum += value
            squares += value * value
        }
        let count = window.count - start
        guard count >= Self.least else { return nil }
        let mean = sum / Double(count)
        let deviation = max(0, squares / Double(count) - mean * mean).squareRoot()
        let distance = abs(value - mean)
        return distance > Self.deviations * deviation && distance > Self.leastPart * abs(mean) ? mean : nil
    }
}

extension SourceFigures {
    private static let ahead: Int64 = 90 * 86_400
    /// Of the points that a row lists; what stands out every day is no surprise any more.
    private static let mostAnomalies = 100

    func trend(_ restores: [Report.Restore]) -> Report.TrendRow {
        let sizes = self.sizes.sorted { ($0.at, $0.bytes) < ($1.at, $1.bytes) }
        return Report.TrendRow(
            source: name, points: Int64(sizes.count), firstBytes: sizes.first?.bytes, lastBytes: sizes.last?.bytes,
            growth: Self.growth(sizes), months: Self.months(sizes), restores: restores,
            anomalies: Array(Self.anomalies(sizes).suffix(Self.mostAnomalies)))
    }

    private static func growth(_ sizes: [Size]) -> Report.Growth? {
        guard let first = sizes.first, let last = sizes.last else { return nil }
        func day(_ at: Timestamp) -> Double { Double(at.seconds - first.at.seconds) / 86_400 }
        guard let line = Line(sizes.map { (day($0.at), Double($0.bytes)) }) else { return nil }
        let then = Timestamp(seconds: last.at.seconds + ahead)
        let (value, half) = (line.value(at: day(then)), line.halfWidth(at: day(then)))
        let confidence =
            line.rSquared >= 0.9 && sizes.count >= 10 ? "high" : line.rSquared >= 0.5 ? "medium" : "low"
        return Report.Growth(
            bytesPerDay: whole(line.slope), forecastAt: then.description, forecastBytes: whole(max(0, value)),
            lowBytes: whole(max(0, value - half)), highBytes: whole(max(0, value + half)), confidence: confidence,
            rSquaredThousandths: whole(line.rSquared * 1000))
    }

    private static func whole(_ value: Double) -> Int64 { Int64(exactly: value.rounded()) ?? (value < 0 ? .min : .max) }

    private static func months(_ sizes: [Size]) -> [Report.Month] {
        var months: [Report.Month] = []
        for size in sizes {
            let name = String(size.at.description.prefix(7))
            if months.last?.month != name {
                months.append(Report.Month(month: name, points: 0, bytes: 0, bytesNew: 0, bytesStored: 0))
            }
            let place = months.count - 1
            months[place].points += 1
            months[place].bytes = size.bytes
            months[place].bytesNew = months[place].bytesNew.addingReportingOverflow(size.bytesNew).partialValue
            months[place].bytesStored = months[place].bytesStored.addingReportingOverflow(size.bytesStored).partialValue
        }
        return months
    }

    /// Below this much new content the ratio says nothing.
    private static let leastNew: UInt64 = 1 << 20

    static func anomalies(_ sizes: [Size]) -> [Report.Anomaly] {
        var found: [Report.Anomaly] = []
        var (bytes, new, ratio) = (Baseline(), Baseline(), Baseline())
        var rows: [String: Baseline] = [:]
        for size in sizes {
            func add(_ kind: String, of object: String = "", _ value: Double, _ mean: Double?) {
                guard let mean else { return }
                found.append(
                    Report.Anomaly(
                        at: size.at.description, kind: kind, object: object, value: whole(value), baseline: whole(mean))
                )
            }
            add("size", Double(size.bytes), bytes.judge(Double(size.bytes), at: size.at))
            add("new-bytes", Double(size.bytesNew), new.judge(Double(size.bytesNew), at: size.at))
            if size.bytesNew >= leastNew {
                // What cannot be compressed any more may have been encrypted by somebody else.
                let part = min(2000, Double(size.bytesStored) / Double(size.bytesNew) * 1000)
                add("compressibility", part, ratio.judge(part, at: size.at))
            }
            for (table, text) in size.rows.sorted(by: { $0.key < $1.key }) {
                guard let count = Double(text) else { continue }
                add("rows", of: table, count, rows[table, default: Baseline()].judge(count, at: size.at))
            }
        }
        return found
    }
}

extension ReportGatherer {
    func trends(_ drills: [Report.DrillRow]) -> [Report.TrendRow] {
        var restores: [String: [Report.Restore]] = [:]
        for drill in drills where drill.counts {
            for member in drill.members where member.isProven {
                guard let seconds = member.rtoMeasuredSeconds else { continue }
                restores[member.source, default: []].append(Report.Restore(at: drill.finished, seconds: seconds))
            }
        }
        return Set(inventory.sources.keys).union(restores.keys).sorted().map { name in
            (inventory.sources[name] ?? SourceFigures(name: name)).trend(restores[name] ?? [])
        }
    }
}
