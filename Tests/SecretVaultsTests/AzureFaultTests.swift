// What Azure Key Vault says when something is wrong, and what the client makes of it.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("Azure Key Vault that refuses", .waiting)
struct AzureFaultTests {
    private let name = ScriptedAzure.name

    private func put(_ expected: SecretExpectation = .anything) -> SecretPut {
        SecretPut(name, SecretValue(.text, secret("hunter2value")), expected: expected)
    }

    // MARK: - Kinds of failure

    struct Refusal: Sendable, CustomTestStringConvertible {
        var reply: ScriptedVault.Reply
        var code: ErrorCode
        var retry = RetryClass.never
        var says = ""
        var testDescription: String { "\(reply)".prefix(90).description }
    }

    static let refusals = [
        Refusal(reply: .azure(403, "Forbidden", "ForbiddenByRbac"), code: .vaultAccessDenied),
        Refusal(reply: .azure(403, "Forbidden", "AccessDenied"), code: .vaultAccessDenied),
        Refusal(reply: .azure(403, "Forbidden"), code: .vaultAccessDenied),
        Refusal(reply: .azure(403, "Forbidden", "ForbiddenByFirewall"), code: .vaultUnavailable, says: "firewall"),
        Refusal(reply: .azure(403, "Forbidden", "SecretDisabled"), code: .secretDisabled),
        Refusal(
            reply: .answer(403, body: "<html>hunter2</html>"), code: .vaultUnavailable, retry: .later,
            says: "not the vault"),
        Refusal(reply: .azureNotFound, code: .secretNotFound),
        Refusal(
            reply: .answer(404, body: "no backend"), code: .vaultUnavailable, retry: .later, says: "not the vault"),
        Refusal(reply: .answer(404, body: "{}"), code: .vaultUnavailable, retry: .later),
        Refusal(reply: .azure(404, "KeyVaultNotFound"), code: .vaultUnavailable),
        Refusal(reply: .azure(400, "BadParameter"), code: .corruptObject),
        Refusal(reply: .answer(400, body: "no"), code: .vaultUnavailable, retry: .later),
        Refusal(reply: .azure(409, "Conflict", "ObjectIsBeingDeleted"), code: .vaultUnavailable, retry: .later),
        Refusal(reply: .azure(429, "Throttled"), code: .vaultThrottled, retry: .later),
        Refusal(reply: .azure(500, "InternalError"), code: .vaultUnavailable, retry: .later),
        Refusal(reply: .answer(503, body: "hunter2"), code: .vaultUnavailable, retry: .later),
        Refusal(reply: .azure(418, "SomethingNew"), code: .vaultUnavailable, says: "SomethingNew"),
    ]

    @Test("is told by the words of its failure, and by no status alone", arguments: refusals)
    func kinds(_ refusal: Refusal) throws {
        let azure = try ScriptedAzure { request in
            // What a reading looks at after a refusal says that there is nothing.
            request.target.hasPrefix("/deletedsecrets") ? .azureNotFound : refusal.reply
        }
        defer { azure.server.stop() }
        let found = try #require(failure { _ = try azure.open().read(name, ScriptedAzure.versionID) })
        #expect(found.code == refusal.code && found.retry == refusal.retry, "\(found)")
        #expect(found.message.contains(refusal.says))
        #expect(!"\(found) \(found.hint)".contains("hunter2") && !found.hint.isEmpty)
    }

    static let absences = [
        ScriptedVault.Reply.answer(404, body: "default backend"), .answer(400, body: "no"), .answer(404, body: "{}"),
        .answer(200, body: "{}"), .answer(200, body: "<html>"), .azure(400, "BadParameter"), .azure(404, "Other"),
    ]

    @Test("is not taken for empty when something else answers in its place", arguments: absences)
    func empty(_ reply: ScriptedVault.Reply) throws {
        let azure = try ScriptedAzure { _ in reply }
        defer { azure.server.stop() }
        let vault = try azure.open()
        for found in [
            failure { _ = try vault.list(under: "", after: nil, limit: 10) }, failure { _ = try vault.describe(name) },
            failure { _ = try vault.put(put(.absent)) },
        ] {
            let code = try #require(found?.code)
            #expect([.vaultUnavailable, .corruptObject].contains(code), "\(code)")
        }
        #expect(azure.calls.allSatisfy { $0.method == "GET" })
    }

