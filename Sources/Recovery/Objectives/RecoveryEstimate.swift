// How long a recovery of full size will take, from drills: measured where one was as large, else extrapolated, with an
// interval, and never called measured then.

import Primitives
import Repository

/// The sizes that phases go by.
package struct RecoverySizes: Sendable, Hashable {
    /// What is fetched from the repository.
    package var storedBytes: UInt64
    /// What is written into the target.
    package var logicalBytes: UInt64
    /// Log to replay; for an estimate the most that there is between two full backups.
    package var logBytes: UInt64

    package init(storedBytes: UInt64, logicalBytes: UInt64, logBytes: UInt64) {
        self.storedBytes = storedBytes
        self.logicalBytes = logicalBytes
        self.logBytes = logBytes
    }

    /// What a phase's time is a function of; nil for those that do not depend on any size.
    func size(of phase: RecoveryPhase) -> Double? {
        switch phase {
        case .fetch: Double(storedBytes)
        case .restore: Double(logicalBytes)
        case .replay: Double(logBytes)
        default: nil
        }
    }

    func covers(_ other: RecoverySizes) -> Bool {
        storedBytes >= other.storedBytes && logicalBytes >= other.logicalBytes && logBytes >= other.logBytes
    }
}

/// One drill of one system.
package struct RecoverySample: Sendable, Hashable {
    package var finished: Timestamp
    package var hardware: [String: String]
    package var sizes: RecoverySizes
    /// Those of technical RTO.
    package var spans: [PhaseSpan]

    package init(finished: Timestamp, hardware: [String: String], sizes: RecoverySizes, spans: [PhaseSpan]) {
        self.finished = finished
        self.hardware = hardware
        self.sizes = sizes
        self.spans = spans
    }

    /// The sample that a member of a record gives; nil when it proves nothing or lacks its sizes.
    package init?(_ record: EvidenceRecord, member name: String) {
        guard record.provesRecovery, let member = record.members.first(where: { $0.name == name }),
            member.verdict == .passed, let stored = member.storedBytes, let logical = member.logicalBytes
        else { return nil }
        var only = record
        // Places must hold, so that others' phases stay and count for nothing.
        only.phases = record.phases.map { phase in
            var phase = phase
            if phase.member != name, !phase.member.isEmpty { phase.timing = .declared(.zero) }
            return phase
        }
        let spans = only.spans(RecoveryPhase.technical)
        guard !spans.isEmpty else { return nil }
        self.init(
            finished: record.finished, hardware: record.environment.hardware,
            sizes: RecoverySizes(storedBytes: stored, logicalBytes: logical, logBytes: member.logBytes ?? 0),
            spans: spans)
    }

    var total: Duration {
        (spans.map(\.end).max() ?? .zero) - (spans.map(\.start).min() ?? .zero)
    }
}

