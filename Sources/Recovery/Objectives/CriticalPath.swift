// What a recovery's duration is made of: phases that overlap take less than their sum, and only some of them matter.

import Primitives
import Repository

/// A phase as it was measured, by the clock that never steps.
package struct PhaseSpan: Sendable, Hashable {
    package var name: RecoveryPhase
    package var member: String
    package var start: Duration
    package var end: Duration
    /// Places in the list, of phases that had to end before this one could.
    package var after: [Int]

    package init(_ name: RecoveryPhase, member: String = "", start: Duration, end: Duration, after: [Int] = []) {
        self.name = name
        self.member = member
        self.start = start
        self.end = end
        self.after = after
    }
}

/// The chain of phases that ended last: making any other phase faster changes nothing.
package struct CriticalPath: Sendable, Hashable {
    /// A phase with the time that it alone adds.
    package struct Step: Sendable, Hashable {
        /// The place in the list of spans; nil for time in which nothing of the chain ran.
        package var span: Int?
        package var duration: Duration
    }

    /// In order of time; the durations add up to ``total``.
    package var steps: [Step]
    /// From the first start of the chain to the last end.
    package var total: Duration

    /// Walks back from the span that ends last.
    ///
    /// A phase that ran beside the one that fed it, as decoding does beside fetching, adds only what came after the
    /// feeder's end. Where a phase waits for several, the one that ended last counts; with equal ends the earlier in
    /// the list.
    ///
    /// - Precondition: `after` names earlier places only.
    package init(of spans: [PhaseSpan]) {
        guard var at = spans.indices.max(by: { (spans[$0].end, $1) < (spans[$1].end, $0) }) else {
            self.init(steps: [], total: .zero)
            return
        }
        let end = spans[at].end
        var cursor = end
        var steps: [Step] = []
        while true {
            let span = spans[at]
            let feeder = spans.feeders(of: at).max { (spans[$0].end, $1) < (spans[$1].end, $0) }
            let below = feeder.map { min(spans[$0].end, cursor) }
            // With a feeder that ended later than this phase began, only what came after it counts.
            let from = max(min(span.start, cursor), below ?? .nanoseconds(Int64.min))
            if cursor > from { steps.append(Step(span: at, duration: cursor - from)) }
            guard let feeder, let below else {
                cursor = from
                break
            }
            if from > below { steps.append(Step(span: nil, duration: from - below)) }
            cursor = below
            at = feeder
        }
        self.init(steps: steps.reversed(), total: end - cursor)
    }

    private init(steps: [Step], total: Duration) {
        self.steps = steps
        self.total = total
    }
}

extension [PhaseSpan] {
    /// What a phase had to wait for: what it says, else everything before it that was over when it began, of the same
    /// member or of all. Nothing that ran one after the other is ever taken for work that could be done at once.
    func feeders(of place: Int) -> [Int] {
        let span = self[place]
        precondition(span.after.allSatisfy { $0 < place }, "a phase waits for earlier ones only")
        guard span.after.isEmpty else { return span.after }
        return (0..<place).filter { before in
            let other = self[before]
            return other.end <= span.start
                && (other.member == span.member || other.member.isEmpty || span.member.isEmpty)
        }
    }
}

extension EvidenceRecord {
    /// The measured phases, counted from the record's beginning; those that are declared are left out, and what waits
    /// for them waits for what they wait for.
    ///
    /// - Parameter names: Only phases of these names.
    package func spans(_ names: Set<RecoveryPhase>? = nil) -> [PhaseSpan] {
        var places: [Int: [Int]] = [:]
        var spans: [PhaseSpan] = []
        for (place, phase) in phases.enumerated() {
            let after = phase.after.flatMap { places[Int(clamping: $0)] ?? [] }
            guard case .measured(let start, let duration) = phase.timing, names?.contains(phase.name) ?? true else {
                places[place] = after
                continue
            }
            places[place] = [spans.count]
            let offset = start.since(started)
            spans.append(
                PhaseSpan(
                    phase.name, member: phase.member, start: offset, end: offset + duration,
                    after: Array(Set(after)).sorted()))
        }
        return spans
    }

    /// Technical RTO: from the start of provisioning to the end of validation, on the wall; nil when nothing was
    /// measured.
    package var technicalRTO: Duration? {
        let spans = spans(RecoveryPhase.technical)
        guard let start = spans.map(\.start).min(), let end = spans.map(\.end).max() else { return nil }
        return end - start
    }

    /// Technical RTO and what is declared for detecting, deciding and switching over. The second part is a claim, so
    /// that the sum is never called measured.
    package var serviceRTO: (measured: Duration, declared: Duration)? {
        guard let measured = technicalRTO else { return nil }
        let declared = phases.filter { !$0.isMeasured && RecoveryPhase.declaredOnly.contains($0.name) }
        return (measured, declared.reduce(.zero) { $0 + $1.duration })
    }
}
