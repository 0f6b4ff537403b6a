// The storage of a real OpenBao on raft as a source and as a target, by the program.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

/// A server on raft with a mount of secrets, and a repository.
private struct RaftRun {
    let directory = TemporaryDirectory()
    let server: OpenBaoServer
    var bao: OpenBaoRun

    var url: String { "raft:\(server.origin)" }

    init() throws {
        server = try OpenBaoServer(.raft, in: directory.path)
        try server.initialise()
        bao = try OpenBaoRun(on: server)
        for number in 1...3 { try bao.putDirectly("app/db", "database-\(number)") }
        // More than one block of the stream, and of what does not compress.
        let large = String(repeating: "hunter2-", count: 40_000)
        for number in 0..<20 { try bao.putDirectly("large/\(number)", large) }
        try server.must(.put, "sys/policies/acl/kept", #"{"policy":"path \"a/*\" { capabilities = [\"read\"] }"}"#)
    }

    func backUp(_ from: String? = nil, _ status: Int32 = 0) throws -> RunResult {
        let result = try bao.vault.run("backup", from ?? url, "--source", "storage")
        #expect(result.status == status, "\(result.errors)")
        return result
    }

    func snapshots() throws -> [[String: Any]] {
        try #require(try bao.vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]])
    }

    /// As the policy of the page on vaults has it.
    func token(_ policy: String) throws -> String { try server.token("r", policy: policy) }
}

@Suite("The storage of OpenBao on raft", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct RaftTests {
    private static let reading = #"path "sys/storage/raft/snapshot" { capabilities = ["read"] }"#
    private static let restoring = """
        path "sys/storage/raft/snapshot" { capabilities = ["update"] }
        path "sys/storage/raft/snapshot-force" { capabilities = ["update", "sudo"] }
        """

    @Test("comes back as it was into a scratch server, which its unseal keys open")
    func scratch() throws {
        var raft = try RaftRun()
        let root = raft.server.token
        raft.bao.vault.run.variables["BAO_TOKEN"] = try raft.token(Self.reading)
        _ = try raft.backUp()
        let facts = try #require(try raft.snapshots().last?["facts"] as? [String: String])
        #expect(Int(facts["raft.index"] ?? "") ?? 0 > 0 && facts["vault.server"] == "OpenBao 2.7.2", "\(facts)")
        #expect(Int(facts["raft.stateBytes"] ?? "") ?? 0 > 20 * 320_000, "\(facts)")
        let drill = try raft.bao.vault.run("drill", "storage")
        #expect(
            drill.status == 0 && drill.output.contains("storage/archive of storage"), "\(drill.errors) \(drill.output)")

        // The archive is that of the vendor's tools, byte for byte.
        let out = raft.directory.path + "/out"
        #expect(try raft.bao.vault.run("restore", "latest:storage", "--to", "dir:\(out)").status == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: out)
        #expect(names == ["raft.snap"])

        let other = TemporaryDirectory()
        let scratch = try OpenBaoServer(.raft, in: other.path)
        try scratch.initialise()
        raft.bao.vault.run.variables["BAO_TOKEN"] = scratch.token
        let refused = try raft.bao.vault.run("restore", "latest:storage", "--to", "raft:\(scratch.origin)")
        #expect(refused.status == 1 && refused.errors.contains("--replace"), "\(refused.errors)")
        #expect(try scratch.call(.get, "sys/health").status == 200, "nothing was changed")
        #expect(try scratch.call(.get, "sys/mounts").status == 200, "nothing was changed")
        let forced = try raft.bao.vault.run(
            "restore", "latest:storage", "--to", "raft:\(scratch.origin)", "--replace")
        #expect(
            forced.status == 0 && forced.errors.contains("and is sealed: unseal it with the keys"), "\(forced.errors)")
        try scratch.unseal(with: raft.server)
        for number in 1...3 {
            let read = try scratch.must(.get, "\(raft.bao.mount)/data/app/db?version=\(number)", token: root)
            let data = (read["data"] as? [String: Any])?["data"] as? [String: String]
            #expect(data == ["value": "database-\(number)"])
        }
        let audited = try raft.bao.vault.run("audit", "list", "--json")
        #expect(audited.output.contains("the whole storage") && audited.output.contains("vault.changed"))
        let policy = try scratch.must(.get, "sys/policies/acl/kept", token: root)
        #expect("\(policy)".contains("capabilities"))
    }

    @Test("goes back over its own cluster, and what was changed since is gone")
    func same() throws {
        var raft = try RaftRun()
        _ = try raft.backUp()
        try raft.bao.putDirectly("app/db", "changed since")
        let restored = try raft.bao.vault.run("restore", "latest:storage", "--to", raft.url)
        // It is waited for: what is asked next is asked of the storage that came back.
        #expect(restored.status == 0 && restored.errors.contains("is active"), "\(restored.errors)")
        let data = try raft.server.must(.get, "\(raft.bao.mount)/metadata/app/db")["data"] as? [String: Any]
        #expect(data?["current_version"] as? Int == 3)
        // A login may be able to take snapshots and not to give one back.
        raft.bao.vault.run.variables["BAO_TOKEN"] = try raft.token(Self.reading)
        let denied = try raft.bao.vault.run("restore", "latest:storage", "--to", raft.url)
        #expect(denied.status == 12 && denied.errors.contains("sys/storage/raft/snapshot"), "\(denied.errors)")
        raft.bao.vault.run.variables["BAO_TOKEN"] = try raft.token(Self.restoring)
        #expect(try raft.bao.vault.run("restore", "latest:storage", "--to", raft.url).status == 0)
        try interrupt(raft)
    }

