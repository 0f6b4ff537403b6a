// The seam for child processes, and the one implementation that starts real ones.

import CLinux
import Glibc
import Synchronization

/// What to start. There is no shell between: arguments reach the program as they are.
package struct ProcessRequest: Sendable {
    package enum Input: Sendable, Hashable {
        /// Reads end of file at once.
        case nothing
        /// An open descriptor, which stays the caller's.
        case descriptor(Int32)
    }

    /// The program, looked for along PATH when it holds no slash, and its arguments.
    package var arguments: [String]
    /// `NAME=value` lines in place of this process's environment.
    package var environment: [String]?
    package var input = Input.nothing
    /// Copy what the child writes on standard error to ours.
    package var passesErrors = false
    /// What the child writes on standard output goes nowhere; ``RunningProcess/read(into:)`` is at its end at once, so
    /// that what outlives the child and holds its output holds up nobody.
    package var discardsOutput = false
    /// The child is stopped after this long.
    package var timeout: Duration?
    /// What asks the child to stop.
    package var stopSignal = SIGTERM
    /// From the stop signal to SIGKILL.
    package var grace = Duration.seconds(10)

    package init(_ arguments: [String]) { self.arguments = arguments }
}

/// How a child ended.
package enum ProcessResult: Sendable, Hashable {
    case exited(Int32)
    case signalled(Int32)
    /// Stopped by us, since its time was over.
    case timedOut
    /// Stopped by us, on request or on cancellation.
    case terminated

    package var isSuccess: Bool { self == .exited(0) }
}

extension ProcessResult: CustomStringConvertible {
    package var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "killed by signal \(signal)"
        case .timedOut: "stopped after its timeout"
        case .terminated: "stopped on request"
        }
    }
}

/// A child that was started.
package protocol RunningProcess: AnyObject, Sendable {
    /// Reads what the child prints on standard output, at most the buffer's length; 0 at its end. Blocks.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int

    /// Asks the child and its process group to stop, and kills them after the grace. Returns at once.
    func terminate()

    /// Waits until the child has ended; the same answer each time. The child is reaped.
    func wait() -> ProcessResult

    /// The first 8 KiB that the child wrote on standard error; complete after ``wait()``.
    var errorHead: [UInt8] { get }

    /// The child's number; it means nothing once the child was reaped.
    var number: Int32 { get }

    /// How the child ended; nil while it runs. Returns at once.
    var result: ProcessResult? { get }

    /// The last 8 KiB that the child wrote on standard error; complete after ``wait()``.
    var errorTail: [UInt8] { get }
}

/// Starts child processes.
package protocol ProcessRunner: Sendable {
    /// - Throws: `.processFailed` when the program cannot be started.
    func start(_ request: ProcessRequest, cancellation: Cancellation) throws(HoldfastError) -> any RunningProcess
}

/// Starts real processes with posix_spawn(3), each in a process group of its own.
package struct SystemProcessRunner: ProcessRunner {
    private let clock: any Clock

    package init(clock: any Clock = SystemClock()) { self.clock = clock }

    package func start(
        _ request: ProcessRequest, cancellation: Cancellation
    ) throws(HoldfastError) -> any RunningProcess {
        try SystemProcess(request, clock: clock, cancellation: cancellation)
    }
}
