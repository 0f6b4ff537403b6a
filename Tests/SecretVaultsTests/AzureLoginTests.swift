// Challenges of Azure Key Vault and the ways to its tokens, against scripted servers and the stand-in.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("The login at Azure Key Vault", .waiting)
struct AzureLoginTests {
    private let name = ScriptedAzure.name
    private let directory = TemporaryDirectory()

    private func file(_ name: String, _ text: String) throws -> String {
        let path = directory.path + "/" + name
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func bearer(_ request: ScriptedVault.Request?) -> String? { request?.headers["authorization"] }

    // MARK: - Challenge

    @Test("begins without a token and without a value, and goes on as the vault's challenge has it")
    func challenge() throws {
        let azure = try ScriptedAzure { request in request.method == "PUT" ? .azureValue : .azureOne }
        defer { azure.server.stop() }
        let vault = try azure.open()
        let put = SecretPut(name, SecretValue(.text, secret("hunter2value")), expected: .anything)
        for _ in 0..<2 { _ = try vault.put(put) }
        let all = azure.server.requests
        #expect(all.map(\.method) == ["GET", "GET", "GET", "PUT", "GET", "PUT"])
        #expect(bearer(all[0]) == nil && all[0].body.isEmpty)
        #expect(
            all[1].target == "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2F127.0.0.1")
        #expect(all[1].headers["metadata"] == "true" && bearer(all[1]) == nil)
        #expect(all[2...].allSatisfy { bearer($0) == "Bearer hunter2token1" })
    }

    static let foreign = [
        "https://management.azure.com", "https://graph.microsoft.com", "https://27.0.0.1", "https://1", "https://0.0.1",
        "https://vault.azure.net",
    ]

    @Test("asks for no token when a challenge names another domain than the vault's own", arguments: foreign)
    func otherDomain(_ resource: String) throws {
        let azure = try ScriptedAzure(resource: resource) { _ in .azureValue }
        defer { azure.server.stop() }
        let found = try #require(failure { _ = try azure.open().read(name, nil) })
        #expect(found.code == .vaultLoginFailed && found.message.contains("own domain"))
        #expect(azure.tokensAsked == 0 && azure.calls.isEmpty)
    }

    static let unfit = [
        ScriptedVault.Reply.answer(401), .answer(401, headers: [("WWW-Authenticate", "Basic realm=\"proxy\"")]),
        .answer(401, headers: [("WWW-Authenticate", "Bearer realm=\"x\"")]),
        .answer(404, body: "default backend"), .answer(503, body: "busy"), .azureNotFound,
    ]

    @Test("is refused by nobody but the vault: what is no challenge of its kind is no dead token", arguments: unfit)
    func noChallenge(_ reply: ScriptedVault.Reply) throws {
        // Before a token is there, and when one was good before.
        let open = try ScriptedVault { _ in reply }
        defer { open.stop() }
        let variables = ["AZURE_POD_IDENTITY_AUTHORITY_HOST": open.origin]
        let vault = try AzureServer.open(open.origin, variables, clock: ManualClock())
        #expect(failure { _ = try vault.list(under: "", after: nil, limit: 5) }?.code == .vaultUnavailable)
        #expect(open.requests.count == 1)
        guard case .answer(401, _, _) = reply else { return }
        let azure = try ScriptedAzure { request in request.number == 0 ? .azureValue : reply }
        defer { azure.server.stop() }
        let known = try azure.open()
        _ = try known.read(name, nil)
        #expect(failure { _ = try known.read(name, nil) }?.code == .vaultUnavailable)
        #expect(azure.tokensAsked == 1)
    }

    @Test("gets another token once when the vault's challenge says that one is dead, and then gives up")
    func dead() throws {
        let azure = try ScriptedAzure { request in
            request.headers["authorization"] == "Bearer hunter2token2"
                ? .azureValue : .challenge("https://127.0.0.1", ", error=\"invalid_token\"")
        }
        defer { azure.server.stop() }
        _ = try azure.open().read(name, nil)
        #expect(azure.tokensAsked == 2 && azure.calls.count == 2)
        let never = try ScriptedAzure { _ in .challenge("https://127.0.0.1") }
        defer { never.server.stop() }
        let found = try #require(failure { _ = try never.open().read(name, nil) })
        #expect(found.code == .vaultLoginFailed && found.message.contains("0000-1111"))
        #expect(!"\(found) \(found.hint)".contains("hunter2") && never.calls.count == 2)
    }

