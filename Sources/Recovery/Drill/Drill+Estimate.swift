// What a recovery of full size would take, by this drill and the earlier ones of the same sources.

import Primitives
import Repository

extension Drill {
    /// Adds an estimate to each member of a drill that passed, as facts of the record; see ``RecoveryEstimate``.
    ///
    /// Nothing fails with it: records that cannot be read are left out, and the estimate says upon how many it rests.
    func estimate(_ recorder: DrillRecorder) {
        let record = recorder.record
        guard record.provesRecovery else { return }
        let earlier = (try? repository.evidence())?.evidence.compactMap(\.record).filter { $0.id != record.id } ?? []
        for member in record.members {
            guard let sizes = member.fullSizes else { continue }
            let samples = (earlier + [record]).flatMap { other in
                other.members.filter { $0.source == member.source }
                    .compactMap { RecoverySample(other, member: $0.name) }
            }
            let estimate = RecoveryEstimate(from: samples, to: sizes, hardware: record.environment.hardware)
            recorder.member(member.name) { $0.facts.merge(estimate.facts) { $1 } }
        }
    }
}

extension EvidenceMember {
    /// The sizes of a full recovery: those that were measured, grown in the proportion of the snapshots.
    var fullSizes: RecoverySizes? {
        func fact(_ name: String) -> UInt64? { facts[name].flatMap { UInt64($0) } }
        guard let storedBytes, let logicalBytes, let own = fact("snapshot.bytes"), let full = fact("full.bytes") else {
            return nil
        }
        func grown(_ bytes: UInt64) -> UInt64 {
            if full == own || own == 0 { return bytes }
            // The sizes are the writer's word, and can be anything.
            return UInt64(exactly: (Double(bytes) / Double(own) * Double(full)).rounded(.down)) ?? .max
        }
        return RecoverySizes(
            storedBytes: grown(storedBytes), logicalBytes: grown(logicalBytes),
            logBytes: max(fact("full.logBytes") ?? 0, logBytes ?? 0))
    }
}

extension RecoveryEstimate {
    /// As a record keeps it: seconds, bounds of the interval, and what they rest upon.
    var facts: [String: String] {
        var facts = [
            "estimate.basis": basis.rawValue, "estimate.confidence": confidence.rawValue,
            "estimate.samples": String(samples),
        ]
        facts["estimate.seconds"] = estimate?.thousandths
        facts["estimate.low90.seconds"] = low?.thousandths
        facts["estimate.high90.seconds"] = high?.thousandths
        facts["estimate.scale"] = scale.flatMap(Self.text)
        facts["estimate.rSquared"] = rSquared.flatMap(Self.text)
        return facts
    }

    /// Two places, rounded down; nil for what is no number of a size that means anything.
    private static func text(_ number: Double) -> String? {
        guard number.isFinite, number >= 0, number < 1e12 else { return nil }
        let hundredths = Int64(number * 100)
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
}

extension Duration {
    /// Seconds with three places.
    fileprivate var thousandths: String {
        let all = nanosecondsClamped / 1_000_000
        let rest = String(all % 1000)
        return "\(all / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }
}
