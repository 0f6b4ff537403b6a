// One run of a job, from its claim to its completion: the one code path of the daemon, of timers and of operators.

import Glibc
import Logging
import Primitives
import Scheduling
import State
import Synchronization

/// Runs a job in child processes of its own.
///
/// It belongs into a process of its own (`holdfast schedule run`): what a run does to its process, its descriptors or
/// its
/// memory is then the run's alone, and all processes below that one are the run's.
package struct JobRunner: Sendable {
    /// What is looked at of one output of a child. Reports of verbs are far smaller.
    package static let maximumCapture = 1 << 20
    /// Between two tries to reach a store that is locked or full; doubled up to the other.
    private static let firstWait = Duration.milliseconds(200)
    private static let longestWait = Duration.seconds(10)
    /// The longest one between two tries to renew a lease: it is to be held again soon.
    private static let longestRenewalWait = Duration.seconds(2)
    /// For how long a process that is to end tries to write an end that is nowhere. Shorter than what it is given.
    private static let lastPatience = Duration.seconds(30)
    private static let passwordFile = "HOLDFAST_PASSWORD_FILE"
    /// Runs that are stopped before their ends, as by a daemon that ends, begin so much oftener than their jobs say.
    package static let resumptions = 3

    package struct Settings: Sendable {
        /// This program.
        package var program: String
        /// Options that every verb of this program gets: the configuration and the state directory.
        package var globals: [String] = []
        /// How long a run is held without a sign of life. Renewed at a third of it.
        package var lease = Burial.lease
        /// From SIGTERM to SIGKILL.
        package var grace = Duration.seconds(10)
        /// For how long the end of a run is tried to be written that is beside the store already.
        package var patience = Duration.seconds(120)
        package var scrubber = SecretScrubber()
        /// The password of the repository, when it was in the environment.
        package var password: SecretBytes?
        /// Whether all processes below this one are the run's, and are ended with it.
        package var ownsDescendants = false
        package var host: String
        /// Where the ends of runs are put that cannot be written into the store.
        package var spool: OutcomeSpool

        package init(program: String, host: String, spool: OutcomeSpool) {
            self.program = program
            self.host = host
            self.spool = spool
        }
    }

    private let store: any RunStore & AlertStore
    private let settings: Settings
    private let runner: any ProcessRunner
    private let clock: any Clock
    private let cancellation: Cancellation
    private let logger: Logger

    package init(
        _ store: any RunStore & AlertStore, _ settings: Settings, runner: any ProcessRunner, clock: any Clock,
        cancellation: Cancellation, logger: Logger
    ) {
        self.store = store
        self.settings = settings
        self.runner = runner
        self.clock = clock
        self.cancellation = cancellation
        self.logger = logger
    }

    /// Runs one attempt of `job` under `key`.
    ///
    /// - Returns: How it ended; ``RunCompletion/retryAt`` when there is to be another attempt.
    /// - Throws: `.runTaken` when the run is another's or has ended; `.busy` while another run of the job is under way;
    ///   `.leaseLost` when it was taken away in the meantime, and what was done is not recorded as its end.
    package func run(_ job: Job, _ key: RunKey, _ trigger: RunTrigger) throws(HoldfastError) -> RunCompletion {
        let type = JobTypes.type(of: job.action)
        let steps = try type.steps(of: job)
        let (claim, room) = try claim(key, trigger)
        log(.notice, "run began", key, ["attempt": "\(claim.attempt)", "fence": "\(claim.fence)"])
        let stop = Cancellation()
        let lost = Mutex<HoldfastError?>(nil)
        let renewal = JoinableThread {
            renew(claim, until: stop) { error in
                lost.withLock { $0 = error }
                cancellation.raise()
            }
        }
        var completion = renewal == nil ? withoutRenewal(job, claim) : carryOut(job, type, steps, claim, trigger)
        if case .check(let budget) = job.action, completion.check == nil {
            completion.check = note(job, budget, completion.outcome, memory: nil)
        }
        completion.kind = job.action.kind
        // Until its end is written the run is ours, and is renewed.
        let failure = lost.withLock { $0 } ?? write(completion, of: claim, in: room)
        stop.raise()
        renewal?.join()
        if let failure { throw failure }
        let level: Logger.Level = completion.outcome == .succeeded ? .notice : .error
        log(level, "run ended", key, ["outcome": "\(completion.outcome.rawValue)", "code": "\(completion.code ?? "")"])
        return completion
    }

    /// Takes the run, and before that room for its end; a store that is locked or full is tried again for as long as
    /// for an end.
    private func claim(
        _ key: RunKey, _ trigger: RunTrigger
    ) throws(HoldfastError) -> (claim: RunClaim, room: OutcomeRoom) {
        let holder = HolderProcess.own(host: settings.host)
        let deadline = clock.uptime() + settings.patience
        var wait = Self.firstWait
        while true {
            do throws(HoldfastError) {
                let room = try settings.spool.reserve()
                let claim = try store.begin(key, trigger, holder: holder, lease: settings.lease, at: clock.now())
                return (claim, room)
            } catch {
                guard error.retry == .later, clock.uptime() + wait < deadline, !cancellation.isRaised else {
                    throw error
                }
                log(.warning, "the run was not taken yet", key, ["error": "\(error.message)"])
                clock.sleep(for: wait, unless: cancellation)
                wait = min(wait * 2, Self.longestWait)
            }
        }
    }

    /// Nobody may work on a run whose lease nobody renews.
    private func withoutRenewal(_ job: Job, _ claim: RunClaim) -> RunCompletion {
        var completion = RunCompletion(
            .failed, code: ErrorCode.processFailed.rawValue, message: "there is no thread to renew its lease with")
        completion.retryAt = retry(job, claim, .processFailed, .later)
        return completion
    }

    // MARK: The work

    private func carryOut(
        _ job: Job, _ type: any JobType, _ steps: [JobStep], _ claim: RunClaim, _ trigger: RunTrigger
    ) -> RunCompletion {
        let deadline = job.runDeadline.map { clock.uptime() + $0 }
        var completion = RunCompletion(.succeeded)
        for step in steps {
            let left = deadline.map { max(.zero, $0 - clock.uptime()) }
            let end: StepEnd
            do throws(HoldfastError) {
                end = try carryOut(step, job, claim, timeout: left)
            } catch {
                let isStopped = error.code == .interrupted
                completion = RunCompletion(
                    isStopped ? .stopped : .failed, code: error.code.rawValue, message: error.message)
                completion.retryAt =
                    isStopped ? resumption(job, claim, trigger) : retry(job, claim, error.code, error.retry)
                return scrubbed(completion)
            }
            let reading = type.reading(end, of: step)
            completion.outcome = reading.outcome
            completion.code = reading.code?.rawValue
            completion.message = reading.message
            if case .check(let budget) = job.action {
                completion.check = note(job, budget, reading.outcome, memory: reading.memory)
            }
            let scrubber = settings.scrubber
            completion.output += scrubber.tail(
                end.output, limit: RunCompletion.maximumOutput, isCut: end.output.count >= Self.maximumCapture)
            completion.errors += scrubber.tail(
                end.errors, limit: RunCompletion.maximumOutput, isCut: end.errors.count >= RunCompletion.maximumOutput)
            guard reading.outcome == .succeeded else {
                completion.retryAt =
                    reading.outcome == .stopped
                    ? resumption(job, claim, trigger) : retry(job, claim, reading.code ?? .processFailed, reading.retry)
                break
            }
        }
        completion.output = String(completion.output.suffix(RunCompletion.maximumOutput))
        completion.errors = String(completion.errors.suffix(RunCompletion.maximumOutput))
        return scrubbed(completion)
    }

    private func note(_ job: Job, _ budget: CheckBudget, _ outcome: RunOutcome, memory: String?) -> CheckNote {
        CheckNote(budget, outcome, repository: (job.reach?.repositories.first ?? nil)?.path, memory: memory)
    }

    private func scrubbed(_ completion: RunCompletion) -> RunCompletion {
        var clean = completion
        clean.message = completion.message.map { settings.scrubber.scrub($0) }
        return clean
    }

    private func retry(_ job: Job, _ claim: RunClaim, _ code: ErrorCode, _ retry: RetryClass) -> Timestamp? {
        job.retries.wait(beforeAttempt: claim.attempt + 1, after: code, retry).map { clock.now() + $0 }
    }

    /// A run of the schedule that was stopped before its end is due still: whoever runs jobs then goes on with it. Who
    /// ended it for another run says so in the store.
    private func resumption(_ job: Job, _ claim: RunClaim, _ trigger: RunTrigger) -> Timestamp? {
        guard trigger == .schedule, claim.attempt < job.retries.attempts + Self.resumptions, job.isEnabled else {
            return nil
        }
        let now = clock.now()
        // Whoever pauses a job and then ends its run wants it to be over. A store that cannot say holds nothing up.
        let ordered = (try? store.memories(of: [job.name], at: now))?[job.name]?.pause
        if job.pause?.holds(at: now) == true || ordered?.holds(at: now) == true { return nil }
        return now
    }

    private func carryOut(
        _ step: JobStep, _ job: Job, _ claim: RunClaim, timeout: Duration?
    ) throws(HoldfastError) -> StepEnd {
        var changes = [
            RunMark.run: claim.key.description, RunMark.fence: "\(claim.fence)",
            RunMark.state: "\(store.identity)", "HOLDFAST_ATTEMPT": "\(claim.attempt)",
        ]
        if case .check = job.action { changes[RunMark.check] = "\(claim.fence)" }
        let words: [String]
        var secret: HandedSecret?
        switch step.program {
        case .other(let own):
            words = own
            // Its own in place of one that goes with a daemon which may be killed.
            if let password = settings.password, let path = ProcessEnvironment.value(Self.passwordFile),
                HandedPassword.isHanded(path)
            {
                secret = try HandedSecret(password)
                changes[Self.passwordFile] = secret?.path
            }
        case .own(let own):
            words =
                [settings.program] + own.prefix(1) + settings.globals
                + (job.repository.map { ["--repo", $0] } ?? []) + own.dropFirst()
            if let password = settings.password {
                secret = try HandedSecret(password)
                changes[Self.passwordFile] = secret?.path
            }
        }
        defer { withExtendedLifetime(secret) {} }
        var request = ProcessRequest(words)
        request.environment = ProcessEnvironment.lines(setting: changes)
        request.timeout = timeout
        request.grace = settings.grace
        let process = try runner.start(request, cancellation: cancellation)
        // What left the group of the child may hold its output open; it is ended as soon as the child has ended.
        let (settings, clock) = (settings, clock)
        let sweeper = JoinableThread {
            _ = process.wait()
            if settings.ownsDescendants { Descendants.end(grace: .seconds(2), clock: clock) }
        }
        var tail = TailBuffer(limit: Self.maximumCapture)
        let failure = drain(process, into: &tail)
        sweeper?.join()
        let result = process.wait()
        if let failure { throw failure }
        return StepEnd(result: result, output: tail.tail, errors: process.errorTail)
    }

    private func drain(_ process: any RunningProcess, into tail: inout TailBuffer) -> HoldfastError? {
        do throws(HoldfastError) {
            try withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) {
                (buffer) throws(HoldfastError) in
                while true {
                    let count = try process.read(into: buffer)
                    guard count > 0 else { return }
                    tail.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
            }
            return nil
        } catch {
            process.terminate()
            return error
        }
    }

    // MARK: The store

    /// Renews the lease until `stop`. A store that cannot be reached is tried again soon; one that says that the run is
    /// not ours any more ends the run.
    private func renew(_ claim: RunClaim, until stop: Cancellation, lost: (HoldfastError) -> Void) {
        var wait: Duration?
        while !stop.isRaised {
            clock.sleep(for: wait ?? settings.lease / 3, unless: stop)
            if stop.isRaised { return }
            do throws(HoldfastError) {
                try store.renew(claim, lease: settings.lease)
                if wait != nil { log(.notice, "the lease was renewed after all", claim.key, [:]) }
                wait = nil
            } catch {
                if error.code == .leaseLost { return lost(error) }
                if wait == nil {
                    log(.warning, "the lease was not renewed", claim.key, ["error": "\(error.message)"])
                }
                wait = min(wait.map { $0 * 2 } ?? Self.firstWait, Self.longestRenewalWait)
            }
        }
    }

    /// Writes the end of a run, again and again while the store is busy or full. Meanwhile it is beside the store, so
    /// that nobody takes the run for dead, whatever becomes of this process. While it can be put nowhere it is tried
    /// for as long as this process lives: a run whose end is lost is run twice.
    ///
    /// - Returns: Why there is no word on the run; `.leaseLost` when another has it.
    private func write(_ completion: RunCompletion, of claim: RunClaim, in room: OutcomeRoom) -> HoldfastError? {
        var last = completion
        let ended = clock.now()
        last.ended = ended
        let deadline = clock.uptime() + settings.patience
        var end: Duration?
        var wait = Self.firstWait
        var isBeside = false
        while true {
            do throws(HoldfastError) {
                try store.complete(claim, last, at: clock.now())
                if isBeside { settings.spool.remove(claim) }
                return nil
            } catch {
                if error.code == .leaseLost {
                    if isBeside { settings.spool.remove(claim) }
                    return error
                }
                // Once for each wait, until waits grow no more.
                let isLoud = wait < Self.longestWait
                if isLoud {
                    log(.warning, "the end of the run was not written", claim.key, ["error": "\(error.message)"])
                }
                let failure = isBeside ? nil : putBeside(last, of: claim, at: ended, in: room, isLoud: isLoud)
                isBeside = failure == nil
                let isEarly = clock.uptime() + wait < deadline
                if isBeside {
                    guard error.retry == .later, isEarly, !cancellation.isRaised else { return nil }
                } else if cancellation.isRaised {
                    let limit = end ?? clock.uptime() + Self.lastPatience
                    end = limit
                    guard clock.uptime() + wait < limit else { return failure }
                } else if error.retry != .later, !isEarly {
                    return failure
                }
                clock.sleep(for: wait, unless: cancellation.isRaised ? Cancellation() : cancellation)
                wait = min(wait * 2, Self.longestWait)
            }
        }
    }

    private func putBeside(
        _ completion: RunCompletion, of claim: RunClaim, at ended: Timestamp, in room: OutcomeRoom, isLoud: Bool
    ) -> HoldfastError? {
        do throws(HoldfastError) {
            do throws(HoldfastError) {
                try settings.spool.put(claim, completion, at: ended, in: room)
            } catch {
                // Somebody may have taken the room away.
                try settings.spool.put(claim, completion, at: ended)
            }
        } catch {
            if isLoud {
                log(
                    .error, "the end of the run was not put beside the store", claim.key,
                    ["error": "\(error.message)"])
            }
            return error
        }
        log(.error, "the end of the run was put beside the store", claim.key, [:])
        return nil
    }

    private func log(_ level: Logger.Level, _ message: Logger.Message, _ key: RunKey, _ more: Logger.Metadata) {
        logger.log(
            level: level, message,
            metadata: more.merging(["job": "\(key.job)", "scheduled": "\(key.scheduled)"]) { own, _ in own })
    }
}
