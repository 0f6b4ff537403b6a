// A real child process with the thread that watches it.

import CLinux
import Glibc
import Synchronization

/// One child. A thread of its own drains standard error, watches the clock and the cancellation, and reaps.
final class SystemProcess: RunningProcess {
    static let maximumTail = 8192
    private static let pipeBytes: Int32 = 1 << 20
    /// How long a blocked call takes to see a cancellation.
    private static let nap: Int32 = 50

    /// Shared with the watching thread, which does not keep the process object alive.
    private final class Shared: Sendable {
        struct State {
            var head: [UInt8] = []
            var tail: [UInt8] = []
            var result: ProcessResult?
            var isStopRequested = false
        }

        let state = Monitor(State())

        func append(_ bytes: UnsafeRawBufferPointer) {
            state.withLock { state in
                state.head.append(contentsOf: bytes.prefix(SystemProcess.maximumTail - state.head.count))
                state.tail.append(contentsOf: bytes)
                if state.tail.count > 2 * SystemProcess.maximumTail {
                    state.tail.removeFirst(state.tail.count - SystemProcess.maximumTail)
                }
            }
        }
    }

    /// What the watching thread needs.
    private struct Watch: Sendable {
        let process: pid_t
        let errors: Int32
        let passesErrors: Bool
        let deadline: Duration?
        let stopSignal: Int32
        let grace: Duration
        let clock: any Clock
        let cancellation: Cancellation
        let shared: Shared
    }

    let number: Int32
    private let shared = Shared()
    private let output: Int32
    private let cancellation: Cancellation
    private let thread: Mutex<JoinableThread?>

    init(_ request: ProcessRequest, clock: any Clock, cancellation: Cancellation) throws(HoldfastError) {
        try cancellation.check()
        let program = request.arguments.first ?? ""
        guard !program.isEmpty, !request.arguments.contains(where: { $0.utf8.contains(0) }) else {
            throw HoldfastError(.processFailed, "there is no command to start", hint: "Name a program after `--`.")
        }
        let (outputRead, outputWrite) = try request.discardsOutput ? Self.nowhere() : Self.pipe()
        if !request.discardsOutput { holdfast_widen_pipe(outputRead, Self.pipeBytes) }
        let errorsRead: Int32
        let errorsWrite: Int32
        do throws(HoldfastError) {
            (errorsRead, errorsWrite) = try Self.pipe()
        } catch {
            Self.close(outputRead, outputWrite)
            throw error
        }
        let (process, failure) = Self.spawn(request, outputWrite, errorsWrite)
        Self.close(outputWrite, errorsWrite)
        guard failure == 0 else {
            Self.close(outputRead, errorsRead)
            throw HoldfastError(
                .processFailed, "start \(program): \(describeErrno(failure))",
                hint: Self.shortages.contains(failure)
                    ? "Try again when the machine is less busy, or raise its limits of processes and open files."
                    : "Check that the program is installed, on the PATH, and executable.",
                retry: Self.shortages.contains(failure) ? .later : .never)
        }
        number = process
        output = outputRead
        self.cancellation = cancellation
        let watch = Watch(
            process: process, errors: errorsRead, passesErrors: request.passesErrors,
            deadline: request.timeout.map { clock.uptime() + $0 }, stopSignal: request.stopSignal,
            grace: request.grace, clock: clock, cancellation: cancellation, shared: shared)
        let started = JoinableThread { Self.watch(watch) }
        thread = Mutex(started)
        if started == nil {
            kill(-process, SIGKILL)
            var status: Int32 = 0
            _ = retryingInterrupts { waitpid(process, &status, 0) }
            OwnChildren.forget(process)
            shared.state.withLock { $0.result = .terminated }
            Self.close(errorsRead)
            throw HoldfastError(
                .processFailed, "no thread to watch \(program) with", hint: "Try again when the machine is less busy.",
                retry: .later)
        }
    }

    deinit {
        terminate()
        _ = wait()
        Self.close(output)
    }

