// Where secrets may show while the program runs: its arguments, its environment, its children, and what it writes.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

/// What the process table showed of a program and its descendants while it ran.
struct ProcessTrace {
    /// Arguments and environments, each as one text.
    var arguments: Set<String> = []
    var environments: Set<String> = []
    var descendants: Set<Int32> = []

    private static func text(_ process: Int32, _ name: String) -> String {
        let data = FileManager.default.contents(atPath: "/proc/\(process)/\(name)") ?? Data()
        return String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\0", with: "\n")
    }

    /// Looks until the program is over. What is there for less than the pause between two looks may be missed: the
    /// children of a test stay for longer.
    static func of(_ program: StartedProgram) -> ProcessTrace {
        var trace = ProcessTrace()
        let root = program.process.processIdentifier
        while program.process.isRunning {
            var parents: [Int32: Int32] = [:]
            for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
                guard let process = Int32(name) else { continue }
                let status = text(process, "stat")
                let words = status.drop { $0 != ")" }.split(separator: " ")
                if words.count > 2, let parent = Int32(words[2]) { parents[process] = parent }
            }
            var found: Set<Int32> = [root]
            while true {
                let below = parents.filter { found.contains($0.value) && !found.contains($0.key) }.map(\.key)
                guard !below.isEmpty else { break }
                found.formUnion(below)
            }
            for process in found {
                trace.arguments.insert(text(process, "cmdline"))
                // What its caller gave the program is taken out of its environment before it starts anything.
                if process != root || found.count > 1 { trace.environments.insert(text(process, "environ")) }
            }
            trace.descendants.formUnion(found.subtracting([root]))
            pause(.milliseconds(10))
        }
        return trace
    }

    func contains(_ secret: String) -> String? {
        arguments.union(environments).first { $0.contains(secret) }
    }
}

@Suite("Secrets that a run uses", .waiting)
struct VaultTraceTests {
    private static let values = ["Zebra-4711-one", "Zebra-4711-two"]
    private static let vaultPassword = "Okapi-0815 opens the vault"
    private static let password = "Gnu-1848-repository"
    private static var secrets: [String] { values + [vaultPassword, password] }

    private let vault: VaultRun

    init() throws {
        var run = ProgramRun()
        run.password = nil
        _ = try run.file("vault-password", Self.vaultPassword + "\n")
        _ = try run.file("password", Self.password + "\n")
        run.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = run.directory.path + "/vault-password"
        run.variables["HOLDFAST_PASSWORD_FILE"] = run.directory.path + "/password"
        try TestRepository.create(at: run.repository, password: Self.password)
        vault = try VaultRun(run, password: Self.vaultPassword)
        for value in Self.values { try vault.put("app/db", value) }
    }

    /// Runs it, with children that stay for a while, and looks at the process table meanwhile.
    private func traced(_ run: ProgramRun, _ words: [String], status: Int32 = 0) throws {
        let started = try run.start(words)
        let trace = ProcessTrace.of(started)
        let result = try started.finish()
        #expect(result.status == status, "\(words): \(result.errors)")
        #expect(!trace.descendants.isEmpty && trace.arguments.contains { $0.contains("sleep") }, "\(words)")
        #expect(trace.environments.contains { !$0.isEmpty }, "\(words)")
        for secret in Self.secrets { #expect(trace.contains(secret) == nil, "\(words)") }
    }

    @Test("are in no arguments and in no environment of a child, whether a command gave them or a variable")
    func processes() throws {
        let directory = vault.run.directory.path
        var asked = vault.run
        asked.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = nil
        asked.variables["HOLDFAST_VAULT_PASSWORD_COMMAND"] = "sh -c 'sleep 0.3; cat \(directory)/vault-password'"
        asked.variables["HOLDFAST_PASSWORD_FILE"] = nil
        asked.variables["HOLDFAST_PASSWORD_COMMAND"] = "sh -c 'sleep 0.3; cat \(directory)/password'"
        try traced(asked, ["backup", VaultRun.url, "--source", "secrets"])
        try vault.make("vault:embedded:fresh.vault")
        try traced(asked, ["restore", "latest:secrets", "--to", "vault:embedded:fresh.vault"])
        try traced(asked, ["vault", "get", VaultRun.url, "app/db", "--reveal"])

        var given = vault.run
        given.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = nil
        given.variables["HOLDFAST_VAULT_PASSWORD"] = Self.vaultPassword
        given.variables["HOLDFAST_PASSWORD_FILE"] = nil
        given.variables["HOLDFAST_PASSWORD"] = Self.password
        // The command of a source runs while the vault is open.
        _ = try given.file(
            "holdfast.yaml",
            """
            sources:
              secrets: {url: '\(VaultRun.url)'}
              program: {command: {dump: [sh, -c, 'sleep 0.4; echo made'], file: made}}

            """)
        try traced(given, ["backup", "program"])
        try left()
    }

    /// Whatever the runs wrote: repository, cache, state with the audit log, vaults, what was printed.
    private func left() throws {
        let root = vault.run.directory.path
        var (files, logs) = (0, 0)
        for name in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
            guard let data = FileManager.default.contents(atPath: root + "/" + name) else { continue }
            files += 1
            logs += name.hasSuffix(".audit") && data.range(of: Data("app/db".utf8)) != nil ? 1 : 0
            for secret in Self.secrets where data.range(of: Data(secret.utf8)) != nil {
                let isRevealed = name.hasPrefix("output-") && data == Data(Self.values[1].utf8)
                #expect(["password", "vault-password"].contains(name) || isRevealed, "\(name) has a secret")
            }
        }
        #expect(files > 20 && logs == 1)
    }
}
