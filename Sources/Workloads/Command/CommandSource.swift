// What a producer prints on its standard output, good only when the producer exits 0.

import Primitives
import Synchronization

/// Runs a command and reads its standard output.
///
/// Dropping it before the end stops the command and its process group.
package final class CommandSource: ByteStream {
    private let process: any RunningProcess
    private let program: String
    private let minimumSize: ByteCount
    private let cancellation: Cancellation
    private let total = Atomic<UInt64>(0)
    private let isAtEnd = Atomic<Bool>(false)

    /// - Throws: `.sourceFailed` when the command cannot be started.
    package init(
        _ request: ProcessRequest, runner: some ProcessRunner, minimumSize: ByteCount = ByteCount(1),
        cancellation: Cancellation
    ) throws(HoldfastError) {
        program = request.arguments.first ?? ""
        self.minimumSize = minimumSize
        self.cancellation = cancellation
        do throws(HoldfastError) {
            process = try runner.start(request, cancellation: cancellation)
        } catch {
            guard error.code == .processFailed else { throw error }
            throw HoldfastError(.sourceFailed, error.message, hint: error.hint, retry: error.retry)
        }
    }

    deinit { process.terminate() }

    package var count: UInt64 { total.load(ordering: .relaxed) }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        guard buffer.count > 0 else { return 0 }
        try cancellation.check()
        let read = try process.read(into: buffer)
        if read == 0 {
            // A producer that was stopped closes its output as one does that is done.
            try cancellation.check()
            isAtEnd.store(true, ordering: .relaxed)
        }
        total.add(UInt64(read), ordering: .relaxed)
        return read
    }

    /// - Throws: `.sourceFailed` unless the end was read and the command exited 0; `.emptyStream`; `.interrupted`.
    package func finish() throws(HoldfastError) {
        guard isAtEnd.load(ordering: .relaxed) else {
            process.terminate()
            _ = process.wait()
            throw HoldfastError(
                .sourceFailed, "the output of \(program) was not read to its end", hint: "Run the backup again.")
        }
        let result = process.wait()
        try cancellation.check()
        guard result.isSuccess else {
            let tail = String(decoding: process.errorTail, as: UTF8.self)
            throw HoldfastError(
                .sourceFailed, "\(program) failed: \(result)",
                hint: "Read what it printed, and run it alone; nothing was committed.",
                context: tail.isEmpty ? [] : [("stderr", tail)])
        }
        try checkStreamSize(count, minimumSize, of: program)
    }
}
