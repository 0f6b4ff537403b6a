// A repository to recover from in an incident, and the guide on a terminal.

import Foundation
import Glibc
import TestSupport
import Testing

/// A run with what was backed up, and machines that come to it.
struct IncidentRun {
    let run: ProgramRun

    init(_ run: ProgramRun = ProgramRun()) throws {
        self.run = run
        try run.makeRepository()
    }

    /// Snapshots of a directory and of a SQLite database.
    static func filesAndDatabase() throws -> IncidentRun {
        let incident = try IncidentRun()
        let run = incident.run
        try run.makeDirectory("source/inner")
        try run.randomFile("source/first", 400_000, seed: 11)
        try run.randomFile("source/inner/second", 5000, seed: 12)
        try run.sqlite(
            "app.db",
            "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER); "
                + "INSERT INTO account SELECT value, value FROM generate_series(1, 3000);")
        try incident.backUp("dir:source", as: "web")
        try incident.backUp("sqlite:app.db", as: "app")
        return incident
    }

    func backUp(_ url: String, as source: String) throws {
        let taken = try run("backup", url, "--source", source)
        try #require(taken.status == 0, "\(taken.errors)")
    }

    var path: String { run.directory.path }

    /// The guide on a terminal of a machine with an empty home that knows a place and a key.
    func guide(_ arguments: [String], home: String? = nil, password: String = "integration") throws -> PseudoTerminal {
        var environment = [
            "HOLDFAST_PASSWORD": password, "TERM": "dumb", "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
        ]
        if let home { environment["HOME"] = home }
        return try PseudoTerminal(
            [ProductBinary.path, "restore", "--guide", "--repo", run.repository] + arguments, environment: environment)
    }

    /// The newest record of evidence.
    func record() throws -> [String: Any] { try run("evidence", "show", "latest", "--json").json() }

    func count(_ verdict: String? = nil) throws -> Int {
        let list = try run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]] ?? []
        return list.filter { verdict == nil || $0["verdict"] as? String == verdict }.count
    }

    /// Lines as they are told, without what a terminal adds.
    static func lines(_ text: String) -> [String] {
        text.replacingOccurrences(of: "\u{1B}[K", with: "").replacingOccurrences(of: "\r\n", with: "\n")
            .split(separator: "\n", omittingEmptySubsequences: false)
            .map { String($0.split(separator: "\r").last ?? "") }
    }
}
