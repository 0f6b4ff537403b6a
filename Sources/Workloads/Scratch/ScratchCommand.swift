// A program that looks at restored copies, for the checks of a drill.

import Glibc
import Primitives
import Sealing

/// What a check printed, and how it ended.
package struct ScratchCommandOutcome: Sendable {
    package var result: ProcessResult
    /// The first 64 KiB of standard output.
    package var head: [UInt8]
    package var bytes: UInt64
    /// SHA-256 of all of standard output.
    package var digest: Bytes32
    package var errorTail: [UInt8]
}

/// One run of a program over restored copies: as the user that owns them, without network where the right exists, and
/// with nothing of our environment but what is named.
package struct ScratchCommand: Sendable {
    private static let mostKept = 64 << 10

    private let words: [String]
    private let environment: [String: String]

    package init(_ words: [String], environment: [String: String]) {
        self.words = words
        self.environment = environment
    }

    /// Runs it to its end.
    ///
    /// - Parameters:
    ///   - directory: A restored copy; the program runs as its owner.
    ///   - timeout: It is killed after this.
    /// - Throws: `.processFailed` when it cannot be started, `.interrupted`.
    package func run(
        over directory: String, timeout: Duration?, _ isolation: ScratchIsolation, _ context: WorkloadContext
    ) throws(HoldfastError) -> ScratchCommandOutcome {
        var request = ProcessRequest(try isolation.words(words, for: directory))
        request.environment =
            ToolRun.environment + environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        request.timeout = timeout
        request.grace = .seconds(2)
        let process = try context.runner.start(request, cancellation: context.cancellation)
        let digest = SHA256Stream()
        var outcome = ScratchCommandOutcome(
            result: .terminated, head: [], bytes: 0, digest: Bytes32(), errorTail: [])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try process.read(into: buffer)
            if count == 0 { break }
            let piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            digest.update(RawSpan(_unsafeBytes: piece))
            outcome.head += piece.prefix(max(0, Self.mostKept - outcome.head.count))
            outcome.bytes += UInt64(count)
        }
        outcome.result = process.wait()
        outcome.digest = digest.finish()
        outcome.errorTail = process.errorTail
        try context.cancellation.check()
        return outcome
    }
}
