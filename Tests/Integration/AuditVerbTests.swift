// Every verb, and what it leaves in the audit log when it is used on secrets.

import Foundation
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("The audit log of each verb", .waiting)
struct AuditVerbTests {
    /// What a verb does with values of secrets.
    private enum Use {
        /// Words that it is called with here, and the actions that it must leave, each before the access.
        case accesses([(words: [String], actions: Set<String>)])
        /// Words with which it shows that it leaves nothing and goes on without a log.
        case none([[String]])
        /// It neither opens a vault nor reads the contents of snapshots.
        case elsewhere
    }

    private static let url = VaultRun.url

    /// All verbs. A new one is to be put here, by what it does with values.
    private static let verbs: [String: Use] = [
        "backup": .accesses([
            (["backup", url, "--source", "anew"], ["value.read"]),
            (["backup", "secrets"], ["value.read"]),
        ]),
        "schedule run": .accesses([(["schedule", "run", "nightly"], ["value.read"])]),
        "restore": .accesses([
            (["restore", "latest:secrets", "--to", url, "--dry-run"], ["value.compared"]),
            (["restore", "latest:secrets", "--to", url], ["value.compared"]),
            (["restore", "latest:secrets", "--to", "vault:embedded:fresh.vault"], ["value.restored"]),
            (
                ["restore", "latest:secrets", "--to", url, "--secret", "app", "--secret-version", "1"],
                ["value.restored", "value.read"]
            ),
            (
                ["restore", "latest:secrets", "--to", url, "--newer", "append"],
                ["value.restored", "value.read"]
            ),
        ]),
        "dump": .accesses([(["dump", "latest:secrets", "app/@1", "--reveal"], ["value.revealed"])]),
        "vault get": .accesses([(["vault", "get", url, "app", "--reveal"], ["value.revealed"])]),
        "vault put": .accesses([(["vault", "put", url, "app", "--file", "value"], ["vault.changed"])]),
        "vault state": .accesses([(["vault", "state", url, "app", "1", "disable"], ["vault.changed"])]),
        "vault guard": .accesses([(["vault", "guard", url, "--raise"], ["vault.changed"])]),
        "vault remove": .accesses([(["vault", "remove", url, "app"], ["vault.changed"])]),
        "vault password": .accesses([
            (["vault", "password", url, "--new-password-file", "value"], ["vault.changed"])
        ]),
        "vault list": .none([["vault", "list", url]]), "vault show": .none([["vault", "show", url, "app"]]),
        "doctor": .none([["doctor", "secrets"]]), "snapshots": .none([["snapshots"]]),
        "ls": .none([["ls", "latest:secrets", "--recursive"]]), "find": .none([["find", "app"]]),
        "diff": .none([["diff", "latest:secrets", "latest:secrets"]]),
        "check": .none([["check", "--read-data"]]), "prune": .none([["prune"]]),
        "status": .none([["status"]]), "vault init": .none([]), "drill": .none([["drill", "latest:secrets"]]),
        // Copies what is sealed.
        "mirror": .elsewhere, "forget": .elsewhere, "repair index": .elsewhere, "init": .elsewhere,
        "audit verify": .elsewhere, "audit list": .elsewhere, "audit show": .elsewhere,
        "rpo": .elsewhere, "evidence list": .elsewhere, "evidence show": .elsewhere, "evidence verify": .elsewhere,
        "evidence import": .elsewhere, "evidence export": .elsewhere, "keys list": .elsewhere, "keys add": .elsewhere,
        "keys grant": .elsewhere, "keys remove": .elsewhere, "keys rotate": .elsewhere,
        "recovery-kit make": .elsewhere, "recovery-kit verify": .elsewhere, "config check": .elsewhere,
        "config schema": .elsewhere, "notify test": .elsewhere, "schedule list": .elsewhere,
        "schedule next": .elsewhere, "schedule lint": .elsewhere, "schedule export": .elsewhere,
        "schedule pause": .elsewhere, "schedule resume": .elsewhere, "schedule skip": .elsewhere,
        "schedule history": .elsewhere, "schedule seal": .elsewhere,
        // Starts `schedule run` for each job.
        "daemon": .elsewhere,
    ]

    private let vault: VaultRun
    private var run: ProgramRun { vault.run }
    private var audit: String { run.directory.path + "/.local/state/holdfast/audit" }

