// What speaks against thinning out.

import Primitives
import Scheduling
import Testing

@Suite("Retention")
struct RetentionRuleTests {
    private let start = Timestamp(seconds: 1_799_971_200)
    private let forget = RetentionRuleTests.job("forget", .forget(sources: ["shop"], prune: true))

    private static func job(_ name: String, _ action: JobAction, _ change: (inout Job) -> Void = { _ in }) -> Job {
        var job = Job(
            name: JobName(name), action: action, schedule: Schedule(text: "every", rule: .every(3600), zone: .utc))
        change(&job)
        return job
    }

    private func backup(_ name: String, _ sources: [String] = ["shop"], isEnabled: Bool = true) -> Job {
        Self.job(name, .backup(sources: sources)) { $0.isEnabled = isEnabled }
    }

    /// A job whose newest run ended so, `hour` hours after the start.
    private func memory(_ outcome: RunOutcome, _ hour: Int64, after good: Int64? = nil) -> JobMemory {
        func ended(_ outcome: RunOutcome, _ hour: Int64) -> JobMemory.Ended {
            let began = start + .seconds(hour * 3600)
            return JobMemory.Ended(scheduled: began, began: began, ended: began + .seconds(60), outcome: outcome)
        }
        var memory = JobMemory(through: start + .seconds(hour * 3600))
        memory.last = ended(outcome, hour)
        memory.lastSuccess = outcome == .succeeded ? memory.last : good.map { ended(.succeeded, $0) }
        return memory
    }

    private func check(
        _ outcome: RunOutcome, _ token: Int64, at place: String? = "/main", _ extent: CheckExtent = .everything
    ) -> CheckRecord {
        CheckRecord(
            job: JobName("check"), note: CheckNote(extent, repository: place), outcome: outcome, began: token * 2,
            noted: token * 2 + 1, ended: start)
    }

    private func objection(
        _ others: [Job], _ memories: [String: JobMemory], checks: [CheckRecord] = [], busy: String? = nil,
        forget: Job? = nil
    ) -> RetentionObjection? {
        let jobs = others + [forget ?? self.forget]
        return RetentionRule(
            forget ?? self.forget, among: jobs, memories: { memories[$0.description] },
            faults: RepositoryFaults(checks, jobs: jobs), isBusy: { $0.description == busy },
            at: start + .seconds(100 * 3600)
        ).objection
    }

    @Test("waits for a backup that is due, and does not run after one that failed, unless another was good since")
    func backups() {
        let (one, other) = (backup("one"), backup("other", ["shop", "web"]))
        #expect(objection([one], [:]) == .noBackup(one.name))
        #expect(objection([one], ["one": memory(.succeeded, 1)]) == nil)
        #expect(objection([one], ["one": memory(.succeeded, 1)], busy: "one") == .busy(one.name))
        for outcome in RunOutcome.allCases where outcome != .succeeded {
            #expect(objection([one], ["one": memory(outcome, 2, after: 1)]) == .backup(one.name))
        }
        let both = [one, other]
        #expect(objection(both, ["one": memory(.failed, 2), "other": memory(.succeeded, 3)]) == nil)
        #expect(objection(both, ["one": memory(.failed, 2), "other": memory(.succeeded, 1)]) == .backup(one.name))
        #expect(objection(both, ["other": memory(.succeeded, 1)]) == nil)
        // One that began before the other failed may have the same fault.
        var early = memory(.succeeded, 2)
        early.last?.ended = start + .seconds(9 * 3600)
        #expect(objection(both, ["one": memory(.failed, 2), "other": early]) == .backup(one.name))
        // Each source by itself.
        let web = Self.job("forget", .forget(sources: ["shop", "web"], prune: true))
        let memories = ["one": memory(.succeeded, 3), "other": memory(.failed, 2)]
        #expect(objection(both, memories) == nil)
        #expect(objection(both, memories, forget: web) == .backup(other.name))
    }

    @Test("is not held up by a job that is disabled and never ran, and is by its failure until a backup is good")
    func disabled() {
        let (old, one) = (backup("old", isEnabled: false), backup("one"))
        #expect(objection([old, one], ["one": memory(.succeeded, 1)]) == nil)
        #expect(objection([old], [:]) == nil)
        #expect(objection([old], ["old": memory(.failed, 1)]) == .backup(old.name))
        #expect(objection([old, one], ["old": memory(.failed, 1), "one": memory(.succeeded, 2)]) == nil)
    }

    @Test("a good backup under a clock that ran ahead makes up for no failure")
    func ahead() {
        let memories = ["one": memory(.failed, 2), "other": memory(.succeeded, 10_000)]
        #expect(objection([backup("one"), backup("other")], memories) == .backup(JobName("one")))
    }

