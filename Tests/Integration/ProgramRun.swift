// Runs the built program as a user does.

import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

/// What a run left behind.
struct RunResult {
    let status: Int32
    let output: String
    let errors: String

    /// The one object that `--json` prints.
    func json() throws -> [String: Any] {
        #expect(output.split(separator: "\n").count == 1, "\(output)")
        let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
        return try #require(value as? [String: Any])
    }
}

/// A directory with a repository's place, a password, and nothing else of the caller's environment but PATH.
struct ProgramRun {
    var directory = TemporaryDirectory()
    var password: String? = "integration"
    var variables: [String: String] = [:]
    /// A program and its arguments that start the program under test, such as one that drops rights.
    var wrapper: [String] = []

    var repository: String { directory.path + "/repository" }

    /// - Parameter naming: Whether HOLDFAST_REPO names the repository.
    func callAsFunction(_ arguments: String..., naming: Bool = true) throws -> RunResult {
        try start(arguments, naming: naming).finish()
    }

    /// What `holdfast init` makes, but with a password that is cheap to try: each run of the program tries it.
    func makeRepository() throws {
        try TestRepository.create(
            at: variables["HOLDFAST_REPO"] ?? repository, password: password ?? "integration")
    }

    /// Starts the program and does not wait for it.
    func start(_ arguments: [String], naming: Bool = true) throws -> StartedProgram {
        var environment = variables
        environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        environment["HOME"] = directory.path
        if naming, environment["HOLDFAST_REPO"] == nil { environment["HOLDFAST_REPO"] = repository }
        if let password { environment["HOLDFAST_PASSWORD"] = password }
        let process = Process()
        let words = wrapper + [ProductBinary.path] + arguments
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = environment
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.standardInput = FileHandle.nullDevice
        // Files, since two pipes that are read one after the other could fill and block.
        let output = try sink("output")
        let errors = try sink("errors")
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        return StartedProgram(process: process, output: output, errors: errors)
    }

    func file(_ name: String, _ text: String) throws -> String {
        let path = directory.path + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    private func sink(_ name: String) throws -> FileHandle {
        let path = directory.path + "/\(name)-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: path))
        return try FileHandle(forUpdating: URL(fileURLWithPath: path))
    }
}

/// A run under way.
struct StartedProgram {
    let process: Process
    let output: FileHandle
    let errors: FileHandle

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits until the program has a handler of its own for `signal`, or is over.
    func waitUntilItCatches(_ signal: Int32) {
        let path = "/proc/\(process.processIdentifier)/status"
        while process.isRunning {
            let status = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            let caught = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
            let mask = caught.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) } ?? 0
            if mask >> UInt64(signal - 1) & 1 == 1 { return }
            pause(.milliseconds(10))
        }
    }

    /// Waits until the program has the file at `path` open, or is over; says which.
    func waitUntilItOpens(_ path: String) -> Bool {
        let descriptors = "/proc/\(process.processIdentifier)/fd"
        let wanted = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        while process.isRunning {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: descriptors)) ?? []
            let isOpen = names.contains { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: descriptors + "/" + name)) == wanted
            }
            if isOpen { return true }
            pause(.milliseconds(5))
        }
        return false
    }

    /// Waits for its end; the status of a process that a signal ended is the signal's number.
    func finish() throws -> RunResult {
        process.waitUntilExit()
        return RunResult(
            status: process.terminationStatus, output: try text(of: output), errors: try text(of: errors))
    }

    private func text(of file: FileHandle) throws -> String {
        try file.seek(toOffset: 0)
        return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    }
}

/// Lets the program under test go on for a while.
func pause(_ duration: Duration) { SystemClock().sleep(for: duration, unless: Cancellation()) }
