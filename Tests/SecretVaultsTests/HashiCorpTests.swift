// Vault and OpenBao beside what the suite of all vaults looks at, on a real OpenBao.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

private func token(_ text: String) -> HashiCorpLogin { .token(secret(text)) }

/// Opens a mount and names what fails.
private func opening(_ server: OpenBaoServer, _ mount: String, _ login: HashiCorpLogin? = nil) -> ErrorCode? {
    failure { _ = try server.open(mount, login) }?.code
}

@Suite("A mount of OpenBao", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpTests {
    let directory = TemporaryDirectory()
    /// Tests share the server and keep apart by mounts of their own.
    let server: OpenBaoServer
    let mount: String

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "m" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
    }

    private func put(_ vault: any SecretVault, _ name: String, _ text: String = #"{"a":"hunter2"}"#) throws {
        _ = try vault.put(SecretPut(try SecretName(name), fields(text), expected: .anything))
    }

    @Test("is told from what is not there, what is below it, and what is no store of keys and values")
    func detection() throws {
        #expect(try server.open(mount).capabilities.kind == .keyValue2)
        #expect(opening(server, mount + "/below") == .usage)
        #expect(opening(server, "sys") == .vaultNotFound)
        #expect(failure { _ = try HashiCorpLocation("http://vault.example/secret") }?.code == .usage)
        #expect(failure { _ = try HashiCorpLocation("https://vault.example/") }?.code == .usage)
    }

    @Test("refuses a missing, a wrong and a revoked token, and says nothing of it")
    func tokens() throws {
        #expect(opening(server, mount, token("s.hunter2")) == .vaultLoginFailed)
        let own = try server.token("t-\(mount)", policy: "path \"\(mount)/*\" { capabilities = [\"read\",\"list\"] }")
        let vault = try server.open(mount, token(own))
        _ = try vault.list(under: "", after: nil, limit: 10)
        try server.must(.post, "auth/token/revoke", "{\"token\":\"\(own)\"}")
        let found = failure { _ = try vault.list(under: "", after: nil, limit: 10) }
        #expect(found?.code == .vaultLoginFailed && "\(found as Any)".contains(own) == false)
    }

    @Test("names the path that a login may not read, and gives the rest")
    func denied() throws {
        let all = try server.open(mount)
        for name in ["a", "open/b", "closed/c", "z"] { try put(all, name) }
        let policy = """
            path "\(mount)/metadata/*" { capabilities = ["list", "read"] }
            path "\(mount)/detailed-metadata/*" { capabilities = ["list"] }
            path "\(mount)/data/*" { capabilities = ["read"] }
            path "\(mount)/data/closed/*" { capabilities = ["deny"] }
            path "\(mount)/metadata/closed/*" { capabilities = ["deny"] }
            path "\(mount)/detailed-metadata/closed/*" { capabilities = ["deny"] }
            path "\(mount)/config" { capabilities = ["read"] }
            """
        let vault = try server.open(mount, token(try server.token("d-\(mount)", policy: policy)))
        let page = try vault.list(under: "", after: nil, limit: 10)
        #expect(page.secrets.map(\.name.text) == ["a", "open/b", "z"] && page.refused.count == 1)
        #expect(page.refused.first?.code == .vaultAccessDenied)
        #expect(page.refused.first?.message.contains("\(mount)/metadata/closed/") == true)
        let found = failure { _ = try vault.read(try SecretName("closed/c"), nil) }
        #expect(found?.code == .vaultAccessDenied && found?.message.contains("\(mount)/data/closed/c") == true)
        let preflight = try vault.preflight([.list, .describe, .read, .write], under: "")
        #expect(Set(preflight.missing.map(\.right)) == [.write] && preflight.defaults.maximumVersions == 10)
        #expect(preflight.server == "OpenBao 2.7.2")
    }

    @Test("logs in again by AppRole when its token was revoked, and not with a wrong secret id")
    func appRole() throws {
        _ = try server.call(.post, "sys/auth/approle", #"{"type":"approle"}"#)
        let rule = "path \\\"\(mount)/*\\\" { capabilities = [\\\"list\\\"] }"
        try server.must(.put, "sys/policies/acl/a-\(mount)", "{\"policy\":\"\(rule)\"}")
        let role = "auth/approle/role/\(mount)"
        try server.must(.post, role, "{\"token_policies\":[\"a-\(mount)\"],\"token_ttl\":\"1h\"}")
        func data(_ answer: [String: Any], _ key: String) throws -> String {
            try #require((answer["data"] as? [String: Any])?[key] as? String)
        }
        let (roleID, secretID) = (directory.path + "/role", directory.path + "/secret")
        func keep(_ text: String, _ path: String) throws {
            try (text + "\n").write(toFile: path, atomically: true, encoding: .utf8)
            chmodOwner(path)
        }
        try keep(try data(server.must(.get, role + "/role-id"), "role_id"), roleID)
        try keep(try data(server.must(.post, role + "/secret-id"), "secret_id"), secretID)
        let login = HashiCorpLogin.appRole(roleID: roleID, secretID: secretID)
        let vault = try server.open(mount, login)
        _ = try vault.list(under: "", after: nil, limit: 10)
        try server.must(.post, "sys/leases/revoke-prefix/auth/approle/login")
        try server.must(.post, "sys/leases/revoke-prefix/auth/approle/login")
        _ = try vault.list(under: "", after: nil, limit: 10)
        try keep("hunter2", secretID)
        let found = failure { _ = try server.open(mount, login) }
        #expect(found?.code == .vaultLoginFailed && "\(found as Any)".contains("hunter2") == false)
    }

    @Test("is in its namespace and in no other")
    func namespaces() throws {
        let own = "n\(mount)"
        try server.must(.post, "sys/namespaces/\(own)")
        try server.mount("inner", version: 2, namespace: own)
        let vault = try server.open("inner", namespace: own)
        try put(vault, "a")
        #expect(try vault.list(under: "", after: nil, limit: 5).secrets.count == 1)
        #expect(opening(server, "inner") != nil)
    }

    @Test("keeps versions that were deleted, destroyed and pushed out apart")
    func states() throws {
        let vault = try server.open(mount)
        let name = try SecretName("s")
        for index in 1...12 { try put(vault, "s", "{\"n\":\(index)}") }
        func id(_ number: Int) throws -> SecretVersionID { try SecretVersionID("\(number)") }
        try vault.change(name, .state(.softDelete, of: try id(11)))
        try vault.change(name, .state(.destroy, of: try id(12)))
        let record = try vault.describe(name)
        let newest = try id(12)
        #expect(record.prunedThrough == 2 && record.versions.count == 10 && record.current == newest)
        #expect(failure { _ = try vault.read(name, try id(11)) }?.code == .secretDeleted)
        #expect(failure { _ = try vault.read(name, nil) }?.code == .secretDestroyed)
        #expect(failure { _ = try vault.read(name, try id(1)) }?.code == .secretNotFound)
    }
}

@Suite("A server of OpenBao that fails", .waiting, .enabled(if: OpenBaoServer.isInstalled), .serialized)
struct HashiCorpFaultTests {
    let directory = TemporaryDirectory()

    @Test("is sealed, gone and back again under one client")
    func sealed() throws {
        let server = try OpenBaoServer(.raft, in: directory.path)
        defer { server.stop() }
        try server.initialise()
        try server.mount("kv", version: 2)
        let vault = try server.open("kv")
        let name = try SecretName("a")
        _ = try vault.put(SecretPut(name, fields(#"{"a":"b"}"#), expected: .absent))
        try server.must(.put, "sys/seal")
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultSealed)
        server.stop()
        let gone = failure { _ = try vault.read(name, nil) }
        #expect(gone?.code == .vaultUnavailable && gone?.retry == .later)
        // A put that goes out by a connection whose end was not noticed yet is another matter: nobody knows then.
        for _ in 0..<20 {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
            #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultUnavailable)
        }
        let write = failure { _ = try vault.put(SecretPut(name, fields("{}"), expected: .anything)) }
        #expect(write?.code == .vaultUnavailable)
        try server.start()
        #expect(failure { _ = try vault.preflight([.list], under: "") }?.code == .vaultSealed)
        try server.unseal()
        #expect(try vault.read(name, nil).value.equals(fields(#"{"a":"b"}"#)))
    }
}

private func chmodOwner(_ path: String) {
    try? FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
}