    @Test("is asked again when it throttles, after as long as it says, by whoever is patient")
    func throttled() throws {
        let azure = try ScriptedAzure { request in
            request.number < 2 ? .azure(429, "Throttled", headers: [("Retry-After", "7")]) : .azureValue
        }
        defer { azure.server.stop() }
        let patience = VaultPatience(clock: azure.clock, entropy: SeededEntropy(seed: 7), cancellation: Cancellation())
        let began = azure.clock.now()
        let reading = try RetryingVault(try azure.open(), patience).read(name, nil)
        #expect(reading.version == ScriptedAzure.versionID && azure.calls.count == 3)
        #expect(azure.clock.now().since(began) >= .seconds(14))
    }

    @Test("costs one secret where one may not be read, which is named")
    func denied() throws {
        let azure = try ScriptedAzure { _ in .azure(403, "Forbidden", "ForbiddenByRbac") }
        defer { azure.server.stop() }
        let found = try #require(failure { _ = try azure.open().read(name, nil) })
        #expect(found.context.contains { $0.value == "Microsoft.KeyVault/vaults/secrets/getSecret/action on app-db" })
    }

    @Test("lists what is there when it lets nobody see what is removed, and says so")
    func removedDenied() throws {
        let azure = try ScriptedAzure { request in
            request.target.hasPrefix("/deletedsecrets")
                ? .azure(403, "Forbidden", "ForbiddenByRbac") : .azureNames(["a", "b"])
        }
        defer { azure.server.stop() }
        let vault = try azure.open()
        let first = try vault.list(under: "", after: nil, limit: 10)
        let second = try vault.list(under: "", after: first.next, limit: 10)
        #expect(first.secrets.map(\.name.text) == ["a", "b"] && second.secrets.isEmpty && second.next == nil)
        #expect(second.refused.map(\.code) == [.vaultAccessDenied])
        #expect(try vault.preflight([.list], under: "").missing.map(\.right) == [.list])
    }

    // MARK: - Pages

    static let links = [
        "https://evil.example/secrets?api-version=7.4&$skiptoken=x", "http://127.0.0.1:9/secrets?$skiptoken=x",
        "ORIGIN/other?$skiptoken=x", "ORIGIN/secrets?api-version=7.4&maxresults=10", "//evil.example/secrets?x", "x",
    ]

    @Test("is followed to no other place, and in no circle", arguments: links)
    func pages(_ link: String) throws {
        let origin = SharedValue("")
        let azure = try ScriptedAzure { _ in
            .azureNames(["a"], next: link.replacing("ORIGIN", with: origin.mutex.withLock { $0 }))
        }
        defer { azure.server.stop() }
        origin.mutex.withLock { $0 = azure.server.origin }
        #expect(failure { _ = try azure.open().list(under: "", after: nil, limit: 10) }?.code == .corruptObject)
        #expect(azure.calls.count == 1)
    }

    @Test("does not lead in a circle of versions, and names no other secret's")
    func circle() throws {
        let origin = SharedValue("")
        let azure = try ScriptedAzure { _ in
            let link = origin.mutex.withLock { $0 } + "/secrets/app-db/versions?api-version=7.4&$skiptoken=again"
            return .azureVersions([(ScriptedAzure.version, "\"enabled\":true")], next: link)
        }
        defer { azure.server.stop() }
        origin.mutex.withLock { $0 = azure.server.origin }
        #expect(failure { _ = try azure.open().describe(name) }?.code == .corruptObject)
        #expect(azure.calls.count == 2)
        let other = SecretName(validated: Array("other".utf8))
        let alone = try ScriptedAzure { _ in .azureOne }
        defer { alone.server.stop() }
        #expect(failure { _ = try alone.open().describe(other) }?.code == .corruptObject)
    }

    // MARK: - Answers that make no sense

    static let senseless = [
        "<html>", "{}", "{\"value\":\"x\"}", ScriptedVault.Reply.azureItem(ScriptedAzure.version, ""),
        "{\"id\":\"https://v.vault.azure.net/keys/app-db/1\",\"value\":\"x\"}", "{\"value\":",
        "{\"id\":\"https://v.vault.azure.net/secrets/app-db\",\"value\":\"x\"}",
        "{\"id\":\"https://v.vault.azure.net/secrets/app/db/1\",\"value\":\"x\"}",
    ]

    @Test("is not believed when its answer makes no sense", arguments: senseless)
    func believed(_ body: String) throws {
        let azure = try ScriptedAzure { _ in .answer(200, body: body) }
        defer { azure.server.stop() }
        #expect(failure { _ = try azure.open().read(name, nil) }?.code == .corruptObject)
    }