    /// Gives it back once more, and is interrupted as soon as the server has accepted it.
    private func interrupt(_ raft: RaftRun) throws {
        let out = raft.directory.path + "/interrupted"
        #expect(try raft.bao.vault.run("restore", "latest:storage", "--to", "dir:\(out)").status == 0)
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: out + "/raft.snap")))
        let cancellation = Cancellation()
        let token = HashiCorpLogin.token(SecretBytes(copying: Array(raft.server.token.utf8).span.bytes))
        let cluster = try RaftCluster(
            try VaultClusterLocation(raft.server.origin), HashiCorpOptions(login: token), clock: SystemClock(),
            cancellation: cancellation)
        let upload = try cluster.restore(replacingKeys: false)
        try bytes.withUnsafeBytes { try upload.write($0) }
        try upload.finish()
        cancellation.raise()
        let error = #expect(throws: HoldfastError.self) { try upload.settle() }
        #expect(error?.code == .interrupted && error?.message.contains("accepted its storage") == true)
        #expect(error?.hint.contains("bao status") == true)
    }

    @Test("is not taken for restored when the server answers early, breaks off, or is none")
    func uploads() throws {
        let raft = try RaftRun()
        _ = try raft.backUp()
        let isUpload = { @Sendable (request: ScriptedVault.Request) in request.method == "POST" }
        let isCapabilities = { @Sendable (request: ScriptedVault.Request) in request.target.contains("capabilities") }
        // The stand-in answers as soon as it has the head of the request.
        let replies: [(ScriptedVault.Reply, String)] = [
            (.answer(403), "sys/storage/raft/snapshot"), (.answer(204), "answered with status 204"),
            (.answer(200), "answered with status 200"), (.lose, "did not answer a restore"),
            (.answer(500, body: "<html>"), "failed while it wrote"),
            (.answer(307, headers: [("Location", "https://other.example:8200/x")]), "other.example:8200"),
        ]
        for (reply, words) in replies {
            let scripted = try ScriptedVault(before: raft.server) { request in
                isUpload(request) && !isCapabilities(request) ? reply : .passOn
            }
            defer { scripted.stop() }
            let restored = try raft.bao.vault.run(
                "restore", "latest:storage", "--to", "raft:\(scripted.origin)")
            #expect(restored.status != 0 && restored.errors.contains(words), "\(restored.status) \(restored.errors)")
        }
    }

    @Test("is committed only when it came whole, from a login that may have it")
    func faults() throws {
        var raft = try RaftRun()
        let isSnapshot = { @Sendable (request: ScriptedVault.Request) in
            request.target.hasPrefix("/v1/sys/storage/raft/snapshot")
        }
        let whole = raft.directory.path + "/whole"
        _ = try raft.backUp()
        #expect(try raft.bao.vault.run("restore", "latest:storage", "--to", "dir:\(whole)").status == 0)
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: whole + "/raft.snap")))
        var changed = bytes
        changed[bytes.count / 2] ^= 1
        let cut = Array(bytes.dropLast(bytes.count / 3))
        let tailless = Array(bytes.dropLast(8))
        for (body, words) in [
            (cut, "is not whole"), (changed, "is not whole"), (tailless, "is not whole"), ([], "is not whole"),
        ] {
            let scripted = try ScriptedVault(before: raft.server) { request in
                isSnapshot(request) ? .bytes(200, body) : .passOn
            }
            defer { scripted.stop() }
            let backup = try raft.bao.vault.run("backup", "raft:\(scripted.origin)", "--source", "storage")
            #expect(backup.status != 0 && backup.errors.contains(words), "\(backup.status) \(backup.errors)")
        }
        let lost = try ScriptedVault(before: raft.server) { isSnapshot($0) ? .passOnAndLose : .passOn }
        defer { lost.stop() }
        let broken = try raft.bao.vault.run("backup", "raft:\(lost.origin)", "--source", "storage")
        #expect(broken.status != 0 && broken.errors.contains("can't be used"), "\(broken.errors)")
        let standby = try ScriptedVault(before: raft.server) { request in
            isSnapshot(request) ? .answer(307, headers: [("Location", "https://other.example:8200/v1/x")]) : .passOn
        }
        defer { standby.stop() }
        let sent = try raft.bao.vault.run("backup", "raft:\(standby.origin)", "--source", "storage")
        #expect(sent.status != 0 && sent.errors.contains("other.example:8200"), "\(sent.errors)")
        raft.bao.vault.run.variables["BAO_TOKEN"] = try raft.token(#"path "a/*" { capabilities = ["read"] }"#)
        let denied = try raft.backUp(nil, 12)
        #expect(denied.errors.contains("sys/storage/raft/snapshot"), "\(denied.errors)")
        raft.bao.vault.run.variables["BAO_TOKEN"] = try OpenBaoServer.inMemory().token
        let memory = try raft.bao.vault.run(
            "backup", "raft:\(try OpenBaoServer.inMemory().origin)", "--source", "storage")
        #expect(memory.status != 0 && memory.errors.contains("raft"), "\(memory.errors)")
        #expect(try raft.snapshots().count == 1)
        for url in ["raft:https://host/mount", "raft:http://host", "raft:"] {
            #expect(try raft.bao.vault.run("backup", url).status == 64, "\(url)")
        }
    }
}
