// Answers that a real server can't be made to give, and answers that get lost, before a real OpenBao.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

func fields(_ text: String) -> SecretValue { SecretValue(.fields, secret(text)) }

/// Gives each of `replies` to one request of those that `concerns` lets through, then what the real server says.
func script(
    _ replies: [ScriptedVault.Reply], for concerns: @escaping @Sendable (ScriptedVault.Request) -> Bool
) -> @Sendable (ScriptedVault.Request) -> ScriptedVault.Reply {
    let left = Shared(replies)
    return { request in
        guard concerns(request) else { return .passOn }
        return left.mutex.withLock { $0.isEmpty ? .passOn : $0.removeFirst() }
    }
}

/// A value that closures share.
final class Shared<Value: Sendable>: Sendable {
    let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
}

private func isValue(_ request: ScriptedVault.Request) -> Bool { request.target.contains("/data/") }

@Suite("A vault whose answers fail", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpScriptedTests {
    let server: OpenBaoServer
    let mount: String
    let clock = ManualClock()
    let name = SecretName(validated: Array("app".utf8))

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "s" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
    }

    /// The vault as the program opens it, behind the script.
    private func open(_ scripted: ScriptedVault, _ login: HashiCorpLogin? = nil) throws -> any SecretVault {
        let vault = try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: login ?? .token(secret(server.token))), clock: clock)
        return RetryingVault(
            vault, VaultPatience(clock: clock, entropy: SeededEntropy(seed: 7), cancellation: Cancellation()))
    }

    private func putDirectly(_ value: String = "one") throws {
        try server.must(.post, "\(mount)/data/app", "{\"data\":{\"value\":\"\(value)\"}}")
    }

    private func versions() throws -> Int { try server.open(mount).describe(name).versions.count }

    @Test(
        "is asked again after answers that pass, which no call took for a value",
        arguments: [429, 412, 472, 473, 500, 502, 503, 504])
    func passing(_ status: Int) throws {
        try putDirectly()
        let scripted = try ScriptedVault(
            before: server, script: script([.answer(status), .lose], for: isValue))
        defer { scripted.stop() }
        let vault = try open(scripted)
        let start = clock.now()
        #expect(try vault.read(name, nil).value.equals(fields(#"{"value":"one"}"#)))
        #expect(scripted.requests.filter(isValue).count == 3)
        #expect(clock.now().since(start) <= .milliseconds(600))
    }

    @Test("is waited for as long as it asks for, and not longer than anybody would")
    func retryAfter() throws {
        try putDirectly()
        let scripted = try ScriptedVault(
            before: server,
            script: script(
                [.answer(429, headers: [("Retry-After", "7")]), .answer(429, headers: [("Retry-After", "soon")])],
                for: isValue))
        defer { scripted.stop() }
        let vault = try open(scripted)
        let start = clock.now()
        _ = try vault.read(name, nil)
        let waited = clock.now().since(start)
        #expect(waited >= .seconds(7) && waited <= .seconds(8))
        let slow = try ScriptedVault(
            before: server, script: script([.answer(429, headers: [("Retry-After", "3600")])], for: isValue))
        defer { slow.stop() }
        let other = try open(slow)
        let found = failure { _ = try other.read(name, nil) }
        #expect(found?.code == .vaultThrottled && found?.retryAfter == .seconds(3600))
        #expect(slow.requests.filter(isValue).count == 1)
    }

    @Test("that is sealed or knows nothing of a call is not asked again")
    func final() throws {
        for (reply, code) in [
            (ScriptedVault.Reply.answer(503, body: #"{"errors":["Vault is sealed"]}"#), ErrorCode.vaultSealed),
            (.answer(405), .vaultUnavailable), (.answer(200, body: "<html>"), .corruptObject),
            (.answer(200, body: "{}"), .corruptObject),
            (.answer(200, headers: [("X-Filler", "y")], body: String(repeating: " ", count: 33 << 20)), .limitExceeded),
        ] {
            let scripted = try ScriptedVault(before: server, script: script([reply], for: isValue))
            defer { scripted.stop() }
            let vault = try open(scripted)
            #expect(failure { _ = try vault.read(name, nil) }?.code == code)
            #expect(scripted.requests.filter(isValue).count == 1)
        }
    }

    @Test("is followed within its own address, and to no other with what it knows of the login")
    func redirects() throws {
        try putDirectly()
        let other = try ScriptedVault { _ in .answer(200) }
        defer { other.stop() }
        let away = ("Location", other.origin + "/v1/elsewhere/data/app")
        let scripted = try ScriptedVault(
            before: server,
            script: script(
                [
                    .answer(307, headers: [("Location", "/v1/\(mount)/data/app")]), .passOn,
                    .answer(307, headers: [away]), .answer(301, headers: [away]), .answer(302, headers: [away]),
                    .answer(308, headers: [away]), .answer(307, headers: [away]),
                ], for: isValue))
        defer { scripted.stop() }
        let vault = try open(scripted)
        #expect(try vault.read(name, nil).value.equals(fields(#"{"value":"one"}"#)))
        let found = failure { _ = try vault.read(name, nil) }
        #expect(found?.code == .vaultUnavailable && found?.message.contains(other.origin) == true)
        #expect(other.requests.isEmpty)
        // A write that would become a reading, and one that goes in a circle.
        let circle = ("Location", "/v1/\(mount)/data/app")
        let writes = try ScriptedVault(
            before: server,
            script: script(
                Array(repeating: .answer(301, headers: [circle]), count: 5)
                    + Array(repeating: .answer(307, headers: [circle]), count: 20), for: isValue))
        defer { writes.stop() }
        let writer = try open(writes)
        let put = SecretPut(name, fields("{}"), expected: .anything)
        for _ in 0..<2 { #expect(failure { _ = try writer.put(put) }?.code == .vaultUnavailable) }
        #expect(try versions() == 1)
    }

    @Test("did what it was told although its answer was lost, and that is found out")
    func lostAnswers() throws {
        let scripted = try ScriptedVault(
            before: server,
            script: script(
                [.passOnAndLose, .passOn], for: { $0.method == "POST" && isValue($0) }))
        defer { scripted.stop() }
        let vault = try open(scripted)
        #expect(try vault.put(SecretPut(name, fields(#"{"b":1, "a":2}"#), expected: .absent)).id.text == "1")
        #expect(try versions() == 1)
        let change = try ScriptedVault(before: server, script: script([.passOnAndLose], for: { $0.method == "PUT" }))
        defer { change.stop() }
        try open(change).change(name, .state(.destroy, of: try SecretVersionID("1")))
        #expect(failure { _ = try vault.read(name, nil) }?.code == .secretDestroyed)
    }

    @Test("leaves it open what became of a put that nobody can tell, and never puts it twice")
    func unknown() throws {
        let writes: @Sendable (ScriptedVault.Request) -> Bool = { $0.method == "POST" && isValue($0) }
        let scripted = try ScriptedVault(
            before: server, script: script([.passOnAndLose, .lose, .answer(500), .answer(502)], for: writes))
        defer { scripted.stop() }
        let vault = try open(scripted)
        // Done, but a put that expects nothing can't be told from another's.
        let put = SecretPut(name, fields(#"{"a":1}"#), expected: .anything)
        #expect(failure { _ = try vault.put(put) }?.code == .writeUnknown)
        #expect(try versions() == 1)
        // Not done.
        let next = SecretPut(name, fields(#"{"a":2}"#), expected: .current(try SecretVersionID("1")))
        for _ in 0..<3 { #expect(failure { _ = try vault.put(next) }?.code == .writeUnknown) }
        #expect(try versions() == 1 && scripted.requests.filter(writes).count == 4)
    }

    @Test("can be let go of right after an answer, by many at once")
    func letGo() throws {
        let failures = Shared(0)
        let threads = (0..<8).compactMap { _ in
            JoinableThread {
                for _ in 0..<20 {
                    let listed = try? server.open(mount).list(under: "", after: nil, limit: 10)
                    if listed == nil { failures.mutex.withLock { $0 += 1 } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.mutex.withLock { $0 } == 0)
    }

    @Test("gave its place to another writer while the answer was lost")
    func overtaken() throws {
        try putDirectly()
        let (server, mount) = (server, mount)
        let scripted = try ScriptedVault(before: server) { request in
            guard request.method == "POST", isValue(request) else { return .passOn }
            _ = try? server.call(.post, "\(mount)/data/app", #"{"data":{"value":"of another"}}"#)
            return .passOnAndLose
        }
        defer { scripted.stop() }
        let vault = try open(scripted)
        let put = SecretPut(name, fields(#"{"a":1}"#), expected: .current(try SecretVersionID("1")))
        #expect(failure { _ = try vault.put(put) }?.code == .secretConflict)
        #expect(try versions() == 2)
    }
}

@Suite("A login at OpenBao that ends", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpLoginTests {
    let directory = TemporaryDirectory()
    let server: OpenBaoServer
    let mount: String
    let clock = ManualClock()

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "l" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
        let rule = "path \\\"\(mount)/*\\\" { capabilities = [\\\"list\\\"] }"
        try server.must(.put, "sys/policies/acl/\(mount)", "{\"policy\":\"\(rule)\"}")
    }

    private func keep(_ text: String, _ name: String) throws -> String {
        let path = directory.path + "/" + name
        try (text + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    private func appRole() throws -> HashiCorpLogin {
        _ = try server.call(.post, "sys/auth/approle", #"{"type":"approle"}"#)
        let role = "auth/approle/role/\(mount)"
        try server.must(.post, role, "{\"token_policies\":[\"\(mount)\"],\"token_ttl\":\"1h\"}")
        func data(_ answer: [String: Any], _ key: String) throws -> String {
            try #require((answer["data"] as? [String: Any])?[key] as? String)
        }
        return .appRole(
            roleID: try keep(data(server.must(.get, role + "/role-id"), "role_id"), "role"),
            secretID: try keep(data(server.must(.post, role + "/secret-id"), "secret_id"), "secret"))
    }

    private func open(_ scripted: ScriptedVault, _ login: HashiCorpLogin) throws -> any SecretVault {
        try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"), HashiCorpOptions(login: login), clock: clock)
    }

    private func count(_ scripted: ScriptedVault, _ end: String) -> Int {
        scripted.requests.count { $0.target.hasSuffix(end) }
    }

    @Test("is renewed after two thirds of its lease, and had again when that does not make it longer")
    func renewal() throws {
        let isOld = Shared(false)
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.hasSuffix("renew-self"), isOld.mutex.withLock({ $0 }) else { return .passOn }
            return .answer(
                200, body: #"{"auth":{"client_token":"x","lease_duration":5,"renewable":true}}"#)
        }
        defer { scripted.stop() }
        let vault = try open(scripted, try appRole())
        func list() throws { _ = try vault.list(under: "", after: nil, limit: 10) }
        try list()
        #expect(count(scripted, "/login") == 1 && count(scripted, "renew-self") == 0)
        clock.advance(by: .seconds(3000))
        try list()
        try list()
        #expect(count(scripted, "/login") == 1 && count(scripted, "renew-self") == 1)
        clock.advance(by: .seconds(3000))
        isOld.mutex.withLock { $0 = true }
        try list()
        #expect(count(scripted, "/login") == 2 && count(scripted, "renew-self") == 2)
    }

    @Test("is not renewed before each call where that fails, or does not make its lease longer any more")
    func lastLease() throws {
        let status = Shared(500)
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.hasSuffix("renew-self") else { return .passOn }
            return .answer(
                status.mutex.withLock { $0 },
                body: #"{"auth":{"client_token":"x","lease_duration":5,"renewable":true}}"#)
        }
        defer { scripted.stop() }
        let rule = "path \"\(mount)/*\" { capabilities = [\"list\"] }"
        let own = try server.token("e-\(mount)", policy: rule, #""ttl":"1h","renewable":true"#)
        let vault = try open(scripted, .token(secret(own)))
        func list() throws { for _ in 0..<5 { _ = try vault.list(under: "", after: nil, limit: 10) } }
        try list()
        #expect(count(scripted, "renew-self") == 0)
        clock.advance(by: .seconds(3000))
        try list()
        #expect(count(scripted, "renew-self") == 1)
        clock.advance(by: .seconds(11))
        status.mutex.withLock { $0 = 200 }
        try list()
        clock.advance(by: .seconds(11))
        try list()
        #expect(count(scripted, "renew-self") == 2)
    }

    @Test("is not called dead by a server that throttles or fails, and takes no second login for that")
    func notDead() throws {
        let looks = Shared([429, 503, 429])
        let scripted = try ScriptedVault(before: server) { request in
            if request.target.contains("/metadata/denied/") { return .answer(403) }
            guard request.target.hasSuffix("lookup-self"), request.method == "GET" else { return .passOn }
            return looks.mutex.withLock { $0.isEmpty ? .passOn : .answer($0.removeFirst()) }
        }
        defer { scripted.stop() }
        let vault = try open(scripted, try appRole())
        let name = try SecretName("denied/a")
        let found = failure { _ = try vault.describe(name) }
        #expect(found?.code == .vaultThrottled && found?.retry == .later)
        #expect(failure { _ = try vault.describe(name) }?.code == .vaultUnavailable)
        let patience = VaultPatience(clock: clock, entropy: SeededEntropy(seed: 3), cancellation: Cancellation())
        let patient = failure { _ = try RetryingVault(vault, patience).describe(name) }
        #expect(patient?.code == .vaultAccessDenied && patient?.message.contains("denied/a") == true)
        #expect(count(scripted, "/login") == 1)
    }

    @Test("is had by one of many threads for all of them")
    func singleFlight() throws {
        let scripted = try ScriptedVault(before: server) { _ in .passOn }
        defer { scripted.stop() }
        let vault = try open(scripted, try appRole())
        clock.advance(by: .seconds(2 * 60 * 60))
        let failures = Shared(0)
        let threads = (0..<8).compactMap { _ in
            JoinableThread {
                if (try? vault.list(under: "", after: nil, limit: 10)) == nil { failures.mutex.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.mutex.withLock { $0 } == 0 && count(scripted, "/login") == 2)
    }

    @Test("is had by a signed token, and not by one of another key")
    func jwt() throws {
        func openssl(_ words: String...) throws -> Data {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl"] + words
            process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "openssl \(words)")
            return data
        }
        func plain(_ data: Data) -> String {
            data.base64EncodedString().replacingOccurrences(of: "+", with: "-")
                .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
        }
        func signed(_ key: String) throws -> String {
            let now = SystemClock().now().seconds
            let claims = "{\"sub\":\"holdfast\",\"aud\":\"vault\",\"iat\":\(now),\"exp\":\(now + 600)}"
            let text = plain(Data(#"{"alg":"RS256","typ":"JWT"}"#.utf8)) + "." + plain(Data(claims.utf8))
            try text.write(toFile: directory.path + "/signing", atomically: true, encoding: .utf8)
            return text + "." + plain(try openssl("dgst", "-sha256", "-sign", key, "signing"))
        }
        for key in ["good.key", "other.key"] { _ = try openssl("genrsa", "-out", key, "2048") }
        let key = String(decoding: try openssl("rsa", "-in", "good.key", "-pubout"), as: UTF8.self)
        let own = "jwt-\(mount)"
        try server.must(.post, "sys/auth/\(own)", #"{"type":"jwt"}"#)
        let quoted = String(
            decoding: try JSONSerialization.data(withJSONObject: ["jwt_validation_pubkeys": [key]]), as: UTF8.self)
        try server.must(.post, "auth/\(own)/config", quoted)
        try server.must(
            .post, "auth/\(own)/role/backup",
            "{\"role_type\":\"jwt\",\"user_claim\":\"sub\",\"bound_audiences\":[\"vault\"],"
                + "\"token_policies\":[\"\(mount)\"]}")
        let file = try keep(try signed("good.key"), "token")
        let login = HashiCorpLogin.jwt(role: "backup", file: file, mount: own)
        #expect(try server.open(mount, login).list(under: "", after: nil, limit: 10).secrets.isEmpty)
        // As Kubernetes writes it for a pod without an `fsGroup`.
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
        #expect(try server.open(mount, login).list(under: "", after: nil, limit: 10).secrets.isEmpty)
        let open = failure { _ = try server.open(mount, .tokenFile(file)) }
        #expect(open?.code == .configuration)
        let wrong = try keep(try signed("other.key"), "token")
        let found = failure { _ = try server.open(mount, .jwt(role: "backup", file: wrong, mount: own)) }
        #expect(found?.code == .vaultLoginFailed)
        let absent = failure { _ = try server.open(mount, .jwt(role: "backup", file: file, mount: "nothing")) }
        #expect(absent?.code == .vaultLoginFailed)
    }
}
