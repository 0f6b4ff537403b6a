// What opens a repository and what opens the source of a snapshot, looked for by what runs over restored copies.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill of a configuration with keys and mirrors", .waiting)
struct DrillSecretsTests {
    /// A repository that a key file opens, with a copy of it, and a source with a secret of its own.
    private func prepared() throws -> DrillRun {
        var run = ProgramRun()
        run.password = nil
        chmod(run.directory.path, 0o755)
        try run.makeDirectory("source")
        try run.randomFile("source/data", 1000, seed: 1)
        _ = try run.file("opener", "opener")
        _ = try run.file("hook", "hook")
        let looks = ["raw.key", "opener", "hook", "command.password", "second/config", "repository/config"].map {
            "cat \(run.directory.path)/\($0)"
        }
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories:
              main:
                location: repository
                keyFile: 'file:raw.key'
                mirrors: [second]
            notifiers:
              all: {webhook: 'http://127.0.0.1:9/', secret: 'file:hook'}
            sources:
              web: {url: 'dir:source', opensWith: ['file:opener']}
            drills:
              looks:
                systems:
                  web:
                    checks:
                      look:
                        command: [sh, -c, '\(looks.joined(separator: "; ")); true']
                        expect: ''

            """)
        let made = try run("init", "--raw-key-file", "raw.key", naming: false)
        try #require(made.status == 0, "\(made.errors)")
        try #require(try run("backup", "web", naming: false).status == 0)
        try #require(try run("mirror", naming: false).status == 0)
        return try DrillRun(ready: run)
    }

    private func keptFrom(_ record: [String: Any]?) -> String {
        (record?["facts"] as? [String: String])?["scratch.keptFrom"] ?? ""
    }

    @Test(
        "shows its checks neither keys nor copies of the repository, and says what it hid",
        .enabled(if: DrillRun.hasNamespaces, "namespaces are refused here; run the tests as root"))
    func hidden() throws {
        let drill = try prepared()
        let result = try drill.run.start(
            ["drill", "looks", "--scratch", drill.scratch, "--json"], naming: false
        ).finish()
        let record = (try result.json()["drills"] as? [[String: Any]])?.first
        try #require(keptFrom(record).contains("processes,"), "\(keptFrom(record))")
        #expect(result.status == 0, "\(result.output)")
        // The one of the repository, of the source, of the notifier; the repository and its mirror.
        #expect(keptFrom(record).contains("keys (3), state, repositories (2)"), "\(keptFrom(record))")
        // Of another repository that nothing but variables opens.
        var other = ProgramRun()
        other.password = nil
        other.variables["HOLDFAST_PASSWORD_COMMAND"] = "cat \(try other.file("command.password", "integration"))"
        try #require(try other("init").status == 0)
        try other.makeDirectory("source")
        try #require(try other("backup", "dir:source", "--source", "web").status == 0)
        let scratch = other.directory.path + "/scratch"
        #expect(mkdir(scratch, 0o755) == 0 && chmod(other.directory.path, 0o755) == 0)
        let second = try other("drill", "web", "--scratch", scratch, "--json")
        let drills = try second.json()["drills"] as? [[String: Any]]
        let kept = keptFrom(drills?.first)
        #expect(kept.contains("keys (1), state, repositories (1)"), "\(second.output)")
    }

    @Test(
        "hides them after a restore in an incident too; a key that is no file is none that was hidden",
        .enabled(if: DrillRun.hasNamespaces, "namespaces are refused here; run the tests as root"))
    func incident() throws {
        let drill = try prepared()
        let words = ["--to", "dir:restored", "--incident", "--drill", "--scratch", drill.scratch, "--json"]
        let result = try drill.run.start(["restore", "latest:web"] + words, naming: false).finish()
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        let record = try drill.run("evidence", "show", "latest", "--json", naming: false).json()
        #expect(record["kind"] as? String == "drill")
        try #require(keptFrom(record).contains("processes,"), "\(keptFrom(record))")
        #expect(keptFrom(record).contains("keys (3), state, repositories (2)"), "\(keptFrom(record))")
        let typed = try DrillRun()
        try typed.run.makeDirectory("source")
        try #require(try typed.run("backup", "dir:source", "--source", "web").status == 0)
        let (_, records) = try typed("web")
        let kept = keptFrom(records.first)
        #expect(!kept.contains("keys"), "\(kept)")
        #expect(kept.contains("state, repositories (1)"), "\(kept)")
    }
}
