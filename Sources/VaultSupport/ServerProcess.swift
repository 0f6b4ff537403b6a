// A server that the tests run and end.

import Foundation
import Glibc
import Primitives
import Synchronization

/// A child that ends with this process, however this one ends.
final class ServerProcess: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let id: pid_t
    private let path: String
    private let running: Mutex<(process: Process, input: FileHandle)?>

    /// - Parameter log: A file that gets what it says.
    init(_ program: String, _ arguments: [String], environment: [String: String], log: String) throws {
        path = log
        // A shell between: when this process ends, its end of the pipe closes, and the server goes.
        let script = "\"$@\" </dev/null >>\"$0\" 2>&1 & echo $!; read -r _; kill -9 $!"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, log, program] + arguments
        process.environment = environment
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let id = pid_t(line.trimmingCharacters(in: .newlines)) else { throw Failure(description: "no server") }
        self.id = id
        running = Mutex((process, input.fileHandleForWriting))
    }

    deinit { stop() }

    var log: String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    /// Waits until `isReady`; a minute at most.
    func wait(_ isReady: () -> Bool) throws {
        for _ in 0..<600 {
            if isReady() { return }
            SystemClock().sleep(for: .milliseconds(100), unless: Cancellation())
        }
        throw Failure(description: "the server does not answer; its log: \(log)")
    }

    func stop() {
        running.withLock { running in
            guard let now = running.take() else { return }
            try? now.input.close()
            now.process.waitUntilExit()
        }
    }
}
