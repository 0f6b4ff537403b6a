// AWS Secrets Manager for one test, and answers as AWS gives them.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import VaultProviders
import VaultSupport

/// A scripted AWS, and the client that talks to it.
struct ScriptedAWS {
    let server: ScriptedVault
    let clock = ManualClock()

    init(_ script: @escaping @Sendable (ScriptedVault.Request) -> ScriptedVault.Reply) throws {
        server = try ScriptedVault(script: script)
    }

    /// By keys that do not end, unless `variables` name another way.
    func open(
        _ variables: [String: String] = Self.keys, clock: (any Primitives.Clock)? = nil
    ) throws -> SecretsManager {
        let all = variables.merging(["AWS_ENDPOINT_URL": server.origin]) { given, _ in given }
        return try MotoServer.open(all, clock: clock ?? self.clock)
    }

    static let keys = [
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2secret",
        "AWS_SESSION_TOKEN": "hunter2token",
    ]

    /// Requests for this operation.
    func calls(_ operation: String) -> [ScriptedVault.Request] {
        server.requests.filter { $0.operation == operation }
    }
}

extension ScriptedVault.Request {
    var operation: String { headers["x-amz-target"]?.split(separator: ".").last.map(String.init) ?? "" }
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension ScriptedVault.Reply {
    /// The service's way to say no.
    static func refusal(_ kind: String, status: Int = 400, headers: [(String, String)] = []) -> Self {
        .answer(status, headers: headers, body: "{\"__type\":\"\(kind)\",\"Message\":\"hunter2 said the server\"}")
    }

    static func secrets(_ names: [String]) -> Self {
        .answer(200, body: "{\"SecretList\":[\(names.map { "{\"Name\":\"\($0)\"}" }.joined(separator: ","))]}")
    }

    static let value = Self.answer(
        200, body: "{\"VersionId\":\"\(ScriptedAWS.version)\",\"SecretString\":\"hunter2value\"}")

    /// `DescribeSecret` or `ListSecretVersionIds` of a secret with one version, as the request asks.
    static func described(_ request: ScriptedVault.Request) -> Self {
        request.operation == "DescribeSecret"
            ? .answer(200, body: "{\"Name\":\"app/db\",\"CreatedDate\":1.7e9}")
            : .answer(
                200,
                body: "{\"Versions\":[{\"VersionId\":\"\(ScriptedAWS.version)\",\"CreatedDate\":1.700000000123E9,"
                    + "\"VersionStages\":[\"AWSCURRENT\"]}]}")
    }
}

extension ScriptedAWS {
    static let version = "0b2f9a60-6f0b-4b9e-9b7d-3d1c5a7e8f01"

    static var name: SecretName { SecretName(validated: Array("app/db".utf8)) }
}