/// An estimate with all that says what it is worth.
package struct RecoveryEstimate: Sendable, Hashable {
    package enum Basis: String, Sendable {
        /// A drill on the same class of hardware recovered as much or more; the estimate is what it took.
        case measured
        case extrapolated
    }

    package enum Confidence: String, Sendable {
        /// Fewer than three drills of different sizes: there is no estimate.
        case insufficient, low, medium, high
    }

    /// Nil when confidence is insufficient.
    package var estimate: Duration?
    /// The interval in which nine of ten recoveries are expected; nil for a measured one. It takes every phase at its
    /// own bound at once, so that it is rather too wide.
    package var low: Duration?
    package var high: Duration?
    package var basis: Basis
    package var confidence: Confidence
    /// Drills that it rests upon.
    package var samples: Int
    /// How many times larger the full size is than the largest that was tried, by the worst of the three sizes; nil
    /// when one was never tried.
    package var scale: Double?
    /// The worst of the phases that depend on a size; nil when none does.
    package var rSquared: Double?

    /// - Parameters:
    ///   - samples: Drills of one system, of any hardware; those of another class than `hardware` are left out.
    ///   - sizes: The full size, with the most log that there can be to replay.
    package init(from all: [RecoverySample], to sizes: RecoverySizes, hardware: [String: String]) {
        let samples = all.filter { $0.hardware == hardware && !$0.spans.isEmpty }
        let scale = Self.scale(samples, sizes)
        if let full = samples.filter({ $0.sizes.covers(sizes) }).max(by: { $0.finished < $1.finished }) {
            self.init(
                estimate: full.total, basis: .measured, confidence: .high, samples: 1, scale: scale)
            return
        }
        self.init(
            estimate: nil, basis: .extrapolated, confidence: .insufficient, samples: samples.count, scale: scale)
        // The phases of the latest drill, in its order and with what they wait for.
        guard let shape = samples.max(by: { $0.finished < $1.finished })?.spans, let scale else { return }
        var fits: [PhaseFit] = []
        for span in shape {
            let points = samples.compactMap { sample -> (size: Double, seconds: Double)? in
                guard let same = sample.spans.first(where: { $0.name == span.name }) else { return nil }
                return (sample.sizes.size(of: span.name) ?? 0, Self.work(same, in: sample.spans) / .seconds(1))
            }
            // Nothing to replay at any time, and nothing will be: the size says nothing, and needs to say nothing.
            let size = sizes.size(of: span.name)
            let isConstant = size == nil || (size == 0 && points.allSatisfy { $0.size == 0 })
            guard let fit = PhaseFit(points, isConstant: isConstant) else { return }
            fits.append(fit)
        }
        func total(_ seconds: (PhaseFit, Double) -> Double) -> Duration {
            Self.total(shape, zip(shape, fits).map { span, fit in seconds(fit, sizes.size(of: span.name) ?? 0) })
        }
        estimate = total { fit, size in fit.seconds(at: size) }
        low = total { fit, size in max(0, fit.seconds(at: size) - fit.halfWidth(at: size)) }
        high = total { fit, size in fit.seconds(at: size) + fit.halfWidth(at: size) }
        rSquared = fits.compactMap(\.rSquared).min()
        confidence = Self.confidence(samples.count, scale, rSquared)
    }

    private init(estimate: Duration?, basis: Basis, confidence: Confidence, samples: Int, scale: Double?) {
        self.estimate = estimate
        self.basis = basis
        self.confidence = confidence
        self.samples = samples
        self.scale = scale
    }

    private static func confidence(_ samples: Int, _ scale: Double, _ rSquared: Double?) -> Confidence {
        if scale > 10 || rSquared ?? 1 < 0.8 { return .low }
        return scale <= 2 && samples >= 5 && rSquared ?? 1 >= 0.95 ? .high : .medium
    }

    private static func scale(_ samples: [RecoverySample], _ sizes: RecoverySizes) -> Double? {
        var scale = 0.0
        for path in [\RecoverySizes.storedBytes, \.logicalBytes, \.logBytes] {
            let tried = samples.map { $0.sizes[keyPath: path] }.max() ?? 0
            let wanted = sizes[keyPath: path]
            if wanted == 0 { continue }
            guard tried > 0 else { return nil }
            scale = max(scale, Double(wanted) / Double(tried))
        }
        return scale
    }

    /// The time in which a phase was at work by itself. Beside a feeder that is the slower one a phase only waits; its
    /// own work can't be told from that, so that its time is counted from its beginning to its end.
    private static func work(_ span: PhaseSpan, in spans: [PhaseSpan]) -> Duration { span.end - span.start }

    /// How long it takes when each phase has the seconds given: one that ran beside its feeder begins when that does
    /// and ends no earlier; one that came after it begins at its end.
    private static func total(_ shape: [PhaseSpan], _ seconds: [Double]) -> Duration {
        var times: [(start: Double, end: Double)] = []
        for (place, span) in shape.enumerated() {
            let own = seconds[place]
            var (start, end) = (0.0, 0.0)
            for before in shape.feeders(of: place) {
                if shape[before].end > span.start {
                    start = max(start, times[before].start)
                    end = max(end, times[before].end)
                } else {
                    start = max(start, times[before].end)
                }
            }
            times.append((start, max(end, start + own)))
        }
        return .seconds(times.map(\.end).max() ?? 0)
    }
}