    @Test("is not believed about another version than the one asked for, nor about a value over the bound")
    func others() throws {
        let long = String(repeating: "x", count: (1 << 20) + 1)
        let azure = try ScriptedAzure { request in
            request.number == 0
                ? .azureValue
                : .answer(200, body: ScriptedVault.Reply.azureItem(ScriptedAzure.version, "", ",\"value\":\"\(long)\""))
        }
        defer { azure.server.stop() }
        let vault = try azure.open()
        let other = try SecretVersionID("22222222222222222222222222222222")
        #expect(failure { _ = try vault.read(name, other) }?.code == .corruptObject)
        let found = failure { _ = try vault.read(name, ScriptedAzure.versionID) }
        #expect(found?.code == .limitExceeded && found?.message.contains("app-db") == true)
    }

    // MARK: - Writes

    @Test("leaves open what became of a write that it failed at, or whose answer was lost")
    func unknown() throws {
        for reply in [ScriptedVault.Reply.azure(500, "InternalError"), .lose] {
            let azure = try ScriptedAzure { request in
                switch request.method {
                case "PUT", "PATCH", "DELETE": reply
                default: .azureOne
                }
            }
            defer { azure.server.stop() }
            let vault = try azure.open()
            #expect(failure { _ = try vault.put(put()) }?.code == .writeUnknown)
            let disable = SecretChange.state(.disable, of: ScriptedAzure.versionID)
            #expect(failure { try vault.change(name, disable) }?.code == .writeUnknown)
            #expect(failure { try vault.change(name, .remove(.recoverable)) }?.code == .writeUnknown)
        }
    }

    @Test("is looked at after a put without an answer: what is there then with its value was done")
    func lookedAt() throws {
        let new = "22222222222222222222222222222222"
        let azure = try ScriptedAzure { request in
            switch (request.method, request.target) {
            case ("PUT", _): return .lose
            case (_, let target) where target.contains("/versions"):
                let one = (ScriptedAzure.version, "\"enabled\":true,\"created\":1700000000")
                let other = (new, "\"enabled\":true,\"created\":1700000009")
                return .azureVersions(request.number == 0 ? [one] : [one, other])
            default: return .answer(200, body: ScriptedVault.Reply.azureItem(new, "", ",\"value\":\"hunter2value\""))
            }
        }
        defer { azure.server.stop() }
        #expect(try azure.open().put(put(.current(ScriptedAzure.versionID))).id.text == new)
    }

    @Test("keeps a put open that is not there, or where nobody can look")
    func stillOpen() throws {
        for after in [ScriptedVault.Reply.azureOne, .azure(503, "Busy"), .answer(404, body: "default backend")] {
            let wasPut = SharedValue(false)
            let azure = try ScriptedAzure { request in
                if request.method == "PUT" {
                    wasPut.mutex.withLock { $0 = true }
                    return .lose
                }
                return wasPut.mutex.withLock { $0 } ? after : .azureOne
            }
            defer { azure.server.stop() }
            #expect(failure { _ = try azure.open().put(put()) }?.code == .writeUnknown)
        }
    }

    @Test("is waited for when it removes, and left open when the end is not seen")
    func removing() throws {
        let azure = try ScriptedAzure { request in
            switch (request.method, request.target.hasPrefix("/deletedsecrets")) {
            case ("DELETE", _): .answer(200, body: "{}")
            case (_, true): .azureNotFound
            default: .azureOne
            }
        }
        defer { azure.server.stop() }
        let began = azure.clock.now()
        #expect(failure { try azure.open().change(name, .remove(.recoverable)) }?.code == .writeUnknown)
        #expect(azure.calls.count == 22 && azure.clock.now().since(began) > .seconds(20))
    }

    // MARK: - Records

    @Test("tells dates that no clock here can hold by its own words, and ends no process by them")
    func dates() throws {
        let far = "\"enabled\":true,\"created\":1700000000,\"exp\":253402300799,\"nbf\":9223372036854775808"
        let azure = try ScriptedAzure { _ in .azureVersions([(ScriptedAzure.version, far)]) }
        defer { azure.server.stop() }
        let version = try #require(try azure.open().describe(name).versions.first)
        #expect(version.attributes == SecretVersionAttributes() && version.extras["exp"] == "253402300799")
        #expect(version.extras["nbf"] == "9223372036854775808" && version.created == Timestamp(seconds: 1_700_000_000))
    }

    @Test("says where the order of versions of one second can't be told")
    func oneSecond() throws {
        let attributes = "\"enabled\":true,\"created\":1700000000"
        let azure = try ScriptedAzure { _ in
            .azureVersions([("b", attributes), ("a", attributes), ("c", "\"enabled\":true,\"created\":1600000000")])
        }
        defer { azure.server.stop() }
        let record = try azure.open().describe(name)
        #expect(record.versions.map(\.id.text) == ["c", "a", "b"] && record.current?.text == "b")
        #expect(record.extras[KeyVault.ambiguousOrder] == "2")
    }
}