    @Test("does not follow a vault that moves its challenge to another domain")
    func moved() throws {
        let azure = try ScriptedAzure { request in
            request.number == 0 ? .azureValue : .challenge("https://management.azure.com")
        }
        defer { azure.server.stop() }
        let vault = try azure.open()
        _ = try vault.read(name, nil)
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultLoginFailed)
        #expect(azure.tokensAsked == 1)
    }

    // MARK: - Keeping tokens fresh

    @Test("gets another token before one ends, by one of all threads that wait")
    func refreshed() throws {
        let azure = try life(400)
        defer { azure.server.stop() }
        let clock = HandClock()
        let vault = try azure.open(clock: clock)
        _ = try vault.read(name, nil)
        clock.advance(by: .seconds(101))
        let failures = Mutex<[String]>([])
        let threads = (0..<6).map { _ in
            JoinableThread {
                do { _ = try vault.read(name, nil) } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread?.join() }
        #expect(failures.withLock { $0 } == [] && azure.asked() == 2)
    }

    @Test("uses a token to its end when no other can be had, and does not ask all the time")
    func borne() throws {
        let azure = try life(400, later: .answer(500))
        defer { azure.server.stop() }
        let clock = HandClock()
        let vault = try azure.open(clock: clock)
        _ = try vault.read(name, nil)
        clock.advance(by: .seconds(101))
        for _ in 0..<5 { _ = try vault.read(name, nil) }
        #expect(azure.asked() == 2)
        clock.advance(by: .seconds(300))
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultUnavailable)
    }

    /// A vault whose first token lives so many seconds.
    private struct Living {
        let server: ScriptedVault

        func open(clock: any Primitives.Clock) throws -> KeyVault {
            try AzureServer.open(
                server.origin, ["AZURE_POD_IDENTITY_AUTHORITY_HOST": server.origin], clock: clock)
        }

        func asked() -> Int { server.requests.count { $0.target.hasPrefix("/metadata/") } }
    }

    private func life(_ seconds: Int, later: ScriptedVault.Reply = .token("hunter2second")) throws -> Living {
        let count = SharedValue(0)
        return Living(
            server: try ScriptedVault { request in
                guard request.target.hasPrefix("/metadata/") else {
                    return request.headers["authorization"] == nil ? .challenge("https://127.0.0.1") : .azureValue
                }
                let number = count.mutex.withLock { count in
                    count += 1
                    return count
                }
                return number == 1 ? .token("hunter2first", life: seconds) : later
            })
    }

    // MARK: - Ways

    @Test("goes by the platform's signed token, which is read anew each time, and only to the authority that is set")
    func workload() throws {
        let token = try file("token", "first.signed+token\n")
        let azure = try ScriptedAzure { request in
            if request.headers["authorization"] == "Bearer hunter2first" { return .challenge("https://127.0.0.1") }
            return .azureValue
        }
        defer { azure.server.stop() }
        let authority = try ScriptedVault { request in
            .token(String(decoding: request.body, as: UTF8.self).contains("first") ? "hunter2first" : "hunter2second")
        }
        defer { authority.stop() }
        let vault = try azure.open([
            "AZURE_FEDERATED_TOKEN_FILE": token, "AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "ten-ant",
            "AZURE_AUTHORITY_HOST": authority.origin + "/",
        ])
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultLoginFailed)
        _ = try file("token", "second.token")
        _ = try vault.read(name, nil)
        let asked = try #require(authority.requests.first)
        #expect(asked.target == "/ten-ant/oauth2/v2.0/token" && asked.method == "POST")
        #expect(
            String(decoding: asked.body, as: UTF8.self) == "grant_type=client_credentials&client_id=client"
                + "&scope=https%3A%2F%2F127.0.0.1%2F.default&client_assertion_type="
                + "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                + "&client_assertion=first.signed%2Btoken")
    }

    @Test("is not had for a signed token that the authority refuses, which is told without it")
    func workloadRefused() throws {
        let token = try file("token", "hunter2")
        for (status, text, code, says) in [
            (401, "AADSTS700024: hunter2 is not within its time range", ErrorCode.vaultLoginFailed, "expired"),
            (400, "AADSTS70021: No matching federated identity hunter2", .vaultLoginFailed, "federated"),
            (400, "hunter2", .vaultLoginFailed, "400"), (503, "hunter2", .vaultUnavailable, "503"),
        ] {
            let azure = try ScriptedAzure { _ in .azureValue }
            defer { azure.server.stop() }
            let authority = try ScriptedVault { _ in
                .answer(status, body: "{\"error\":\"invalid_client\",\"error_description\":\"\(text)\"}")
            }
            defer { authority.stop() }
            let vault = try azure.open([
                "AZURE_FEDERATED_TOKEN_FILE": token, "AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "t",
                "AZURE_AUTHORITY_HOST": authority.origin,
            ])
            let found = try #require(failure { _ = try vault.read(name, nil) })
            #expect(found.code == code && found.message.contains(says), "\(found)")
            #expect(!"\(found) \(found.hint)".contains("hunter2"))
        }
    }

    @Test("goes by the endpoint that the service's platform sets, with its header")
    func service() throws {
        let azure = try ScriptedAzure { _ in .azureValue }
        defer { azure.server.stop() }
        let endpoint = try ScriptedVault { request in
            request.headers["x-identity-header"] == "hunter2header"
                ? .answer(200, body: "{\"access_token\":\"hunter2service\",\"expires_on\":\"4102444800\"}")
                : .answer(401)
        }
        defer { endpoint.stop() }
        let variables = [
            "IDENTITY_ENDPOINT": endpoint.origin + "/msi/token", "IDENTITY_HEADER": "hunter2header",
            "AZURE_CLIENT_ID": "one",
        ]
        _ = try azure.open(variables).read(name, nil)
        #expect(
            endpoint.requests.first?.target
                == "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2F127.0.0.1&client_id=one")
        #expect(bearer(azure.calls.last) == "Bearer hunter2service")
        let wrong = variables.merging(["IDENTITY_HEADER": "other"]) { $1 }
        #expect(failure { _ = try azure.open(wrong).read(name, nil) }?.code == .vaultLoginFailed)
    }

    @Test("is not had from a machine without an identity, or where no machine of Azure is")
    func machine() throws {
        for (reply, code) in [
            (ScriptedVault.Reply.answer(400, body: "{\"error\":\"invalid_request\"}"), ErrorCode.vaultLoginFailed),
            (.lose, .vaultLoginFailed), (.answer(410), .vaultUnavailable), (.answer(500), .vaultUnavailable),
            (.answer(200, body: "{}"), .corruptObject), (.answer(200, body: "<html>"), .corruptObject),
            (.token("two\\nlines"), .corruptObject),
        ] {
            let azure = try ScriptedAzure { _ in .azureValue }
            defer { azure.server.stop() }
            let metadata = try ScriptedVault { _ in reply }
            defer { metadata.stop() }
            let vault = try azure.open(["AZURE_POD_IDENTITY_AUTHORITY_HOST": metadata.origin])
            #expect(failure { _ = try vault.read(name, nil) }?.code == code)
            #expect(azure.calls.isEmpty)
        }
    }

    static let halves: [[String: String]] = [
        ["AZURE_FEDERATED_TOKEN_FILE": "/nowhere"],
        ["AZURE_FEDERATED_TOKEN_FILE": "/nowhere", "AZURE_CLIENT_ID": "hunter2"],
        [
            "AZURE_FEDERATED_TOKEN_FILE": "/nowhere", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t",
            "AZURE_AUTHORITY_HOST": "http://203.0.113.9",
        ],
        ["IDENTITY_ENDPOINT": "http://127.0.0.1:1/"], ["IDENTITY_HEADER": "hunter2"],
        ["IDENTITY_ENDPOINT": "http://203.0.113.9/msi", "IDENTITY_HEADER": "hunter2"],
        ["AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://203.0.113.9"], ["HOLDFAST_AZURE_CA_FILE": "/nowhere"],
    ]

    @Test("is refused by halves, and from places that are none", arguments: halves)
    func halved(_ variables: [String: String]) throws {
        let found = try #require(failure { _ = try AzureServer.open("some-vault", variables) })
        #expect(found.code == .configuration && !"\(found)".contains("hunter2") && !found.hint.isEmpty)
    }

    @Test("takes credentials out of the environment, also those of other providers and those that it does not use")
    func taken() throws {
        let taken = Mutex<Set<String>>([])
        let environment = AzureEnvironment(
            value: { _ in nil },
            secret: { name in
                taken.withLock { _ = $0.insert(name) }
                return nil
            })
        _ = try environment.open(try AzureVaultLocation("some-vault"), clock: ManualClock())
        let wanted = ["AZURE_CLIENT_SECRET", "IDENTITY_HEADER", "AWS_SECRET_ACCESS_KEY", "BAO_TOKEN", "VAULT_TOKEN"]
        #expect(taken.withLock { $0.isSuperset(of: wanted) })
    }

    @Test("goes by a private authority alone where one is named", .enabled(if: AzureServer.isInstalled))
    func authorities() throws {
        let forge = CertificateForge(in: directory.path)
        for name in ["ca", "other"] { try forge.authority(name) }
        var setup = AzureServer.Setup()
        setup.certificate = try forge.certificate("good", by: "ca", for: "IP:127.0.0.1")
        let server = try AzureServer(setup, in: directory.path)
        defer { server.stop() }
        let page = try server.open().list(under: "", after: nil, limit: 5)
        #expect(page.secrets.isEmpty && page.next != nil)
        for authority in [directory.path + "/other.pem", nil] {
            var variables = server.variables()
            variables["HOLDFAST_AZURE_CA_FILE"] = authority
            let found = failure { _ = try AzureServer.open(server.origin, variables).describe(name) }
            #expect(found?.code == .vaultUnavailable && found?.message.contains("certificate") == true)
        }
    }
}
