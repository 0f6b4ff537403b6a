// Azure Key Vault for one test, and answers as it gives them.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import VaultProviders
import VaultSupport

/// A scripted vault that gives challenges and tokens by itself, and the client that talks to it.
struct ScriptedAzure {
    let server: ScriptedVault
    let clock = ManualClock()

    /// - Parameters:
    ///   - resource: What the challenge asks for a token for.
    ///   - script: Hears of calls with a token alone; `number` counts those.
    init(
        resource: String = "https://127.0.0.1",
        _ script: @escaping @Sendable (ScriptedVault.Request) -> ScriptedVault.Reply
    ) throws {
        let counts = SharedValue((calls: 0, tokens: 0))
        server = try ScriptedVault { request in
            if request.target.hasPrefix("/metadata/") {
                return .token(
                    counts.mutex.withLock { counts in
                        counts.tokens += 1
                        return "hunter2token\(counts.tokens)"
                    })
            }
            guard request.headers["authorization"] != nil else { return .challenge(resource) }
            var request = request
            request.number = counts.mutex.withLock { counts in
                counts.calls += 1
                return counts.calls - 1
            }
            return script(request)
        }
    }

    var variables: [String: String] { ["AZURE_POD_IDENTITY_AUTHORITY_HOST": server.origin] }

    func open(_ variables: [String: String]? = nil, clock: (any Primitives.Clock)? = nil) throws -> KeyVault {
        try AzureServer.open(server.origin, variables ?? self.variables, clock: clock ?? self.clock)
    }

    /// Calls with a token.
    var calls: [ScriptedVault.Request] { server.requests.filter { $0.headers["authorization"] != nil } }
    var tokensAsked: Int { server.requests.count { $0.target.hasPrefix("/metadata/") } }

    static let version = "0b2f9a606f0b4b9e9b7d3d1c5a7e8f01"
    static var name: SecretName { SecretName(validated: Array("app-db".utf8)) }
    static var versionID: SecretVersionID { SecretVersionID(validated: Array(version.utf8)) }
}

/// A value that closures share.
final class SharedValue<Value: Sendable>: Sendable {
    let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
}

extension ScriptedVault.Reply {
    /// The service's way to say no.
    static func azure(_ status: Int, _ code: String, _ inner: String? = nil, headers: [(String, String)] = []) -> Self {
        let more = inner.map { ",\"innererror\":{\"code\":\"\($0)\"}" } ?? ""
        return .answer(
            status, headers: headers,
            body: "{\"error\":{\"code\":\"\(code)\",\"message\":\"hunter2 said the server\"\(more)}}")
    }

    static let azureNotFound = azure(404, "SecretNotFound")

    static func challenge(_ resource: String, _ more: String = "") -> Self {
        .azure(
            401, "Unauthorized",
            headers: [
                (
                    "WWW-Authenticate",
                    "Bearer authorization=\"https://login.example/0000-1111\", resource=\"\(resource)\"\(more)"
                )
            ])
    }

    static func token(_ text: String, life: Int = 3600) -> Self {
        .answer(200, body: "{\"access_token\":\"\(text)\",\"expires_in\":\"\(life)\",\"token_type\":\"Bearer\"}")
    }

    /// A page of a listing of secrets.
    static func azureNames(_ names: [String], next: String? = nil) -> Self {
        let items = names.map {
            "{\"id\":\"https://v.vault.azure.net/secrets/\($0)\",\"attributes\":{\"enabled\":true}}"
        }
        return azurePage(items, next)
    }

    /// Versions of `app-db`, each by its id and the members of its attributes.
    static func azureVersions(_ versions: [(id: String, attributes: String)], next: String? = nil) -> Self {
        azurePage(versions.map { azureItem($0.id, $0.attributes) }, next)
    }

    static func azureItem(_ id: String, _ attributes: String, _ more: String = "") -> String {
        "{\"id\":\"https://v.vault.azure.net/secrets/app-db/\(id)\",\"attributes\":{\(attributes)}\(more)}"
    }

    private static func azurePage(_ items: [String], _ next: String?) -> Self {
        let link = next.map { "\"\($0)\"" } ?? "null"
        return .answer(200, body: "{\"value\":[\(items.joined(separator: ","))],\"nextLink\":\(link)}")
    }

    /// `app-db` with one version.
    static let azureOne = azureVersions([(ScriptedAzure.version, "\"enabled\":true,\"created\":1700000000")])
    static let azureValue = answer(
        200, body: azureItem(ScriptedAzure.version, "\"enabled\":true", ",\"value\":\"hunter2value\""))
}
