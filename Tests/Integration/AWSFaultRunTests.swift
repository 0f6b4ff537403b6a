// What may befall AWS Secrets Manager while it is backed up and restored, by the program.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("AWS Secrets Manager that fails, by the program", .waiting, .enabled(if: MotoServer.isInstalled))
struct AWSFaultRunTests {
    @Test("names the secret that a login may not read, keeps the rest, and ends with status 3")
    func denied() throws {
        let aws = try AWSRun()
        for name in ["a", "closed/c", "hidden/d", "z"] { try aws.put(name, "of \(name)") }
        let isDenied = Mutex(true)
        let scripted = try ScriptedVault(before: aws.server) { request in
            guard isDenied.withLock({ $0 }) else { return .passOn }
            switch request.operation {
            case "GetSecretValue" where request.text.contains("closed/c"): return .refusal("AccessDeniedException")
            case "DescribeSecret" where request.text.contains("hidden/d"): return .refusal("AccessDeniedException")
            default: return .passOn
            }
        }
        defer { scripted.stop() }
        let run = aws.behind(scripted)
        let backup = try run("backup", aws.url, "--source", "secrets")
        #expect(backup.status == 3, "\(backup.errors)")
        for path in ["secretsmanager:GetSecretValue of closed/c", "secretsmanager:DescribeSecret of hidden/d"] {
            #expect(backup.errors.contains(path), "\(backup.errors)")
        }
        #expect(try aws.facts()["vault.valuesRead"] == "2")
        let fresh = try aws.freshURL()
        #expect(try aws.vault.run("restore", "latest:secrets", "--to", fresh, "--secret", "z").status == 0)
        #expect(try aws.vault.value("z", in: fresh) == "of z")
        // Once it may, the rest is read and all is whole.
        isDenied.withLock { $0 = false }
        let whole = try run("backup", aws.url, "--source", "secrets")
        #expect(whole.status == 0, "\(whole.errors)")
        #expect(try aws.facts()["vault.valuesRead"] == "2" && aws.facts()["vault.secrets"] == "4")
    }

    @Test("has secrets of other services in its snapshots, and is told that nobody else may make them again")
    func managed() throws {
        let aws = try AWSRun()
        try aws.server.run("aws.create_secret(Name='rds!db-x', SecretString='master')", in: aws.region)
        try aws.put("app", "one")
        _ = try aws.backUp()
        #expect(try aws.facts()["vault.secrets"] == "2" && aws.facts()["vault.valuesRead"] == "2")
        let restored = try aws.vault.run("restore", "latest:secrets", "--to", try aws.freshURL())
        #expect(restored.status == 1 && restored.errors.contains("rds!db-x"), "\(restored.errors)")
        #expect(try aws.vault.run("restore", "latest:secrets", "--to", VaultRun.url).status == 0)
        #expect(try aws.vault.value("rds!db-x") == "master")
    }

    @Test("names a secret that it lists and then says is not there, and one in a state that it does not explain")
    func odd() throws {
        let aws = try AWSRun()
        for name in ["lost", "odd", "whole"] { try aws.put(name, "of \(name)") }
        let scripted = try ScriptedVault(before: aws.server) { request in
            switch request.operation {
            case "DescribeSecret" where request.text.contains("lost"): .refusal("ResourceNotFoundException")
            case "ListSecretVersionIds" where request.text.contains("odd"): .refusal("InvalidRequestException")
            default: .passOn
            }
        }
        defer { scripted.stop() }
        let backup = try aws.behind(scripted)("backup", aws.url, "--source", "secrets")
        #expect(backup.status == 3, "\(backup.errors)")
        for name in ["the secret lost is not there", "ListSecretVersionIds of odd"] {
            #expect(backup.errors.contains(name), "\(backup.errors)")
        }
        #expect(try aws.facts()["vault.valuesRead"] == "1")
    }

