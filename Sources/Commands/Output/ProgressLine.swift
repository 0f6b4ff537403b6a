// The text of a progress line, and the rate that it shows. Nothing here asks a clock or writes.

import Primitives

/// The rate of the last seconds, from readings at known times.
struct Pace {
    /// Readings older than this count no more, so that the rate follows a change of speed.
    static let window = Duration.seconds(10)
    static let maximumReadings = 128

    private var phase = Progress.Phase.starting
    private var readings: [(at: Duration, bytes: UInt64, items: UInt64)] = []

    /// Takes a reading; a new phase begins anew.
    mutating func take(_ values: Progress.Values, at now: Duration) {
        if values.phase != phase {
            phase = values.phase
            readings = []
        }
        readings.append((now, values.bytesDone, values.itemsDone))
        // One reading older than the window stays, so that slow readings have something to be compared with.
        while readings.count > 2, now - readings[1].at >= Self.window || readings.count > Self.maximumReadings {
            readings.removeFirst()
        }
    }

    var bytesPerSecond: Double { rate { $0.bytes } }
    var itemsPerSecond: Double { rate { $0.items } }

    private func rate(_ value: ((at: Duration, bytes: UInt64, items: UInt64)) -> UInt64) -> Double {
        guard let first = readings.first, let last = readings.last, last.at > first.at else { return 0 }
        let amount = Double(value(last)) - Double(value(first))
        return max(0, amount / seconds(last.at - first.at))
    }
}

/// A duration in seconds, for rates.
func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
}

/// Makes the lines.
enum ProgressLine {
    static let barWidth = 20

    /// One line of at most `width` letters.
    ///
    /// - Parameter width: of the terminal, or nil for a plain line without a bar.
    static func text(_ values: Progress.Values, _ pace: Pace, width: Int?) -> String {
        guard let width else { return line(values, pace, bar: nil, amounts: true, items: true) }
        // What fits: the rate and the time that is left are worth more than the bar's length, files and sums.
        let forms: [(bar: Int, amounts: Bool, items: Bool)] = [
            (barWidth, true, true), (barWidth, true, false), (barWidth / 2, true, false), (barWidth / 2, false, false),
            (0, false, false),
        ]
        for form in forms {
            let text = line(values, pace, bar: form.bar, amounts: form.amounts, items: form.items)
            if text.count < width { return text }
        }
        return String(line(values, pace, bar: 0, amounts: false, items: false).prefix(max(0, width - 1)))
    }

    private static func line(
        _ values: Progress.Values, _ pace: Pace, bar: Int?, amounts: Bool, items: Bool
    ) -> String {
        var parts = [name(of: values.phase)]
        if let fraction = fraction(of: values) {
            let percent = "\(Int(fraction * 100))%"
            parts.append(bar.map { $0 > 0 ? Self.bar(fraction, $0) + " " + percent : percent } ?? percent)
        }
        if amounts, values.bytesDone > 0 || values.bytesTotal > 0 {
            let done = ByteCount(values.bytesDone).description
            parts.append(values.bytesTotal > 0 ? "\(done) of \(ByteCount(values.bytesTotal))" : done)
        }
        if items, values.itemsDone > 0 || values.itemsTotal > 0 {
            parts.append(
                values.itemsTotal > 0
                    ? "\(values.itemsDone) of \(values.itemsTotal) items" : "\(values.itemsDone) items")
        }
        if pace.bytesPerSecond >= 1 { parts.append("\(ByteCount(UInt64(pace.bytesPerSecond)))/s") }
        if let left = remaining(values, pace) { parts.append(clockText(left) + " left") }
        return parts.joined(separator: "  ")
    }

    /// What is done of the whole, 0 to 1; nil while the whole is not known.
    static func fraction(of values: Progress.Values) -> Double? {
        if values.bytesTotal > 0 { return min(1, Double(values.bytesDone) / Double(values.bytesTotal)) }
        if values.itemsTotal > 0 { return min(1, Double(values.itemsDone) / Double(values.itemsTotal)) }
        return nil
    }

    /// Seconds until the phase ends at this pace; nil when nobody can tell.
    static func remaining(_ values: Progress.Values, _ pace: Pace) -> UInt64? {
        func time(_ done: UInt64, _ total: UInt64, _ rate: Double) -> UInt64? {
            guard total > done, rate > 0 else { return nil }
            let left = Double(total - done) / rate
            return left < 1e9 ? UInt64(left.rounded(.up)) : nil
        }
        return values.bytesTotal > 0
            ? time(values.bytesDone, values.bytesTotal, pace.bytesPerSecond)
            : time(values.itemsDone, values.itemsTotal, pace.itemsPerSecond)
    }

    private static func bar(_ fraction: Double, _ width: Int) -> String {
        let filled = Int(fraction * Double(width))
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "]"
    }

    /// `0:07`, `12:30`, `3:05:00`.
    static func clockText(_ seconds: UInt64) -> String {
        func two(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let hours = seconds / 3600
        let minutes = seconds / 60 % 60
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(seconds % 60))" : "\(minutes):\(two(seconds % 60))"
    }

    static func name(of phase: Progress.Phase) -> String {
        switch phase {
        case .starting: "starting"
        case .loadingIndex: "loading the index"
        case .scanning: "scanning"
        case .backingUp: "backing up"
        case .planning: "planning"
        case .restoring: "restoring"
        case .comparing: "comparing"
        case .checking: "checking"
        case .collecting: "collecting"
        case .repacking: "repacking"
        case .deleting: "deleting"
        case .copying: "copying"
        case .rebuilding: "rebuilding"
        case .committing: "committing"
        case .replaying: "starting the server"
        case .validating: "validating"
        case .finished: "finished"
        }
    }
}
