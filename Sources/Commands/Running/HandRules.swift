// Whether a job may run now when an operator asks for it.

import Primitives
import Scheduling

/// The rules for runs by hand. Windows, start deadlines and orders to skip are about runs of the schedule.
struct HandRules {
    typealias Refusal = (reason: NonRun.Reason, error: HoldfastError)

    /// All jobs of the directory.
    let jobs: [Job]
    let memories: [JobName: JobMemory]
    let active: [ActiveRun]
    let faults: RepositoryFaults
    let now: Timestamp

    /// Why `job` may not run now, with what an operator can do; nil when it may.
    func refusal(of job: Job) -> Refusal? {
        if let refusal = refusalToRepeat(job) { return refusal }
        for run in active where run.isRunning {
            guard let other = jobs.first(where: { $0.name == run.key.job }), job.overlap(with: other) != nil else {
                continue
            }
            return refused(
                job, .overlap, "\(run.key) is under way", "Wait for its end; `holdfast schedule history` shows it.")
        }
        return nil
    }

    /// Why a run of `job` that failed may not be tried again.
    func refusalToRepeat(_ job: Job) -> Refusal? {
        if !job.isEnabled { return refused(job, .disabled, "it is disabled", "Enable it in its file.") }
        let standing = memories[job.name]?.pause.flatMap { $0.holds(at: now) ? $0 : nil }
        if let reason = standing?.reason ?? (job.pause?.holds(at: now) == true ? job.pause?.reason : nil) {
            return refused(
                job, .paused, "it is paused (\(ShownText.line(reason)))",
                "`holdfast schedule resume \(job.name)` ends that.")
        }
        if let place = job.reach?.silent.sorted().first {
            return refused(
                job, .unreachable, "the repository at \(ShownText.line(place)) does not answer",
                "Look at the mount and its server; `stat` on it should return.")
        }
        if let objection = retention(job).objection {
            let (text, hint) = Self.text(objection, jobs)
            return refused(job, .dependency, text + ", and retention could take the last good snapshot", hint)
        }
        for name in job.after {
            guard memories[name]?.last?.outcome == .succeeded else {
                return refused(
                    job, .dependency, "it comes after \(name), whose newest run has not ended well",
                    "Run `holdfast schedule run \(name)` first.")
            }
        }
        return nil
    }

    private func retention(_ job: Job) -> RetentionRule {
        RetentionRule(
            job, among: jobs, memories: { memories[$0] }, faults: faults,
            isBusy: { name in
                // What waits for another attempt of a disabled job waits for ever.
                let isOff = jobs.first { $0.name == name }?.isEnabled == false
                return active.contains { $0.key.job == name && !(isOff && $0.isWaiting) }
            }, at: now)
    }

    /// What speaks against retention, and what to do about it.
    private static func text(_ objection: RetentionObjection, _ jobs: [Job]) -> (text: String, hint: String) {
        func run(_ name: JobName) -> String {
            let isEnabled = jobs.first { $0.name == name }?.isEnabled ?? true
            return (isEnabled ? "Run" : "Enable it in its file, and run") + " `holdfast schedule run \(name)` first."
        }
        switch objection {
        case .backup(let name): return ("the newest run of \(name) has not ended well", run(name))
        case .noBackup(let name): return ("no run of \(name) is known to have ended well", run(name))
        case .busy(let name):
            return ("a run of \(name) is under way or waits for another attempt", "Wait for its end.")
        case .drill(let name): return ("the newest drill by \(name) has not ended well", run(name))
        case .deadCheck(let name): return ("the newest check by \(name) died", run(name))
        case .check(let check):
            let who = check.job == CheckRecord.byHand ? "a check by hand" : "the check \(check.job)"
            return (
                check.outcome == .checkFailed
                    ? "\(who) found damage that none since has shown to be gone"
                    : "the newest check of its repository (\(who)) has not ended well",
                "Mend the repository, and run `holdfast check --read-data`; `holdfast status` says more."
            )
        }
    }

    private func refused(_ job: Job, _ reason: NonRun.Reason, _ text: String, _ hint: String) -> Refusal {
        (reason, HoldfastError(.busy, "job \(job.name) does not run: \(text)", hint: hint))
    }
}
