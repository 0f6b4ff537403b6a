// command: as a target: a stream back into a program's standard input.

import CLinux
import Glibc
import Primitives
import Repository
import Synchronization

/// A program that takes what a source's own program printed.
package struct CommandTarget: Workload {
    package static let kind = "command"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRead = false
        capabilities.canBeRestoredTo = true
        return capabilities
    }

    /// The source of the configuration that names the command; empty when that is said otherwise.
    package let source: String
    private let command: [String]

    /// - Parameter options: Its `command` is what is run.
    package init(source: String, options: WorkloadOptions = WorkloadOptions()) {
        self.source = source
        command = options.command
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: "command:\(source)") }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        [ProgramSearch.finding(command, as: "program")]
    }

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        guard let name = command.first else {
            throw HoldfastError(.usage, "no command is named to restore with", hint: "Give one after --.")
        }
        guard ProgramSearch.path(of: name) != nil else {
            throw HoldfastError(
                .targetFailed, "there is no program \(name) to start",
                hint: "Check that it is installed, on the PATH, and executable; nothing was changed.")
        }
        return RestoreStage(receiver: CommandReceiver(command, context))
    }

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard let receiver = stage.receiver as? CommandReceiver else { return [] }
        return try receiver.end(isComplete: isComplete)
    }
}

/// Feeds a program.
///
/// The program sees the end of its input only when the stream was whole: before that it is killed.
final class CommandReceiver: StreamReceiver, @unchecked Sendable {
    // Sendable: handed on as a whole with its stage, used by one thread; `printed` has a lock.
    private static let nap: Int32 = 50
    private static let mostKept = 8192
    /// How long a program that does not read on may take to say why.
    private static let lastWords = Duration.seconds(2)

    private let command: [String]
    private let context: WorkloadContext
    private var process: (any RunningProcess)?
    private var input: OwnedDescriptor?
    private var drain: JoinableThread?
    private let printed = Mutex<(count: UInt64, tail: [UInt8])>((0, []))
    private var taken: UInt64 = 0
    /// Raised at the end of what the program and its children print.
    private let drained = Cancellation()

    init(_ command: [String], _ context: WorkloadContext) {
        self.command = command
        self.context = context
    }

    deinit { stop() }

    private var program: String { command.first ?? "" }

    /// Starts the command with the first byte, or with the end of an empty stream.
    ///
    /// - Throws: `.targetFailed` when the command cannot be started.
    private func begin() throws(HoldfastError) {
        guard process == nil else { return }
        var ends: (Int32, Int32) = (-1, -1)
        let number = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { holdfast_pipe($0) == 0 ? 0 : errno }
        }
        guard number == 0 else { throw HoldfastError.systemCall("make", number, on: "a pipe", code: .targetFailed) }
        let (theirs, ours) = (OwnedDescriptor(ends.0), OwnedDescriptor(ends.1))
        _ = fcntl(ours.number, F_SETFL, O_NONBLOCK)
        var request = ProcessRequest(command)
        request.input = .descriptor(theirs.number)
        let process: any RunningProcess
        do throws(HoldfastError) {
            process = try context.runner.start(request, cancellation: context.cancellation)
        } catch {
            guard error.code == .processFailed else { throw error }
            throw HoldfastError(.targetFailed, error.message, hint: error.hint, retry: error.retry)
        }
        self.process = process
        input = ours
        // What it prints must be taken from it, or it would wait for that for ever.
        drain = JoinableThread { [weak self, drained] in
            Self.drain(process) { self?.keep($0) }
            drained.raise()
        }
        guard drain != nil else {
            throw HoldfastError(.targetFailed, "no thread to read the output of \(program) with", retry: .later)
        }
    }

    private static func drain(_ process: any RunningProcess, _ keep: (UnsafeRawBufferPointer) -> Void) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while let count = try? process.read(into: buffer), count > 0 {
            keep(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer) {
        printed.withLock { printed in
            printed.count += UInt64(bytes.count)
            printed.tail = (printed.tail + bytes.suffix(Self.mostKept)).suffix(Self.mostKept)
        }
    }

    /// - Throws: `.targetFailed` when the program ends or closes its input before it has read all; `.interrupted`.
    func receive(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        try begin()
        guard let input else { throw HoldfastError(.targetFailed, "\(program) was not started") }
        var rest = bytes
        while rest.count > 0 {
            try context.cancellation.check()
            let count = Glibc.write(input.number, rest.baseAddress, rest.count)
            if count >= 0 {
                taken += UInt64(count)
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var watched = pollfd(fd: input.number, events: Int16(POLLOUT), revents: 0)
                _ = poll(&watched, 1, Self.nap)
            case EPIPE: throw try cutShort()
            default: throw HoldfastError.systemCall("write to", errno, on: program, code: .targetFailed)
            }
        }
    }

    /// The program sees its end in ``end(isComplete:)``.
    func finish() throws(HoldfastError) { try begin() }

    func abort() { stop() }

    /// Why the program does not read on: what it failed with, or that it thought it had enough.
    private func cutShort() throws(HoldfastError) -> HoldfastError {
        let end = context.clock.uptime() + Self.lastWords
        while let process, process.result == nil, context.clock.uptime() < end, !context.cancellation.isRaised {
            context.clock.sleep(for: .milliseconds(10), unless: context.cancellation)
        }
        try context.cancellation.check()
        process?.terminate()
        let result = process?.wait() ?? .terminated
        guard result.isSuccess || result == .terminated else { return failed(result) }
        return HoldfastError(
            .targetFailed, "\(program) stopped reading after \(ByteCount(taken)), before the end of the stream",
            hint: "Let it read its standard input to the end, then run the restore again.", context: details)
    }

    private func failed(_ result: ProcessResult) -> HoldfastError {
        HoldfastError(
            .targetFailed, "\(program) failed: \(result)",
            hint: "Read what it printed; what it did before it failed is its own affair.", context: details)
    }

    private var details: [(String, String)] {
        let errors = String(decoding: process?.errorTail ?? [], as: UTF8.self)
        let output = String(decoding: printed.withLock { $0.tail }, as: UTF8.self)
        return [("stderr", errors), ("stdout", output)].filter { !$0.1.isEmpty }
    }

    /// Gives the program the end of its input when it got all, else kills it.
    ///
    /// - Returns: How it ended and what it printed.
    /// - Throws: `.targetFailed` unless it exits 0.
    func end(isComplete: Bool) throws(HoldfastError) -> [WorkloadFinding] {
        guard isComplete, let process else {
            stop()
            return []
        }
        input = nil
        let result = process.wait()
        joinDrain()
        try context.cancellation.check()
        guard result.isSuccess else { throw failed(result) }
        var findings = [WorkloadFinding(.good, "command", "\(program) read \(ByteCount(taken)) and exited 0")]
        for (stream, text) in details {
            // A program that exits 0 may complain all the same, as psql does of every statement that failed.
            findings.append(
                WorkloadFinding(
                    stream == "stderr" ? .warning : .good, stream, "\(program) printed: \(text.suffix(2000))",
                    hint: stream == "stderr" ? "Read whether all was taken." : ""))
        }
        return findings
    }

    private func stop() {
        // Killed and gone before its input ends: it must not take a part for the whole.
        process?.terminate()
        _ = process?.wait()
        input = nil
        joinDrain()
    }

    /// Waits for the last words. A server that the program started may hold its output for ever: that thread is left
    /// to the end of the process.
    private func joinDrain() {
        guard let thread = drain else { return }
        drain = nil
        context.clock.sleep(for: Self.lastWords, unless: drained)
        if drained.isRaised { thread.join() }
    }
}
