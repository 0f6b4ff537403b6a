// The arithmetic of RPO against a model that asks the definition at every nanosecond.

import Primitives
import Recovery
import TestSupport
import Testing

/// L(t) by its definition, for times of a few hundred nanoseconds.
private struct BruteExposure {
    let points: [ExposurePoint]
    let from: Int64
    let to: Int64
    /// Exposures at the beginning of each nanosecond; between them the exposure grows by one.
    let units: [Int64?]

    init(points: [ExposurePoint], from: Int64, to: Int64) {
        self.points = points
        self.from = from
        self.to = to
        units = (from..<to).map { instant in Self.newest(points, instant).map { instant - $0 } }
    }

    /// The newest state at `instant`, as the definition has it.
    static func newest(_ points: [ExposurePoint], _ instant: Int64) -> Int64? {
        points.filter { point in
            point.availableFrom.nanoseconds <= instant && (point.goneFrom?.nanoseconds ?? .max) > instant
        }.map(\.consistentAsOf.nanoseconds).max()
    }

    var worst: Int64? { units.contains(nil) ? nil : units.compactMap { $0 }.map { $0 + 1 }.max() }

    /// Twice the sum of the exposure over time.
    var doubledSum: Int64? {
        units.contains(nil) ? nil : units.compactMap { $0 }.reduce(0) { $0 + 2 * $1 + 1 }
    }

    func within(_ objective: Int64) -> Int64 { Int64(units.compactMap { $0 }.count { $0 + 1 <= objective }) }

    func percentile(_ percent: Int64) -> Int64? {
        // The answer is the exposure at the end of some nanosecond.
        Set(units.compactMap { $0 }).map { $0 + 1 }.sorted().first { within($0) * 100 >= percent * (to - from) }
    }
}

@Suite("Exposure")
struct ExposureTests {
    private static func time(_ nanoseconds: some BinaryInteger) -> Timestamp {
        Timestamp(nanoseconds: Int64(nanoseconds))
    }

    private static func hours(_ hours: Double) -> Timestamp {
        Timestamp(nanoseconds: Int64(hours * 3600) * 1_000_000_000)
    }

    private static func history(_ random: SeededEntropy) -> [ExposurePoint] {
        (0..<Int(random.next() % 12)).map { _ in
            let consistent = Int64(random.next() % 200)
            let available = consistent + Int64(random.next() % 40) - (random.next() % 8 == 0 ? 20 : 0)
            let gone = random.next() % 3 == 0 ? time(available + Int64(random.next() % 120) - 5) : nil
            return ExposurePoint(consistentAsOf: time(consistent), availableFrom: time(available), goneFrom: gone)
        }
    }

