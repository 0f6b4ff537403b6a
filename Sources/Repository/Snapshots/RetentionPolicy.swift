// Which snapshots of one source a set of rules keeps.

import Primitives

/// Rules of retention. A snapshot that any rule keeps is kept.
package struct RetentionPolicy: Sendable, Hashable {
    package enum Period: String, Sendable, CaseIterable {
        case hourly, daily, weekly, monthly, yearly
    }

    /// The newest so many.
    package var last = 0
    /// The newest of each of so many hours, days, weeks, months and years in which there is one.
    package var periods: [Period: Int] = [:]
    /// Everything that is not older than this, counted back from the source's newest snapshot.
    package var within: Duration?
    /// Everything with one of these tags; a nil value stands for any.
    package var tags: [(key: String, value: String?)] {
        get { tagRules.map { ($0.key, $0.value) } }
        set { tagRules = newValue.map { TagRule(key: $0.key, value: $0.value) } }
    }

    private struct TagRule: Sendable, Hashable {
        var key: String
        var value: String?
    }

    private var tagRules: [TagRule] = []

    package init() {}

    package var isEmpty: Bool {
        last == 0 && periods.values.allSatisfy { $0 == 0 } && within == nil && tagRules.isEmpty
    }

    /// Why each snapshot is kept, for those that are.
    ///
    /// Time is the store's. Snapshots that are partial or damaged take no place away from good ones: the rules are
    /// applied to the good ones alone and to all of them, and what either keeps is kept.
    package func kept(_ snapshots: [Snapshot], zone: TimeZoneRules) -> [SnapshotID: [String]] {
        var kept = apply(snapshots.filter(\.isGood), zone)
        for (id, reasons) in apply(snapshots, zone) where kept[id] == nil { kept[id] = reasons }
        return kept
    }

    private func apply(_ snapshots: [Snapshot], _ zone: TimeZoneRules) -> [SnapshotID: [String]] {
        let newestFirst = snapshots.sorted { ($0.stored, $0.sequence, $0.id) > ($1.stored, $1.sequence, $1.id) }
        var kept: [SnapshotID: [String]] = [:]
        for snapshot in newestFirst.prefix(max(0, last)) { kept[snapshot.id, default: []].append("last") }
        for period in Period.allCases {
            var left = periods[period] ?? 0
            var current: Int64?
            for snapshot in newestFirst where left > 0 {
                let bucket = Self.bucket(snapshot.stored, period, zone)
                if bucket == current { continue }
                current = bucket
                left -= 1
                kept[snapshot.id, default: []].append(period.rawValue)
            }
        }
        if let within, let newest = newestFirst.first {
            for snapshot in newestFirst where newest.stored.since(snapshot.stored) <= within {
                kept[snapshot.id, default: []].append("within")
            }
        }
        for snapshot in newestFirst {
            let tags = snapshot.record?.tags ?? [:]
            let isTagged = tagRules.contains { rule in
                tags[rule.key].map { rule.value == nil || rule.value == $0 } ?? false
            }
            if isTagged { kept[snapshot.id, default: []].append("tag") }
        }
        return kept
    }

    /// The number of the hour, day, week (from Monday), month or year that an instant is in, local time.
    ///
    /// Hours are counted in UTC from the zone's full hour, so that the hour that a change of clocks repeats counts
    /// twice.
    static func bucket(_ instant: Timestamp, _ period: Period, _ zone: TimeZoneRules) -> Int64 {
        let offset = zone.offset(at: instant)
        let seconds = instant.seconds + offset
        let day = seconds.floorDivided(by: 86_400)
        switch period {
        case .hourly:
            let minutes = offset - offset.floorDivided(by: 3600) * 3600
            return (instant.seconds + minutes).floorDivided(by: 3600)
        case .daily: return day
        // 1970-01-01 was a Thursday.
        case .weekly: return (day + 3).floorDivided(by: 7)
        case .monthly:
            let date = Timestamp.civil(daysSince1970: day)
            return date.year * 12 + date.month
        case .yearly: return Timestamp.civil(daysSince1970: day).year
        }
    }
}

extension Snapshot {
    /// Whether a restore of it gives all that was to be saved.
    package var isGood: Bool {
        guard let record else { return false }
        return !record.flags.contains("partial") && !record.flags.contains("damaged")
    }
}