    /// A vault with a snapshot of it, of which one secret has changed since.
    init() throws {
        vault = try VaultRun()
        try vault.make("vault:embedded:fresh.vault")
        try vault.put("app", "first-value")
        try vault.put("app", "second-value")
        _ = try vault.backUp()
        _ = try run.file("value", "third-value")
        try FileManager.default.createDirectory(
            atPath: run.directory.path + "/schedules", withIntermediateDirectories: false)
        _ = try run.file("holdfast.yaml", "sources: {secrets: {url: '\(Self.url)'}}\n")
        _ = try run.file("schedules/nightly.yaml", "backup: {sources: [secrets]}\nwhen: {every: 1d}\n")
    }

    /// Actions of what was allowed since `number` records were there.
    private func actions(after number: Int) throws -> [String] {
        let result = try run.start(["audit", "list", "--json", "--count", "1000"]).finish()
        let records = try #require(try result.json()["records"] as? [[String: Any]])
        return records.dropFirst(number).filter { $0["outcome"] as? String == "allowed" }
            .compactMap { $0["action"] as? String }
    }

    private func call(_ words: [String]) throws -> RunResult { try run.start(words).finish() }

    @Test("has a place for every verb that there is")
    func complete() throws {
        struct Help: Decodable { var command: Command }
        struct Command: Decodable {
            var commandName: String
            var subcommands: [Command]?

            func leaves(_ before: [String]) -> [String] {
                let below = (subcommands ?? []).filter { $0.commandName != "help" }
                if below.isEmpty { return [before.joined(separator: " ")] }
                return below.flatMap { $0.leaves(before + [$0.commandName]) }
            }
        }
        let result = try run("--experimental-dump-help")
        let help = try JSONDecoder().decode(Help.self, from: Data(result.output.utf8))
        #expect(Set(help.command.leaves([])) == Set(Self.verbs.keys))
    }

    @Test("has what it does with values, and no verb does it without a log that can be written to")
    func accesses() throws {
        for (verb, use) in Self.verbs.sorted(by: { $0.key < $1.key }) {
            guard case .accesses(let calls) = use else { continue }
            for (words, expected) in calls {
                let own = try AuditVerbTests()
                // Something to put over.
                if words.contains("append") { try own.vault.put("app", "on top") }
                // And something that the vault is about to forget.
                if words.contains("guard") {
                    for value in ["first-value", "second-value"] { try own.vault.put("new", value) }
                    try own.vault.limit("new", 2)
                }
                if words.contains("secrets") || words.contains("nightly") {
                    // What was read before is not read again.
                    try own.vault.put("new", "a value that no snapshot has")
                }
                try own.check(verb, words, expected)
            }
        }
    }

    private func check(_ verb: String, _ words: [String], _ expected: Set<String>) throws {
        let before = try actions(after: 0).count
        // Without a log first: nothing is given out, and nothing is changed.
        let standing = try vault.standing()
        let kept = audit + "-kept"
        try FileManager.default.moveItem(atPath: audit, toPath: kept)
        try Data().write(to: URL(fileURLWithPath: audit))
        let refused = try call(words)
        #expect(refused.status != 0, "\(verb): \(words)")
        #expect(!refused.output.contains("-value"), "\(verb): \(refused.output)")
        let told = refused.output + refused.errors
        #expect(told.contains("no access to a secret without a record"), "\(words): \(told)")
        #expect(try vault.standing() == standing && vault.standing("vault:embedded:fresh.vault").isEmpty, "\(words)")
        try FileManager.default.removeItem(atPath: audit)
        try FileManager.default.moveItem(atPath: kept, toPath: audit)

        let result = try call(words)
        #expect(result.status == 0, "\(words): \(result.errors)")
        #expect(Set(try actions(after: before)) == expected, "\(words)")
        #expect(try run("audit", "verify").status == 0)
    }

    @Test("has nothing of a verb that looks at names, or at what is sealed, and such verbs need none")
    func looks() throws {
        let before = try actions(after: 0).count
        let calls = Self.verbs.values.flatMap { use -> [[String]] in
            if case .none(let calls) = use { calls } else { [] }
        }
        let first = try calls.map { try call($0) }
        #expect(try actions(after: before).isEmpty)
        try FileManager.default.removeItem(atPath: audit)
        try Data().write(to: URL(fileURLWithPath: audit))
        for (words, result) in zip(calls, first) {
            let again = try call(words)
            #expect(again.status == result.status, "\(words): \(again.errors)")
            #expect(!again.errors.contains("without a record"), "\(words): \(again.errors)")
            for value in ["first-value", "second-value"] { #expect(!(again.output + again.errors).contains(value)) }
        }
    }
}