    @Test("every figure is that of the definition, on random histories", arguments: UInt64(1)...300)
    func model(seed: UInt64) throws {
        let random = SeededEntropy(seed: seed)
        let points = Self.history(random)
        let from = Int64(random.next() % 150)
        let to = from + 1 + Int64(random.next() % 150)
        let brute = BruteExposure(points: points, from: from, to: to)
        let exposure = try Exposure(of: points, from: Self.time(from), to: Self.time(to))
        for (instant, expected) in zip(from..<to, brute.units) {
            #expect(exposure.at(Self.time(instant))?.nanosecondsClamped == expected, "seed \(seed), at \(instant)")
        }
        #expect(
            exposure.at(Self.time(to))?.nanosecondsClamped == BruteExposure.newest(points, to).map { to - $0 },
            "seed \(seed), end")
        #expect(exposure.worst?.nanosecondsClamped == brute.worst, "seed \(seed)")
        let mean = brute.doubledSum.map { ($0 + (to - from)) / (2 * (to - from)) }
        #expect(exposure.mean?.nanosecondsClamped == mean, "seed \(seed)")
        #expect(exposure.unprotected.nanosecondsClamped == brute.units.count { $0 == nil }, "seed \(seed)")
        for percent in [1, 50, 95, 99, 100] {
            #expect(
                exposure.percentile(percent)?.nanosecondsClamped == brute.percentile(Int64(percent)),
                "seed \(seed), \(percent) %")
        }
        for objective in [0, 1, 17, 60, 300] as [Int64] {
            #expect(
                exposure.within(.nanoseconds(objective)).nanosecondsClamped == brute.within(objective),
                "seed \(seed), objective \(objective)")
        }
    }

    @Test("segments cover the period without gaps and neighbours differ", arguments: UInt64(1)...50)
    func segments(seed: UInt64) throws {
        let random = SeededEntropy(seed: seed)
        let exposure = try Exposure(of: Self.history(random), from: Self.time(20), to: Self.time(260))
        #expect(exposure.segments.first?.from == Self.time(20) && exposure.segments.last?.to == Self.time(260))
        for (one, next) in zip(exposure.segments, exposure.segments.dropFirst()) {
            #expect(one.to == next.from && one.consistentAsOf != next.consistentAsOf, "seed \(seed)")
        }
    }

    @Test("a nightly job that takes two hours loses up to twenty-six, and a day's objective is not met")
    func nightly() throws {
        let points = (0..<10).map { day in
            ExposurePoint(
                consistentAsOf: Self.hours(Double(day) * 24), availableFrom: Self.hours(Double(day) * 24 + 2))
        }
        let exposure = try Exposure(of: points, from: Self.hours(2), to: Self.hours(9 * 24 + 2))
        #expect(exposure.worst == .seconds(26 * 3600))
        #expect(exposure.mean == .seconds(14 * 3600))
        #expect(exposure.percentile(95) == .seconds(Int64(2 * 3600 + 24 * 3600 * 95 / 100)))
        #expect(exposure.within(.seconds(24 * 3600)) == .seconds(9 * 22 * 3600))
        #expect(exposure.share(within: .seconds(26 * 3600)) == 1)
    }

    @Test("a snapshot that was deleted before the next came leaves the one before it")
    func deleted() throws {
        let points = [
            ExposurePoint(consistentAsOf: Self.hours(0), availableFrom: Self.hours(1)),
            ExposurePoint(consistentAsOf: Self.hours(10), availableFrom: Self.hours(11), goneFrom: Self.hours(12)),
        ]
        let exposure = try Exposure(of: points, from: Self.hours(1), to: Self.hours(20))
        #expect(exposure.at(Self.hours(11.5)) == .seconds(5400))
        #expect(exposure.at(Self.hours(12)) == .seconds(12 * 3600))
        #expect(exposure.worst == .seconds(20 * 3600))
    }

    @Test("before there is a point the exposure has no end, and says for how long")
    func unprotected() throws {
        let point = ExposurePoint(consistentAsOf: Self.hours(9), availableFrom: Self.hours(10))
        let exposure = try Exposure(of: [point], from: Self.hours(0), to: Self.hours(100))
        #expect(exposure.worst == nil && exposure.mean == nil)
        #expect(exposure.unprotected == .seconds(10 * 3600))
        #expect(exposure.percentile(90) == .seconds(91 * 3600))
        #expect(exposure.percentile(91) == nil)
    }

    @Test("nothing is saved before it is there, whatever the clocks say")
    func skew() throws {
        let point = ExposurePoint(consistentAsOf: Self.hours(5), availableFrom: Self.hours(3))
        let exposure = try Exposure(of: [point], from: Self.hours(3), to: Self.hours(4))
        #expect(exposure.at(Self.hours(3)) == .zero)
        #expect(exposure.worst == .seconds(3600))
    }

    @Test("a period that is empty, turned round, or over a hundred years is refused")
    func periods() {
        for (from, to) in [(5, 5), (6, 5), (Int64.min, .max), (0, Int64(36_526) * 86_400_000_000_000)] {
            let error = #expect(throws: HoldfastError.self) {
                try Exposure(of: [], from: Self.time(from), to: Self.time(to))
            }
            #expect(error?.code == .usage)
        }
    }

    @Test("each class, and verified points, have the figures of their definition, on random copies", arguments: 1...100)
    func randomViews(seed: UInt64) throws {
        let random = SeededEntropy(seed: seed)
        let points = (0..<Int(random.next() % 8)).map { _ in
            let consistent = Int64(random.next() % 150)
            return CopiedPoint(
                consistentAsOf: Self.time(consistent),
                copies: (0..<Int(random.next() % 4)).map { _ in
                    let durable = consistent + Int64(random.next() % 60) - 5
                    return CopiedPoint.Copy(
                        classes: Set(CopyClass.allCases.filter { _ in random.next() % 2 == 0 }),
                        durableAt: Self.time(durable),
                        goneFrom: random.next() % 3 == 0 ? Self.time(durable + Int64(random.next() % 90)) : nil,
                        verifiedAt: random.next() % 2 == 0 ? Self.time(durable + Int64(random.next() % 50) - 10) : nil)
                })
        }
        for copyClass in [nil] + CopyClass.allCases.map(Optional.some) {
            for onlyVerified in [false, true] {
                let view = ExposureView(copyClass, onlyVerified: onlyVerified)
                let exposure = try Exposure(of: view.points(of: points), from: Self.time(0), to: Self.time(200))
                for instant in Int64(0)..<200 {
                    // What can be recovered at this instant, copy by copy.
                    let states = points.flatMap { point in
                        point.copies.filter { copy in
                            (copyClass.map { copy.classes.contains($0) } ?? true)
                                && copy.durableAt.nanoseconds <= instant
                                && (copy.goneFrom?.nanoseconds ?? .max) > instant
                                && (!onlyVerified || (copy.verifiedAt?.nanoseconds ?? .max) <= instant)
                        }.map { min(point.consistentAsOf.nanoseconds, $0.durableAt.nanoseconds) }
                    }
                    #expect(
                        exposure.at(Self.time(instant))?.nanosecondsClamped == states.max().map { instant - $0 },
                        "seed \(seed), \(view), at \(instant)")
                }
            }
        }
    }

    @Test("each class counts its own copies, and verified points count from the drill on")
    func views() throws {
        let points = [
            CopiedPoint(
                consistentAsOf: Self.hours(0),
                copies: [
                    .init(classes: [.local], durableAt: Self.hours(1)),
                    .init(classes: [.offsite, .immutable], durableAt: Self.hours(4), verifiedAt: Self.hours(6)),
                ]),
            CopiedPoint(
                consistentAsOf: Self.hours(10),
                copies: [
                    .init(classes: [.local], durableAt: Self.hours(11), goneFrom: Self.hours(13)),
                    .init(classes: [.offsite], durableAt: Self.hours(14)),
                ]),
        ]
        func at(_ hour: Double, _ view: ExposureView) throws -> Double? {
            let exposure = try Exposure(of: view.points(of: points), from: Self.hours(0), to: Self.hours(20))
            return exposure.at(Self.hours(hour)).map { Double($0.nanosecondsClamped) / 3.6e12 }
        }
        #expect(try at(12, ExposureView()) == 2)
        #expect(try at(13.5, ExposureView()) == 13.5)
        #expect(try at(14, ExposureView()) == 4)
        #expect(try at(12, ExposureView(.local)) == 2)
        #expect(try at(14, ExposureView(.local)) == 14)
        #expect(try at(13, ExposureView(.offsite)) == 13)
        #expect(try at(15, ExposureView(.offsite)) == 5)
        #expect(try at(15, ExposureView(.immutable)) == 15)
        #expect(try at(3, ExposureView(.immutable)) == nil)
        #expect(try at(5, ExposureView(onlyVerified: true)) == nil)
        #expect(try at(15, ExposureView(onlyVerified: true)) == 15)
        #expect(try at(15, ExposureView(.immutable, onlyVerified: true)) == 15)
        #expect(try at(15, ExposureView(.local, onlyVerified: true)) == nil)
    }
}
