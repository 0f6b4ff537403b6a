// Which secrets are due: the plan as a value.

import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import Testing

@Suite("The plan of rotations")
struct RotationPlannerTests {
    private let day: Int64 = 86_400
    /// 2026-11-24T13:00:00Z, a Tuesday.
    private let now = Timestamp(seconds: 1_795_525_200)

    private func policy(_ period: Int64 = 30, windows: [String] = []) throws -> RotationPolicy {
        var spans: [Span] = []
        for text in windows { spans.append(try Span(text)) }
        return RotationPolicy(
            name: "p", source: "s", secrets: [], period: .seconds(period * day),
            opening: Opening(windows: spans, blackouts: [], zone: try TimeZoneRules(named: "UTC")))
    }

    private func subject(_ name: String = "app", age days: Double? = nil) -> RotationSubject {
        let age = days.map { now + .seconds(-Int64($0 * Double(day))) }
        return RotationSubject(secret: RotatedSecret(vault: "v", name: name), policy: 0, succeeded: age)
    }

    private func open(_ state: RotationState, _ change: (inout RotationRecord) -> Void = { _ in }) -> RotationRecord {
        var record = RotationRecord(
            id: RotationID(Bytes16(w0: 1, w1: 2)), secret: RotatedSecret(vault: "v", name: "app"), policy: "p",
            strategy: "value-only", trigger: .schedule, reason: nil, actor: "a", began: now)
        record.state = state
        change(&record)
        return record
    }

    @Test("has a secret due one period after its last rotation, else after the making of its version")
    func periods() throws {
        let planner = RotationPlanner(policies: [try policy()])
        #expect(planner.verdict(subject(age: 29), at: now).verdict == .notDue(at: now + .seconds(day)))
        #expect(planner.verdict(subject(age: 30), at: now).verdict == .due)
        var made = subject()
        made.created = now + .seconds(-10 * day)
        #expect(planner.due(made) == now + .seconds(20 * day))
        #expect(planner.verdict(subject(), at: now).verdict == .due, "of which nothing is known")
        made.expires = now + .seconds(3 * day)
        #expect(planner.due(made) == now + .seconds(3 * day), "never after its version's own end")
        for period in [Int64(30), 60, 90] {
            let planner = RotationPlanner(policies: [try policy(period)])
            #expect(planner.due(subject(age: 0)) == now + .seconds(period * day))
        }
    }

    @Test("puts each secret off by a delay of its own, which is the same each time")
    func jitter() throws {
        var policy = try policy()
        policy.jitter = .seconds(day)
        let planner = RotationPlanner(policies: [policy])
        let delays = (0..<50).map { number -> Duration in
            let subject = subject("app/\(number)", age: 0)
            #expect(planner.due(subject) == planner.due(subject))
            return (planner.due(subject) ?? now).since(now + .seconds(30 * day))
        }
        #expect(delays.allSatisfy { $0 >= .zero && $0 < .seconds(day) } && Set(delays).count > 40)
        var other = subject("app/1", age: 0)
        other.secret.vault = "w"
        #expect(planner.due(other) != planner.due(subject("app/1", age: 0)), "the vault counts as well")
    }

    @Test("begins inside a window alone, once for what was missed")
    func windows() throws {
        let planner = RotationPlanner(policies: [try policy(windows: ["22:00-04:00"])])
        let night = Timestamp(seconds: 1_795_557_600)
        #expect(planner.verdict(subject(age: 31), at: now).verdict == .waiting(for: night))
        #expect(planner.verdict(subject(age: 30.2), at: night).verdict == .due)
        // Nobody was there for three nights.
        guard case .overdue(let since) = planner.verdict(subject(age: 33), at: night).verdict else {
            Issue.record("not overdue")
            return
        }
        #expect(since == planner.due(subject(age: 33)))
        let closed = RotationPlanner(policies: [try policy(windows: ["2020-01-01..2020-01-02"])])
        #expect(closed.verdict(subject(age: 31), at: now).verdict == .waiting(for: nil))
    }

    @Test("goes on with what is under way, and not before its time")
    func underWay() throws {
        let planner = RotationPlanner(policies: [try policy()])
        func verdict(_ record: RotationRecord) -> RotationVerdict {
            var subject = subject(age: 1)
            subject.open = record
            return planner.verdict(subject, at: now).verdict
        }
        let later = now + .seconds(60)
        #expect(verdict(open(.staged)) == .resume)
        #expect(verdict(open(.staged) { $0.nextAttempt = later.nanoseconds }) == .later(at: later))
        #expect(verdict(open(.grace) { $0.retireAt = later.nanoseconds }) == .later(at: later))
        #expect(verdict(open(.grace) { $0.retireAt = now.nanoseconds }) == .resume)
        #expect(verdict(open(.verified) { $0.isParked = true }) == .parked)
        var resting = subject(age: 31)
        resting.notBefore = later
        #expect(planner.verdict(resting, at: now).verdict == .later(at: later))
    }

    @Test("of a clock that jumped back rotates nothing again, and of one that jumped ahead each once")
    func clockJumps() throws {
        let planner = RotationPlanner(policies: [try policy()])
        // Rotated in what is the future now.
        #expect(planner.verdict(subject(age: -5), at: now).verdict == .notDue(at: now + .seconds(35 * day)))
        #expect(planner.verdict(subject(age: 400), at: now).verdict.isNow)
    }

    @Test("lists what is due within 7, 3 and 1 days, soonest first")
    func expiring() throws {
        let policy = try policy()
        let planner = RotationPlanner(policies: [policy])
        let ages: [Double] = [10, 22.5, 23.5, 26, 27.5, 28.5, 29.5, 31]
        let planned = planner.plan(ages.map { subject("age-\($0)", age: $0) }, at: now)
        func found(_ within: Duration?) -> [String] {
            ExpiringSecret.all(planned, [policy], within: within, at: now)
                .map { "\($0.planned.subject.secret.name) \($0.level?.lengthOfTime ?? "-")" }
        }
        #expect(
            found(nil) == [
                "age-31.0 1d", "age-29.5 1d", "age-28.5 3d", "age-27.5 3d", "age-26.0 7d", "age-23.5 7d",
            ])
        #expect(found(.seconds(8 * day)).last == "age-22.5 -" && found(.seconds(60)) == ["age-31.0 1d"])
    }

    @Test("of 100,000 secrets has a verdict for each")
    func many() throws {
        var policy = try policy(windows: ["Mon..Fri 08:00-18:00"])
        policy.jitter = .seconds(day)
        let planner = RotationPlanner(policies: [policy])
        let subjects = (0..<100_000).map { subject("app/\($0)", age: Double($0 % 40)) }
        let planned = planner.plan(subjects, at: now)
        let due = planned.count { $0.verdict.isNow }
        #expect(planned.count == 100_000 && due > 20_000 && due < 25_000)
    }
}
