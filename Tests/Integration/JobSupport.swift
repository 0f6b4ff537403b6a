// A configuration with jobs, for tests of what runs them.

import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

/// A directory with a repository, one source, and the job files that a test writes.
struct JobRun {
    let run: ProgramRun

    /// - Parameter sources: Lines below `sources`, indented by two.
    init(sources: String? = nil) throws {
        run = ProgramRun()
        let directory = run.directory.path
        try FileManager.default.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: directory + "/schedules", withIntermediateDirectories: true)
        _ = try run.file("data/one", "content")
        _ = try run.file("password", "integration")
        let own = sources ?? "  data:\n    url: dir:\(directory)/data\n    rpo: 1d\n    retention: {last: 2}\n"
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories:
              main:
                location: \(run.repository)
                password: file:\(directory)/password
            sources:
            \(own)
            """)
        try run.makeRepository()
    }

    func job(_ name: String, _ text: String) throws { _ = try run.file("schedules/\(name).yaml", text + "\n") }

    /// A job whose run is a script of the shell.
    func script(_ name: String, _ script: String, _ more: String = "when: {every: 1d}") throws {
        let path = try run.file("\(name).sh", "#!/bin/sh\n" + script + "\n")
        #expect(chmod(path, 0o755) == 0)
        try job(name, "command: [\(path)]\n\(more)")
    }

    /// Has alerts told into a file of the directory.
    func notify(_ name: String) throws {
        let path = "\(run.directory.path)/\(name)"
        let text = try String(contentsOfFile: run.directory.path + "/holdfast.yaml", encoding: .utf8)
        let more = "notifiers:\n  file: {command: [sh, -c, \"cat >> \(path)\"], severity: info}\n"
        _ = try run.file("holdfast.yaml", text + "\n" + more)
    }

    func start(_ arguments: String...) throws -> StartedProgram {
        var own = run
        own.password = nil
        return try own.start(arguments, naming: false)
    }

    func callAsFunction(_ arguments: String...) throws -> RunResult {
        var own = run
        own.password = nil
        return try own.start(arguments, naming: false).finish()
    }

    /// The history as objects, newest first.
    func history(_ job: String? = nil) throws -> [[String: Any]] {
        let words = ["schedule", "history", "--json", "--count", "1000"] + (job.map { [$0] } ?? [])
        let report = try run.start(words, naming: false).finish().json()
        return try #require(report["runs"] as? [[String: Any]])
    }

    /// Waits until `condition` holds; a test that waits in vain says so.
    func wait(for what: String, _ condition: () throws -> Bool) throws {
        for _ in 0..<600 {
            if try condition() { return }
            pause(.milliseconds(100))
        }
        Issue.record("never: \(what)")
    }

    func text(_ name: String) -> String {
        (try? String(contentsOfFile: "\(run.directory.path)/\(name)", encoding: .utf8)) ?? ""
    }
}