    @Test("does not run while damage of its repository is known, or its newest check did not end well")
    func checks() {
        var own = forget
        own.reach = JobReach(parts: [.init(source: "shop", repository: "/main")], repositories: ["/main"])
        func found(_ checks: [CheckRecord]) -> RetentionObjection? { objection([], [:], checks: checks, forget: own) }
        let damage = check(.checkFailed, 1)
        #expect(found([damage]) == .check(damage))
        #expect(found([damage, check(.succeeded, 2, .structure)]) == .check(damage))
        #expect(found([damage, check(.succeeded, 2)]) == nil)
        #expect(found([check(.checkFailed, 1, at: "/far")]) == nil)
        let unplaced = check(.checkFailed, 1, at: nil)
        #expect(found([unplaced]) == .check(unplaced))
        for outcome in [RunOutcome.failed, .partial, .timedOut, .died] {
            let bad = check(outcome, 2)
            #expect(found([check(.succeeded, 1), bad]) == .check(bad))
            #expect(found([bad, check(.succeeded, 3, .structure)]) == nil)
        }
        #expect(found([check(.succeeded, 1), check(.stopped, 2)]) == nil)
        // Nor does one that was broken off make up for the one before it.
        let failed = check(.timedOut, 1)
        #expect(found([failed, check(.stopped, 2)]) == .check(failed))
        // By another path of the same place.
        let mount = RepositorySite(path: "/mount", marks: ["disk 1"])
        own.reach = JobReach(parts: [], repositories: [mount])
        var checking = Self.job("check", .check(.everything))
        checking.reach = JobReach(parts: [], repositories: [RepositorySite(path: "/main", marks: ["disk 1"])])
        #expect(objection([checking], [:], checks: [damage], forget: own) == .check(damage))
        checking.reach = JobReach(parts: [], repositories: [RepositorySite(path: "/main", marks: ["disk 2"])])
        #expect(objection([checking], [:], checks: [damage], forget: own) == nil)
    }

    @Test("does not run while the newest check by a job died, which left no word of its own")
    func deadCheck() {
        let check = Self.job("check", .check(.everything))
        var dead = memory(.died, 5)
        dead.verdict = dead.last
        #expect(objection([check], ["check": dead]) == .deadCheck(check.name))
        var stopped = memory(.stopped, 6)
        stopped.verdict = dead.last
        #expect(objection([check], ["check": stopped]) == .deadCheck(check.name))
        var good = memory(.succeeded, 7)
        good.verdict = good.last
        #expect(objection([check], ["check": good]) == nil)
        #expect(objection([Self.job("check", .check(.everything)) { $0.isEnabled = false }], ["check": dead]) == nil)
        var (far, own) = (check, forget)
        far.reach = JobReach(parts: [], repositories: ["/far"])
        own.reach = JobReach(parts: [.init(source: "shop", repository: "/main")], repositories: ["/main"])
        #expect(objection([far], ["check": dead], forget: own) == nil)
    }

    @Test("does not run while the newest drill of a source failed")
    func drills() {
        let jobs = [backup("one"), Self.job("weekly", .drill(plan: "shop")), Self.job("web", .drill(plan: "web"))]
        let good = memory(.succeeded, 3)
        for outcome in RunOutcome.allCases {
            let found = objection(jobs, ["one": good, "weekly": memory(outcome, 2)])
            #expect(found == (outcome.isGood || outcome.isByOrder ? nil : .drill(JobName("weekly"))), "\(outcome)")
        }
        #expect(objection(jobs, ["one": good, "web": memory(.checkFailed, 2)]) == nil)
        // One that somebody broke off does not make up for the one before it.
        for order in [RunOutcome.stopped, .replaced] {
            var broken = memory(order, 5)
            broken.verdict = memory(.checkFailed, 2).last
            #expect(objection(jobs, ["one": good, "weekly": broken]) == .drill(JobName("weekly")))
            broken.verdict = memory(.succeeded, 2).last
            #expect(objection(jobs, ["one": good, "weekly": broken]) == nil)
        }
    }

    @Test("the planner and further attempts go by what checks found")
    func planner() {
        let due = start + .seconds(3600)
        let jobs = [forget, backup("one")]
        let memories = [JobName("one"): memory(.succeeded, 0)]
        let key = RunKey(job: forget.name, scheduled: due)
        var planner = RunPlanner(jobs: jobs, memories: memories, active: [], host: "host", at: due)
        #expect(planner.verdict(on: key, delay: .zero, at: due).verdict == .start)
        planner.update(memories: memories, active: [], checks: [check(.checkFailed, 1)])
        #expect(planner.verdict(on: key, delay: .zero, at: due).verdict == .refuse(.dependency))
        let waiting = ActiveRun(key: key, trigger: .schedule, phase: .waiting(until: due), attempt: 1, began: due)
        planner.update(memories: memories, active: [waiting])
        #expect(planner.verdict(on: key, delay: .zero, at: due).verdict == .wait(until: due + .seconds(60)))
        planner.update(memories: memories, active: [], checks: [check(.checkFailed, 1), check(.succeeded, 2)])
        #expect(planner.verdict(on: key, delay: .zero, at: due).verdict == .start)
    }
}