    @Test("loses answers to writes, and a restore goes on where nothing is in doubt")
    func lost() throws {
        let aws = try AWSRun()
        for number in 1...3 { try aws.put("app/db", "database-\(number)") }
        try aws.put("other", "one")
        _ = try aws.backUp()
        let fresh = try aws.freshURL()
        let seen = Mutex<[String: Int]>([:])
        let scripted = try ScriptedVault(before: aws.server) { request in
            let writes = ["CreateSecret", "PutSecretValue", "UpdateSecretVersionStage"]
            guard writes.contains(request.operation) else { return .passOn }
            let number = seen.withLock { seen in
                seen[request.operation, default: 0] += 1
                return seen[request.operation] ?? 0
            }
            // Done and not told, then not done, then as it should be.
            return number == 1 ? .passOnAndLose : number == 2 ? .lose : .passOn
        }
        defer { scripted.stop() }
        let restored = try aws.behind(scripted)("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(seen.withLock { $0.values.allSatisfy { $0 > 2 } && $0.count == 3 })
        #expect(try aws.standing(fresh) == aws.standing())
        let labels = try aws.record("app/db", in: fresh).versions.map(\.labels)
        #expect(try labels == aws.record("app/db").versions.map(\.labels))
    }

    // MARK: - Where secrets may show

    private static let values = ["Zebra-4711-aws", "Okapi-0815-aws"]
    /// A login of each kind: the one that is used, and those that are not.
    private static let tokens = ["BAO_TOKEN": "hunter2-bao", "VAULT_TOKEN": "hunter2-vault"]
    private static let others = [
        "AWS_SESSION_TOKEN": "hunter2-session", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hunter2-container",
    ]

    @Test("leaves neither its keys nor a value in any file, output, argument or environment")
    func traces() throws {
        let aws = try AWSRun()
        for value in Self.values { try aws.put("app/db", value) }
        let hidden = Array(Self.tokens.values) + [Self.others["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? ""]
        let secrets = Self.values + hidden + [aws.keys.secret]
        var run = aws.vault.run
        run.variables.merge(Self.tokens) { $1 }
        run.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = Self.others["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        let environments = Mutex<[String]>([])
        let program = Mutex<pid_t>(0)
        let scripted = try ScriptedVault(before: aws.server) { request in
            // The vault is open: what a child would inherit now.
            for _ in 0..<500 where program.withLock({ $0 }) == 0 { pause(.milliseconds(10)) }
            environments.withLock { $0.append(Self.environment(of: program.withLock { $0 })) }
            return .passOn
        }
        defer { scripted.stop() }
        run.variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = scripted.origin
        let fresh = try aws.freshURL()
        var results: [RunResult] = []
        for words in [
            ["backup", aws.url, "--source", "secrets"], ["restore", "latest:secrets", "--to", fresh],
            ["doctor", aws.url, "--verbose"], ["vault", "list", aws.url],
        ] {
            program.withLock { $0 = 0 }
            let started = try run.start(words)
            program.withLock { $0 = started.process.processIdentifier }
            let trace = ProcessTrace.of(started)
            let result = try started.finish()
            #expect(result.status == 0, "\(words): \(result.errors)")
            results.append(result)
            for secret in secrets { #expect(!trace.arguments.contains { $0.contains(secret) }, "\(words)") }
        }
        let seen = environments.withLock { $0 }
        // What is not secret is there, so that these are the program's environments.
        #expect(seen.count > 20 && seen.allSatisfy { $0.contains("AWS_ACCESS_KEY_ID=\(aws.keys.id)") })
        for secret in secrets { #expect(!seen.contains { $0.contains(secret) }, "\(secret)") }
        for secret in secrets { #expect(!results.contains { ($0.output + $0.errors).contains(secret) }, "\(secret)") }
        var files = 0
        let root = aws.vault.run.directory.path
        for name in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
            guard let data = FileManager.default.contents(atPath: root + "/" + name) else { continue }
            files += 1
            for secret in secrets { #expect(data.range(of: Data(secret.utf8)) == nil, "\(name) has a secret") }
        }
        #expect(files > 20)
    }

    @Test("keeps the login of every vault from children, whichever vault is opened")
    func children() throws {
        let aws = try AWSRun()
        var run = aws.vault.run
        run.variables.merge(Self.tokens) { $1 }
        run.variables.merge(Self.others) { $1 }
        run.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = nil
        // The password of an embedded vault may come from another vault by such a login; after that nobody has it.
        let seen = run.directory.path + "/seen"
        let file = run.directory.path + "/vault-password"
        run.variables["HOLDFAST_VAULT_PASSWORD_COMMAND"] = "sh -c 'env > \(seen); cat \(file)'"
        _ = try run.file(
            "holdfast.yaml",
            """
            sources:
              secrets: {url: '\(VaultRun.url)'}
              program: {command: {dump: [sh, -c, 'env; cat /proc/$PPID/environ'], file: made}}

            """)
        try aws.vault.put("app", "one")
        let backup = try run("backup", "secrets", "program")
        #expect(backup.status == 0, "\(backup.errors)")
        let before = try String(contentsOfFile: seen, encoding: .utf8)
        #expect(before.contains("hunter2-bao"))
        let after = try run("dump", "latest:program", "made").output
        #expect(after.contains("AWS_ACCESS_KEY_ID") && !after.contains("hunter2"), "\(after)")
        #expect(!after.contains(aws.keys.secret))
    }

    private static func environment(of process: pid_t) -> String {
        let data = FileManager.default.contents(atPath: "/proc/\(process)/environ") ?? Data()
        return String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\0", with: "\n")
    }
}
