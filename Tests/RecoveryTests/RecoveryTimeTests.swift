// The arithmetic of RTO: what a recovery's duration hangs on, plans with several workers, estimates from drills.

import Primitives
import Recovery
import Repository
import TestSupport
import Testing

@Suite("Recovery time")
struct RecoveryTimeTests {
    private static func span(
        _ name: RecoveryPhase, _ start: Int, _ end: Int, after: [Int] = [], member: String = ""
    ) -> PhaseSpan {
        PhaseSpan(name, member: member, start: .seconds(start), end: .seconds(end), after: after)
    }

    // MARK: Critical path

    @Test("phases that run beside each other take less than their sum")
    func pipelined() {
        let path = CriticalPath(of: [
            Self.span(.provision, 0, 2), Self.span(.fetch, 2, 12, after: [0]), Self.span(.restore, 3, 14, after: [1]),
            Self.span(.replay, 14, 20, after: [2]), Self.span(.validate, 21, 25, after: [3]),
        ])
        #expect(path.total == .seconds(25))
        #expect(
            path.steps.map(\.duration) == [2, 10, 2, 6, 1, 4].map { Duration.seconds($0) })
        #expect(path.steps.map(\.span) == [0, 1, 2, 3, nil, 4])
    }

    @Test("of several that a phase waits for, the one that ended last counts")
    func joins() {
        let path = CriticalPath(of: [
            Self.span(.restore, 0, 5, member: "vault"), Self.span(.restore, 0, 9, member: "database"),
            Self.span(.validate, 9, 10, after: [0, 1]),
        ])
        #expect(path.steps.map(\.span) == [1, 2])
        #expect(path.total == .seconds(10))
    }

    @Test("what ran one after the other is taken for a sequence, though nothing says so")
    func unsaid() {
        let path = CriticalPath(of: [
            Self.span(.provision, 0, 2), Self.span(.restore, 2, 7), Self.span(.validate, 8, 9),
        ])
        #expect(path.total == .seconds(9))
        #expect(path.steps.map(\.span) == [0, 1, nil, 2])
    }

    @Test("the steps add up to the total, on random histories", arguments: UInt64(1)...100)
    func sums(seed: UInt64) {
        let random = SeededEntropy(seed: seed)
        let spans = (0..<1 + Int(random.next() % 9)).map { place in
            let start = Int(random.next() % 50)
            let after = (0..<place).filter { _ in random.next() % 3 == 0 }
            return Self.span(.restore, start, start + Int(random.next() % 20), after: after)
        }
        let path = CriticalPath(of: spans)
        #expect(path.steps.reduce(.zero) { $0 + $1.duration } == path.total, "seed \(seed)")
        #expect(path.steps.allSatisfy { $0.duration > .zero }, "seed \(seed)")
        let longest = (spans.map(\.end).max() ?? .zero) - (spans.map(\.start).min() ?? .zero)
        #expect(path.total <= longest, "seed \(seed)")
    }

    // MARK: Plans

    @Test("a plan takes the longest way through its graph")
    func plan() throws {
        let tasks = [
            PlanTask("vault", duration: .seconds(10)), PlanTask("database", duration: .seconds(60), after: ["vault"]),
            PlanTask("files", duration: .seconds(40)),
            PlanTask("shop", duration: .seconds(5), after: ["database", "files"]),
        ]
        let wide = try PlanSchedule(tasks, workers: 4)
        #expect(wide.total == .seconds(75))
        #expect(wide.criticalTasks == ["vault", "database", "shop"])
        let narrow = try PlanSchedule(tasks, workers: 1)
        #expect(narrow.total == .seconds(115))
        #expect(narrow.criticalTasks == ["vault", "database", "files", "shop"])
    }

    @Test(
        "no plan is shorter than its longest way or its share of work, and none breaks a rule",
        arguments: UInt64(1)...200)
    func plans(seed: UInt64) throws {
        let random = SeededEntropy(seed: seed)
        let count = 1 + Int(random.next() % 10)
        let workers = 1 + Int(random.next() % 4)
        let tasks = (0..<count).map { place in
            PlanTask(
                "\(place)", duration: .seconds(Int64(random.next() % 30)),
                after: (0..<place).filter { _ in random.next() % 4 == 0 }.map(String.init))
        }
        let plan = try PlanSchedule(tasks, workers: workers)
        let slots = Dictionary(uniqueKeysWithValues: plan.slots.map { ($0.name, $0) })
        #expect(slots.count == count, "seed \(seed)")
        var longest: [String: Duration] = [:]
        for task in tasks {
            let slot = try #require(slots[task.name])
            #expect(slot.end - slot.start == task.duration, "seed \(seed)")
            let before = task.after.compactMap { slots[$0]?.end }.max() ?? .zero
            #expect(slot.start >= before, "seed \(seed): \(task.name) began too early")
            longest[task.name] = (task.after.compactMap { longest[$0] }.max() ?? .zero) + task.duration
        }
        for instant in plan.slots.map(\.start) {
            let running = plan.slots.count { $0.start <= instant && instant < $0.end }
            #expect(running <= workers, "seed \(seed)")
        }
        let path = longest.values.max() ?? .zero
        let work = tasks.reduce(Duration.zero) { $0 + $1.duration }
        #expect(plan.total >= path && plan.total >= work / workers, "seed \(seed)")
        // Graham's bound for list scheduling.
        #expect(plan.total <= work / workers + path, "seed \(seed)")
        if workers >= count { #expect(plan.total == path, "seed \(seed)") }
        let chain = plan.criticalTasks.compactMap { slots[$0] }
        #expect(chain.last?.end == plan.total && chain.first?.start == .zero, "seed \(seed)")
        #expect(zip(chain, chain.dropFirst()).allSatisfy { $0.end == $1.start }, "seed \(seed)")
    }

    @Test(
        "a plan that waits for itself, or for what is not there, is refused",
        arguments: [
            [PlanTask("a", duration: .zero, after: ["b"]), PlanTask("b", duration: .zero, after: ["a"])],
            [PlanTask("a", duration: .zero, after: ["a"])], [PlanTask("a", duration: .zero, after: ["c"])],
            [PlanTask("a", duration: .zero), PlanTask("a", duration: .zero)],
            [PlanTask("a", duration: .seconds(-1))],
        ])
    func rings(tasks: [PlanTask]) {
        let error = #expect(throws: HoldfastError.self) { try PlanSchedule(tasks, workers: 2) }
        #expect(error?.code == .usage)
    }

    // MARK: Estimates

    private static let machine = ["cpu": "4 cores", "disk": "nvme"]

    /// A drill: five seconds to provision, then one second for each unit, with `noise` on the restore.
    private static func sample(
        _ size: UInt64, log: UInt64 = 0, noise: Double = 0, hardware: [String: String] = machine, at day: Int64 = 0
    ) -> RecoverySample {
        let end = 5 + Double(size) + noise
        return RecoverySample(
            finished: Timestamp(seconds: day * 86_400 + Int64(size)), hardware: hardware,
            sizes: RecoverySizes(storedBytes: size, logicalBytes: size, logBytes: log),
            spans: [
                span(.provision, 0, 5),
                PhaseSpan(.fetch, start: .seconds(5), end: .seconds(end - 0.5), after: [0]),
                PhaseSpan(.restore, start: .seconds(5), end: .seconds(end), after: [1]),
                PhaseSpan(.replay, start: .seconds(end), end: .seconds(end + 2 * Double(log)), after: [2]),
                PhaseSpan(
                    .validate, start: .seconds(end + 2 * Double(log)), end: .seconds(end + 2 * Double(log) + 3),
                    after: [3]),
            ])
    }

    private static func sizes(_ size: UInt64, log: UInt64 = 0) -> RecoverySizes {
        RecoverySizes(storedBytes: size, logicalBytes: size, logBytes: log)
    }

    @Test("fewer than three drills of different sizes give no estimate")
    func insufficient() {
        for drills in [[], [10], [10, 20], [10, 20, 20]] as [[UInt64]] {
            let estimate = RecoveryEstimate(
                from: drills.map { Self.sample($0) }, to: Self.sizes(40), hardware: Self.machine)
            #expect(estimate.confidence == .insufficient && estimate.estimate == nil && estimate.high == nil)
            #expect(estimate.basis == .extrapolated)
        }
    }

    @Test("drills of an exact line give it back, phases that overlap counted once")
    func line() throws {
        let samples = [10, 20, 30, 40, 50].map { Self.sample($0, log: $0 / 10) }
        let estimate = RecoveryEstimate(from: samples, to: Self.sizes(100, log: 10), hardware: Self.machine)
        #expect(estimate.basis == .extrapolated)
        #expect(estimate.scale == 2)
        #expect(estimate.confidence == .high)
        // Fetching ends half a second before restoring, and begins with it.
        let seconds = try #require(estimate.estimate) / .seconds(1)
        #expect(abs(seconds - (5 + 100 + 20 + 3)) < 1e-6, "\(seconds)")
        let (low, high) = (try #require(estimate.low) / .seconds(1), try #require(estimate.high) / .seconds(1))
        #expect(abs(high - low) < 1e-3)
    }

    @Test("a drill of full size is measured, and the latest one counts")
    func measured() {
        let samples = [Self.sample(50, noise: 9), Self.sample(50, at: 1), Self.sample(10, at: 2)]
        let estimate = RecoveryEstimate(from: samples, to: Self.sizes(50), hardware: Self.machine)
        #expect(estimate.basis == .measured && estimate.estimate == .seconds(58) && estimate.low == nil)
        #expect(
            RecoveryEstimate(from: samples, to: Self.sizes(51), hardware: Self.machine).basis == .extrapolated)
    }

    @Test("drills on other hardware count for nothing")
    func hardware() {
        let samples = [10, 20, 30, 40].map { Self.sample($0, hardware: ["disk": "tape"]) }
        let estimate = RecoveryEstimate(from: samples, to: Self.sizes(20), hardware: Self.machine)
        #expect(estimate.confidence == .insufficient && estimate.samples == 0)
    }

    @Test("far beyond what was tried, or off the line, confidence is low; a little beyond it is medium")
    func confidence() {
        let exact = [10, 20, 30].map { Self.sample($0) }
        func confidence(_ samples: [RecoverySample], _ size: UInt64) -> RecoveryEstimate.Confidence {
            RecoveryEstimate(from: samples, to: Self.sizes(size), hardware: Self.machine).confidence
        }
        #expect(confidence(exact, 60) == .medium)
        #expect(confidence(exact, 301) == .low)
        let scattered = [(10, 60.0), (20, 0), (30, 70), (40, 5), (50, 40)].map { Self.sample($0, noise: $1) }
        #expect(confidence(scattered, 60) == .low)
        #expect(RecoveryEstimate(from: exact, to: Self.sizes(40, log: 5), hardware: Self.machine).estimate == nil)
    }

    @Test("the interval is that of the textbook")
    func interval() throws {
        // x = 1…5, y = 2.1, 3.9, 6.2, 7.8, 10.1: y = 0.05 + 1.99 x, s² = 0.107 / 3, at 6 with t(3) = 2.353363.
        let samples = [(1, 2.1), (2, 3.9), (3, 6.2), (4, 7.8), (5, 10.1)].map { size, seconds in
            RecoverySample(
                finished: Timestamp(seconds: Int64(size)), hardware: [:], sizes: Self.sizes(UInt64(size)),
                spans: [PhaseSpan(.restore, start: .zero, end: .seconds(seconds))])
        }
        let estimate = RecoveryEstimate(from: samples, to: Self.sizes(6), hardware: [:])
        let middle = try #require(estimate.estimate) / .seconds(1)
        #expect(abs(middle - 11.99) < 1e-9, "\(middle)")
        let half = 2.353363 * (0.107 / 3 * (1 + 0.2 + 9.0 / 10)).squareRoot()
        #expect(abs(try #require(estimate.high) / .seconds(1) - (middle + half)) < 1e-6)
        #expect(abs(try #require(estimate.low) / .seconds(1) - (middle - half)) < 1e-6)
        #expect(estimate.confidence == .high)
    }

    @Test("a record's declared phases are not measured, and what waits for them waits for what is before")
    func declared() throws {
        var record = EvidenceRecord(
            id: ULID(Bytes16()), kind: .incident, occasion: .manual, verdict: .passed, operator: "o",
            toolVersion: "0", runID: ULID(Bytes16()), started: Timestamp(seconds: 100),
            finished: Timestamp(seconds: 200),
            environment: EvidenceEnvironment(host: "h", target: "t", network: "n", account: "a", isSegregated: true))
        #expect(record.technicalRTO == nil && record.serviceRTO == nil)
        record.phases = [
            EvidencePhase(.detect, .declared(.seconds(600))),
            EvidencePhase(.provision, .measured(start: Timestamp(seconds: 101), duration: .seconds(4)), after: [0]),
            EvidencePhase(.decide, .declared(.seconds(300)), after: [1]),
            EvidencePhase(.restore, .measured(start: Timestamp(seconds: 105), duration: .seconds(10)), after: [2]),
            EvidencePhase(.teardown, .measured(start: Timestamp(seconds: 115), duration: .seconds(50)), after: [3]),
        ]
        #expect(record.technicalRTO == .seconds(14))
        #expect(try #require(record.serviceRTO).declared == .seconds(900))
        let spans = record.spans()
        #expect(spans.map(\.name) == [.provision, .restore, .teardown])
        #expect(spans.map(\.after) == [[], [0], [1]])
        #expect(spans[0].start == .seconds(1))
    }
}
