// What a type of job is: child processes in order, and how their ends are read.

import Primitives
import Scheduling

/// What holds for all jobs of a type.
package struct JobCapabilities: Sendable, Hashable {
    /// It can leave scratch space behind when it is killed.
    package var leavesScratch: Bool

    package init(leavesScratch: Bool = false) { self.leavesScratch = leavesScratch }
}

/// One child process of a run.
package struct JobStep: Sendable, Hashable {
    package enum Program: Sendable, Hashable {
        /// This program, with arguments after the global options.
        case own([String])
        /// Another one, along PATH, with its arguments.
        case other([String])
    }

    package var program: Program

    package init(_ program: Program) { self.program = program }
}

/// How one child process ended.
package struct StepEnd: Sendable, Hashable {
    package var result: ProcessResult
    /// The end of what it printed on each output, at most ``JobRunner/maximumCapture`` bytes.
    package var output: [UInt8]
    package var errors: [UInt8]

    package init(result: ProcessResult, output: [UInt8], errors: [UInt8]) {
        self.result = result
        self.output = output
        self.errors = errors
    }
}

/// What an ended step comes to.
package struct StepReading: Sendable, Hashable {
    package var outcome: RunOutcome
    package var code: ErrorCode?
    package var message: String?
    /// Whether trying again may help.
    package var retry = RetryClass.never
    /// The memory in which a check with a budget marks what is damaged.
    package var memory: String?

    package init(
        _ outcome: RunOutcome, code: ErrorCode? = nil, message: String? = nil, retry: RetryClass = .never
    ) {
        self.outcome = outcome
        self.code = code
        self.message = message
        self.retry = retry
    }
}

/// A type of job. Values without state: a run's state is in its child processes and in the run store.
package protocol JobType: Sendable {
    /// The name that a job's file gives, ``JobAction/kind``.
    static var kind: String { get }

    static var capabilities: JobCapabilities { get }

    /// The child processes of a run, in order; at least one. The first that does not succeed ends the run.
    ///
    /// - Throws: `.configuration` when the job is not of this type or lacks something.
    func steps(of job: Job) throws(HoldfastError) -> [JobStep]

    /// What the end of a step comes to. Total: any end of any program has a reading.
    func reading(_ end: StepEnd, of step: JobStep) -> StepReading
}

/// The types of jobs that there are.
package enum JobTypes {
    package static let all: [any JobType] = [
        BackupJob(), ForgetJob(), CheckJob(), DrillJob(), MirrorJob(), LedgerJob(), RotateJob(), CommandJob(),
    ]

    /// The type of a job. Every action has one.
    package static func type(of action: JobAction) -> any JobType {
        switch action {
        case .backup: BackupJob()
        case .forget: ForgetJob()
        case .check: CheckJob()
        case .drill: DrillJob()
        case .mirror: MirrorJob()
        case .ledger: LedgerJob()
        case .rotate: RotateJob()
        case .command: CommandJob()
        }
    }
}

extension JobTypes {
    /// Whether a run of this job may leave scratch space behind when it is killed.
    package static func leavesScratch(_ job: Job) -> Bool {
        let type: any JobType = type(of: job.action)
        return Swift.type(of: type).capabilities.leavesScratch
    }
}
