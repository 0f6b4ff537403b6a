// Retention: what each rule keeps, in which time zone, and what it never drops.

import Primitives
import Recovery
import Repository
import TestSupport
import Testing

@Suite("Retention")
struct RetentionTests {
    /// A snapshot stored at an instant of UTC such as `2026-03-29 00:30`.
    private func snapshot(
        _ time: String, _ number: UInt64, flags: [String] = [], tags: [String: String] = [:]
    ) -> Snapshot {
        let stored = Self.instant(time)
        let id = ULID(Bytes16(w0: number, w1: number))
        var record = SnapshotRecord(
            source: "web", workload: "dir", host: "h", toolVersion: "1", runID: id, started: stored)
        record.flags = flags
        record.tags = tags
        return Snapshot(
            tag: SourceTag(Bytes16(w0: 1)), id: id, sequence: number, digest: Bytes32(), previousDigest: Bytes32(),
            epoch: 1, slot: SlotID(Bytes16(w0: 2)), runs: [], stored: stored, record: record)
    }

    static func instant(_ text: String) -> Timestamp {
        let numbers = text.split { !$0.isNumber }.compactMap { Int64($0) }
        let days = Timestamp.days(numbers[0], numbers[1], numbers[2])
        return Timestamp(seconds: days * 86_400 + numbers[3] * 3600 + numbers[4] * 60)
    }

    /// The numbers of those kept, in order.
    private func kept(
        _ snapshots: [Snapshot], _ zone: TimeZoneRules = .utc, _ set: (inout RetentionPolicy) -> Void
    ) -> [UInt64] {
        var policy = RetentionPolicy()
        set(&policy)
        return policy.kept(snapshots, zone: zone).keys.map(\.bytes.w1).sorted()
    }

    /// Central European time as the tz database has it today: only the rule, no list of transitions.
    private func berlin() throws -> TimeZoneRules {
        var file: [UInt8] = []
        for version in [UInt8(0x32), 0x32] {
            file += Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15)
            for count in [0, 0, 0, 0, 1, 4] as [UInt8] { file += [0, 0, 0, count] }
            file += [0, 0, 0x0E, 0x10, 0, 0] + Array("CET\0".utf8)
        }
        file += Array("\nCET-1CEST,M3.5.0,M10.5.0/3\n".utf8)
        return try TimeZoneRules(file, name: "Europe/Berlin")
    }

    @Test("each period keeps the newest snapshot of each of its last buckets")
    func periods() {
        let all = [
            snapshot("2024-12-31 23:00", 1), snapshot("2025-12-31 10:00", 2), snapshot("2025-12-31 11:00", 3),
            snapshot("2026-01-01 10:00", 4), snapshot("2026-01-04 23:59", 5), snapshot("2026-01-05 00:00", 6),
            snapshot("2026-01-05 00:30", 7), snapshot("2026-02-01 00:00", 8),
        ]
        #expect(kept(all) { $0.last = 2 } == [7, 8])
        #expect(kept(all) { $0.periods = [.hourly: 3] } == [5, 7, 8])
        #expect(kept(all) { $0.periods = [.daily: 3] } == [5, 7, 8])
        // 2026-01-05 is a Monday; the week before began on 2025-12-29.
        #expect(kept(all) { $0.periods = [.weekly: 3] } == [5, 7, 8])
        #expect(kept(all) { $0.periods = [.monthly: 3] } == [3, 7, 8])
        #expect(kept(all) { $0.periods = [.yearly: 5] } == [1, 3, 8])
        #expect(kept(all) { $0.within = .seconds(28 * 86_400) } == [5, 6, 7, 8])
        #expect(kept(all) { $0.within = .seconds(27 * 86_400 - 1800) } == [7, 8])
        #expect(kept(all) { $0.periods = [.daily: 1, .yearly: 2] } == [3, 8])
        #expect(kept(all) { _ in }.isEmpty)
    }

    @Test("days begin at local midnight, on both sides of a change of clocks")
    func daysInZones() throws {
        let zone = try berlin()
        #expect(zone.offset(at: Self.instant("2026-03-29 00:59")) == 3600)
        #expect(zone.offset(at: Self.instant("2026-03-29 01:00")) == 7200)
        #expect(zone.offset(at: Self.instant("2026-10-25 00:59")) == 7200)
        #expect(zone.offset(at: Self.instant("2026-10-25 01:00")) == 3600)
        // Local days of the 28th (23:30), the 29th (00:30, then 23:30 in summer time) and the 30th.
        let spring = [
            snapshot("2026-03-28 22:30", 1), snapshot("2026-03-28 23:30", 2), snapshot("2026-03-29 21:30", 3),
            snapshot("2026-03-29 22:30", 4),
        ]
        #expect(kept(spring, zone) { $0.periods = [.daily: 9] } == [1, 3, 4])
        #expect(kept(spring) { $0.periods = [.daily: 9] } == [2, 4])
    }

    @Test("the hour that a change of clocks repeats counts twice")
    func repeatedHour() throws {
        let autumn = [
            snapshot("2026-10-25 00:10", 1), snapshot("2026-10-25 00:50", 2), snapshot("2026-10-25 01:10", 3),
        ]
        #expect(kept(autumn, try berlin()) { $0.periods = [.hourly: 9] } == [2, 3])
    }

    @Test("partial and damaged snapshots take no place away from whole ones")
    func partialSnapshots() {
        let all = [
            snapshot("2026-01-01 10:00", 1), snapshot("2026-01-02 10:00", 2, flags: ["partial"]),
            snapshot("2026-01-02 11:00", 3, flags: ["damaged"]),
        ]
        #expect(kept(all) { $0.last = 1 } == [1, 3])
        #expect(kept(all) { $0.periods = [.daily: 2] } == [1, 3])
    }

    @Test("tags keep, with a value or with any")
    func tags() {
        let all = [
            snapshot("2026-01-01 10:00", 1, tags: ["release": "1"]), snapshot("2026-01-02 10:00", 2, tags: ["a": "b"]),
            snapshot("2026-01-03 10:00", 3, tags: ["release": "2"]),
        ]
        #expect(kept(all) { $0.tags = [("release", nil)] } == [1, 3])
        #expect(kept(all) { $0.tags = [("release", "2"), ("a", "b")] } == [2, 3])
    }

    @Test(
        "zones of the southern hemisphere, of odd minutes and of far rules are computed",
        arguments: [
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-01-15 12:00", 39_600),
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-07-15 12:00", 37_800),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-28 23:59", -7200),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29 02:00", -3600),
            ("EST5EDT,J60,J300", "2028-02-29 12:00", -18_000), ("EST5EDT,J60,J300", "2028-03-01 12:00", -14_400),
            ("EST5", "2026-07-01 12:00", -18_000),
        ])
    func rules(_ rule: String, _ time: String, _ offset: Int64) throws {
        var file: [UInt8] = []
        for _ in 0..<2 {
            file += Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
            for count in [0, 0, 0, 0, 1, 1] as [UInt8] { file += [0, 0, 0, count] }
            file += [0, 0, 0, 0, 0, 0, 0]
        }
        let zone = try TimeZoneRules(file + Array("\n\(rule)\n".utf8), name: "test")
        #expect(zone.offset(at: Self.instant(time)) == offset)
    }

    @Test("a zone outside of the database is refused", arguments: ["../etc/passwd", "/etc/passwd", "", "No/Such"])
    func unknownZone(_ name: String) {
        let error = #expect(throws: HoldfastError.self) { try TimeZoneRules(named: name) }
        #expect(error?.code == .usage || error?.code == .corruptObject)
    }
}
