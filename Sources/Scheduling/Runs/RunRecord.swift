// What is remembered of runs. Values only; the run store keeps them.

import Primitives

/// Who or what asked for a run.
package enum RunTrigger: String, Sendable, CaseIterable {
    /// The schedule, or what makes up for a missed run.
    case schedule
    /// An operator, or a timer outside of the daemon.
    case manual
}

/// How a run ended.
package enum RunOutcome: String, Sendable, CaseIterable {
    case succeeded
    case failed
    /// Some of it was done and is committed.
    case partial
    /// It ran to its end, and what it looked at is not as it must be.
    case checkFailed = "check-failed"
    /// Its run deadline passed.
    case timedOut = "timed-out"
    /// Somebody stopped it, or the scheduler was stopped.
    case stopped
    /// Another run of its group took its place.
    case replaced
    /// Its process went away without a word.
    case died
}

/// The end of one attempt of a run.
package struct RunCompletion: Sendable, Hashable {
    /// At most so many bytes of what a run printed are kept, of each of its two outputs.
    package static let maximumOutput = 8192

    package var outcome: RunOutcome
    /// The code of its failure, as docs/errors.md names it.
    package var code: String?
    /// For people; without secrets.
    package var message: String?
    /// The ends of what it printed; without secrets.
    package var output = ""
    package var errors = ""
    /// When it is to be tried again; nil when this is the end of the run.
    package var retryAt: Timestamp?
    /// What was checked; nil for what is no check.
    package var check: CheckNote?
    /// The kind of its job, for what is told of it.
    package var kind: String?
    /// When it ended, when that is not when it is written.
    package var ended: Timestamp?

    package init(_ outcome: RunOutcome, code: String? = nil, message: String? = nil) {
        self.outcome = outcome
        self.code = code
        self.message = message
    }
}

/// The right to carry out one run, for as long as its lease is renewed.
package struct RunClaim: Sendable, Hashable {
    package var key: RunKey
    /// The fencing token: it grows with every claim of any run, and a completion with an older one is refused.
    package var fence: Int64
    /// From 1.
    package var attempt: Int
    package var began: Timestamp

    package init(key: RunKey, fence: Int64, attempt: Int, began: Timestamp) {
        self.key = key
        self.fence = fence
        self.attempt = attempt
        self.began = began
    }
}

/// Who carries out a run.
package struct RunHolder: Sendable, Hashable {
    package var host: String
    /// As processes of its PID namespace name it.
    package var process: Int32
    /// What tells it from others of the same number: in what namespace it is, and when it began. Empty where that is
    /// not known.
    package var mark: String

    package init(host: String, process: Int32, mark: String = "") {
        self.host = host
        self.process = process
        self.mark = mark
    }
}

/// A run that has not ended.
package struct ActiveRun: Sendable, Hashable {
    package enum Phase: Sendable, Hashable {
        case running(RunHolder, fence: Int64)
        /// For another attempt, at this instant at the earliest.
        case waiting(until: Timestamp)
    }

    package var key: RunKey
    package var trigger: RunTrigger
    package var phase: Phase
    /// Of the attempt that is under way or was the last.
    package var attempt: Int
    package var began: Timestamp
    /// Of a running one: its lease is of this boot and has not run out.
    package var isHeld: Bool
    /// Of a running one: how long ago its lease ran out, if it did so in this boot.
    package var silence: Duration?

    package init(
        key: RunKey, trigger: RunTrigger, phase: Phase, attempt: Int, began: Timestamp, isHeld: Bool = true,
        silence: Duration? = nil
    ) {
        self.isHeld = isHeld
        self.silence = silence
        self.key = key
        self.trigger = trigger
        self.phase = phase
        self.attempt = attempt
        self.began = began
    }

    /// For another attempt; nothing of it is under way.
    package var isWaiting: Bool { if case .waiting = phase { true } else { false } }

    package var isRunning: Bool { if case .running = phase { true } else { false } }
}

/// A line of the history: a run, or runs that did not take place.
package struct RunRecord: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        case running
        case waiting(until: Timestamp)
        case ended(RunOutcome)
        /// Due up to and including `last`, `count` of them; nil for more than were counted.
        case notRun(NonRun.Reason, last: Timestamp, count: Int?)
    }

    package var key: RunKey
    package var trigger: RunTrigger
    package var state: State
    package var attempt: Int
    package var fence: Int64
    package var host: String
    package var began: Timestamp?
    package var ended: Timestamp?
    package var code: String?
    package var message: String?

    package init(
        key: RunKey, trigger: RunTrigger, state: State, attempt: Int, fence: Int64, host: String, began: Timestamp?,
        ended: Timestamp?, code: String?, message: String?
    ) {
        self.key = key
        self.trigger = trigger
        self.state = state
        self.attempt = attempt
        self.fence = fence
        self.host = host
        self.began = began
        self.ended = ended
        self.code = code
        self.message = message
    }
}

/// What an operator ordered of a job, apart from its file.
package struct StandingOrder: Sendable, Hashable {
    package var reason: String
    package var actor: String
    package var since: Timestamp
    /// Nil for until it is taken away.
    package var until: Timestamp?

    package init(reason: String, actor: String, since: Timestamp, until: Timestamp? = nil) {
        self.reason = reason
        self.actor = actor
        self.since = since
        self.until = until
    }

    package func holds(at instant: Timestamp) -> Bool { until.map { instant < $0 } ?? true }
}

/// What holds for remembered instants that lie ahead of the clock.
package enum RunMemoryLimits {
    /// So far ahead they may lie: clocks are set back by some hours, and then nothing runs twice.
    package static let ahead = Duration.seconds(86_400)
    /// 2026-01-01. A clock that shows less is one that nobody has set, and what is remembered is right.
    package static let oldestClock = Timestamp(seconds: 1_767_225_600)
}

/// What the next decision about a job rests upon.
package struct JobMemory: Sendable, Hashable {
    /// One run that has ended.
    package struct Ended: Sendable, Hashable {
        package var scheduled: Timestamp
        package var began: Timestamp
        package var ended: Timestamp
        package var outcome: RunOutcome

        package init(scheduled: Timestamp, began: Timestamp, ended: Timestamp, outcome: RunOutcome) {
            self.scheduled = scheduled
            self.began = began
            self.ended = ended
            self.outcome = outcome
        }
    }

    /// The newest instant of the schedule that was run or recorded; at first, when the job was seen first.
    package var through: Timestamp
    /// The newest run that ended, however it did.
    package var last: Ended?
    /// The newest run that was not ended by order, and so says something.
    package var verdict: Ended?
    /// The newest run that succeeded; nothing else moves it.
    package var lastSuccess: Ended?
    /// Runs that ended since without success.
    package var failures = 0
    package var pause: StandingOrder?
    /// The next run that is due does not take place.
    package var skip: StandingOrder?

    package init(through: Timestamp) { self.through = through }
}
