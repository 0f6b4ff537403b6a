// Regions of AWS Secrets Manager for the tests of the program.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import Testing
import VaultProviders
import VaultSupport

/// A repository, and a region of its own on the copy of AWS that all tests share.
struct AWSRun {
    /// Each is one test's.
    private static let regions = Mutex([
        "us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1",
        "eu-south-1", "ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1",
        "ap-southeast-2", "ca-central-1", "sa-east-1", "me-south-1", "af-south-1", "ap-east-1",
        "ap-east-2", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6",
        "ap-southeast-7", "ca-west-1", "eu-south-2", "il-central-1", "me-central-1", "mx-central-1",
    ])

    var vault: VaultRun
    let server: MotoServer
    let region: String
    let keys: MotoServer.Keys
    private let client: SecretsManager

    var url: String { "vault:aws:\(region)" }

    init() throws {
        server = try MotoServer.inMemory()
        region = try Self.takeRegion()
        keys = try #require(server.keys())
        client = try server.open(in: region)
        vault = try VaultRun()
        vault.run.variables.merge(server.variables(keys)) { $1 }
    }

    private static func takeRegion() throws -> String {
        try #require(regions.withLock { $0.popLast() }, "there are more tests than regions")
    }

    /// Another empty region.
    func freshURL() throws -> String { "vault:aws:\(try Self.takeRegion())" }

    /// By the client, which is faster than a run of the program for each.
    @discardableResult
    func put(
        _ name: String, _ value: String, _ staging: SecretStaging = .current, in region: String? = nil
    ) throws -> SecretVersionID {
        let vault = try region.map { try server.open(in: $0) } ?? client
        let bytes = SecretBytes(copying: Array(value.utf8).span.bytes)
        return try vault.put(
            SecretPut(try SecretName(name), SecretValue(.text, bytes), expected: .anything, staging: staging)
        ).id
    }

    func change(_ name: String, _ change: SecretChange) throws { try client.change(try SecretName(name), change) }

    func record(_ name: String, in url: String? = nil) throws -> SecretRecord {
        let region = (url ?? self.url).split(separator: ":").last.map(String.init) ?? ""
        return try server.open(in: region).describe(try SecretName(name))
    }

    /// Names and versions, in order.
    func standing(_ url: String? = nil) throws -> [String] { try vault.standing(url ?? self.url).sorted() }

    func backUp(_ status: Int32 = 0) throws -> RunResult {
        let result = try vault.run("backup", url, "--source", "secrets")
        #expect(result.status == status, "\(result.errors)")
        return result
    }

    /// Facts of the newest snapshot.
    func facts() throws -> [String: String] {
        let list = try vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
        return try #require(list?.last?["facts"] as? [String: String])
    }

    /// The same program behind a script.
    func behind(_ scripted: ScriptedVault) -> ProgramRun {
        var run = vault.run
        run.variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = scripted.origin
        return run
    }
}

extension ScriptedVault.Request {
    /// Of AWS: what is asked for.
    var operation: String { headers["x-amz-target"]?.split(separator: ".").last.map(String.init) ?? "" }
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension ScriptedVault.Reply {
    /// AWS's way to say no.
    static func refusal(_ kind: String) -> Self { .answer(400, body: "{\"__type\":\"\(kind)\"}") }
}