    // MARK: RunningProcess

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        while true {
            var watched = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, Self.nap)
            if ready < 0, errno != EINTR { throw HoldfastError.systemCall("wait for", errno, on: "a command's output") }
            if ready > 0 { break }
            // A grandchild outside of the group may hold the pipe open for ever after we stopped the group.
            // So may one that outlives a leader that ended well, when the whole run is cancelled.
            let result = shared.state.withLock { $0.result }
            if result == .terminated || result == .timedOut { return 0 }
            if result != nil, cancellation.isRaised { return 0 }
        }
        let (count, number) = retryingInterrupts { Glibc.read(output, buffer.baseAddress, buffer.count) }
        guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: "a command's output") }
        return count
    }

    func terminate() { shared.state.withLock { $0.isStopRequested = true } }

    func wait() -> ProcessResult {
        let result = shared.state.wait { $0.result }
        let ended = thread.withLock { thread -> JoinableThread? in
            let last = thread
            thread = nil
            return last
        }
        ended?.join()
        return result
    }

    var errorHead: [UInt8] { shared.state.withLock { $0.head } }

    var result: ProcessResult? { shared.state.withLock { $0.result } }

    var errorTail: [UInt8] { shared.state.withLock { Array($0.tail.suffix(Self.maximumTail)) } }

    // MARK: Starting

    private static func pipe() throws(HoldfastError) -> (read: Int32, write: Int32) {
        var ends: (Int32, Int32) = (-1, -1)
        let number = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { holdfast_pipe($0) == 0 ? 0 : errno }
        }
        guard number == 0 else {
            throw HoldfastError(
                .processFailed, "make a pipe: \(describeErrno(number))", hint: "Raise the limit of open files.",
                retry: shortages.contains(number) ? .later : .never)
        }
        return ends
    }

    /// What a machine lacks for a while; none of them is the program's fault.
    private static let shortages: Set<Int32> = [EAGAIN, ENOMEM, EMFILE, ENFILE]

    /// An end that is never more than empty, and one that swallows all.
    private static func nowhere() throws(HoldfastError) -> (read: Int32, write: Int32) {
        let read = holdfast_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0)
        let write = holdfast_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0)
        guard read >= 0, write >= 0 else {
            let number = errno
            close(read, write)
            throw HoldfastError.systemCall("open", number, on: "/dev/null", code: .processFailed)
        }
        return (read, write)
    }

    private static func close(_ descriptors: Int32...) {
        for descriptor in descriptors { _ = Glibc.close(descriptor) }
    }

    private static func spawn(_ request: ProcessRequest, _ output: Int32, _ errors: Int32) -> (pid_t, Int32) {
        var null: Int32 = -1
        let input: Int32
        switch request.input {
        case .descriptor(let number): input = number
        case .nothing:
            null = holdfast_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0)
            guard null >= 0 else { return (0, errno) }
            input = null
        }
        defer { if null >= 0 { close(null) } }
        var arguments: [UnsafeMutablePointer<CChar>?] = request.arguments.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        guard let lines = request.environment else {
            return OwnChildren.start {
                let number = holdfast_spawn(&process, &arguments, Glibc.environ, input, output, errors)
                return (number == 0 ? process : nil, (process, number))
            }
        }
        var environment: [UnsafeMutablePointer<CChar>?] = lines.map { strdup($0) } + [nil]
        defer { for line in environment { free(line) } }
        return OwnChildren.start {
            let number = holdfast_spawn(&process, &arguments, &environment, input, output, errors)
            return (number == 0 ? process : nil, (process, number))
        }
    }

    // MARK: Watching

    private static func watch(_ watch: Watch) {
        var errorsOpen = true
        var stop: (reason: ProcessResult, kill: Duration)?
        var isKilled = false
        while holdfast_has_ended(watch.process) == 0 {
            if errorsOpen {
                errorsOpen = drain(watch, wait: nap)
            } else {
                // Standard error closes a moment before the child ends, or long before it.
                poll(nil, 0, 5)
            }
            if stop == nil, let reason = reasonToStop(watch) {
                stop = (reason, watch.clock.uptime() + watch.grace)
                kill(-watch.process, watch.stopSignal)
            }
            if let stop, !isKilled, watch.clock.uptime() >= stop.kill {
                isKilled = true
                kill(-watch.process, SIGKILL)
            }
        }
        // Not reaped yet, so the group's number is still ours: what is left of the group goes with its leader.
        if stop != nil { kill(-watch.process, SIGKILL) }
        var status: Int32 = 0
        _ = retryingInterrupts { waitpid(watch.process, &status, 0) }
        OwnChildren.forget(watch.process)
        while errorsOpen, drain(watch, wait: 0, untilEmpty: true) {}
        close(watch.errors)
        let signal = holdfast_exit_signal(status)
        let own: ProcessResult = signal != 0 ? .signalled(signal) : .exited(holdfast_exit_status(status))
        let result = stop?.reason ?? own
        watch.shared.state.withLock { $0.result = result }
    }

    private static func reasonToStop(_ watch: Watch) -> ProcessResult? {
        if watch.cancellation.isRaised || watch.shared.state.withLock({ $0.isStopRequested }) { return .terminated }
        if let deadline = watch.deadline, watch.clock.uptime() >= deadline { return .timedOut }
        return nil
    }

    /// Reads what is there of standard error; false at its end, or with `untilEmpty` when nothing is there.
    private static func drain(_ watch: Watch, wait: Int32, untilEmpty: Bool = false) -> Bool {
        var watched = pollfd(fd: watch.errors, events: Int16(POLLIN), revents: 0)
        guard poll(&watched, 1, wait) > 0 else { return !untilEmpty }
        return withUnsafeTemporaryAllocation(byteCount: maximumTail, alignment: 1) { buffer in
            let (count, _) = retryingInterrupts { Glibc.read(watch.errors, buffer.baseAddress, buffer.count) }
            guard count > 0 else { return false }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            watch.shared.append(bytes)
            if watch.passesErrors { _ = Glibc.write(2, bytes.baseAddress, bytes.count) }
            return true
        }
    }
}
