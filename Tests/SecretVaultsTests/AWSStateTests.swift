// States of secrets, and answers that cross or get lost, as AWS has them.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("AWS Secrets Manager in states of its own", .waiting)
struct AWSStateTests {
    private let name = ScriptedAWS.name

    // MARK: - Reading

    @Test("gives secrets that other services have under names which nobody else may choose")
    func managed() throws {
        let aws = try ScriptedAWS { request in
            switch request.operation {
            case "ListSecrets": .secrets(["app/db", "rds!db-x"])
            case "GetSecretValue": .value
            default: .described(request)
            }
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let managed = SecretName(validated: Array("rds!db-x".utf8))
        for prefix in ["", "rds!", "!"] {
            let found = try vault.list(under: prefix, after: nil, limit: 10).secrets.map(\.name)
            #expect(found == [name, managed].filter { $0.text.hasPrefix(prefix) })
        }
        // A filter that begins so would be turned round.
        #expect(aws.calls("ListSecrets").map { $0.text.contains("Filters") } == [false, true, false])
        #expect(try vault.describe(managed).versions.map(\.id.text) == [ScriptedAWS.version])
        #expect(try vault.read(managed, nil).version.text == ScriptedAWS.version)
        let put = SecretPut(managed, SecretValue(.text, secret("new")), expected: .anything)
        #expect(failure { _ = try vault.put(put) }?.code == .limitExceeded)
        // This would be an ARN, which stands for a secret of another name.
        let arn = SecretName(validated: Array("arn:aws:secretsmanager:eu-central-1:1:secret:app/db-AbCdEf".utf8))
        #expect(failure { _ = try vault.describe(arn) }?.code == .secretNotFound)
        #expect(failure { _ = try vault.read(arn, nil) }?.code == .secretNotFound)
    }

    @Test("does not lead from a page of secrets to the same page")
    func circle() throws {
        let aws = try ScriptedAWS { _ in
            .answer(200, body: "{\"SecretList\":[{\"Name\":\"app/db\"}],\"NextToken\":\"again\"}")
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let page = try vault.list(under: "", after: nil, limit: 1)
        #expect(failure { _ = try vault.list(under: "", after: page.next, limit: 1) }?.code == .corruptObject)
    }

    @Test("is looked at again where a secret was removed between two calls")
    func removedBetween() throws {
        let aws = try ScriptedAWS { request in
            switch (request.operation, request.number) {
            case ("DescribeSecret", 0): .answer(200, body: "{\"Name\":\"app/db\"}")
            case ("DescribeSecret", _):
                .answer(
                    200,
                    body: "{\"Name\":\"app/db\",\"DeletedDate\":4.0e9,\"VersionIdsToStages\":"
                        + "{\"\(ScriptedAWS.version)\":[\"AWSCURRENT\"]}}")
            default: .refusal("InvalidRequestException")
            }
        }
        defer { aws.server.stop() }
        let record = try aws.open().describe(name)
        #expect(record.removal?.purge == Timestamp(seconds: 4_000_000_000))
        #expect(record.versions.map(\.id.text) == [ScriptedAWS.version])
    }

    @Test(
        "refuses one secret in a state that it does not explain, and no more than that one",
        arguments: ["DescribeSecret", "ListSecretVersionIds", "GetSecretValue"])
    func odd(_ operation: String) throws {
        let aws = try ScriptedAWS { request in
            request.operation == operation ? .refusal("InvalidRequestException") : .described(request)
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let found = failure {
            if operation == "GetSecretValue" { _ = try vault.read(name, nil) } else { _ = try vault.describe(name) }
        }
        #expect(found?.code == .vaultAccessDenied && found?.message.contains("app/db") == true)
        #expect(found?.context.contains { $0.value == "secretsmanager:\(operation) of app/db" } == true)
    }

    @Test("tells in which regions a secret has replicas, and nothing of them that changes by itself")
    func replicas() throws {
        let dates = Mutex(0)
        let aws = try ScriptedAWS { request in
            guard request.operation == "DescribeSecret" else { return .described(request) }
            let date = dates.withLock { dates in
                dates += 1
                return dates
            }
            let replicas = ["us-east-1", "eu-west-1"].map {
                "{\"Region\":\"\($0)\",\"Status\":\"InSync\",\"LastAccessedDate\":\(date)}"
            }
            return .answer(
                200, body: "{\"Name\":\"app/db\",\"ReplicationStatus\":[\(replicas.joined(separator: ","))]}")
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let first = try vault.describe(name)
        #expect(first.extras["ReplicationStatus"] == "eu-west-1 us-east-1")
        #expect(try vault.describe(name) == first)
    }

    // MARK: - Answers that cross

    @Test("is believed about the time by each of two requests that were under way when the clock was found wrong")
    func skewedTogether() throws {
        let waiting = Mutex(0)
        let aws = try ScriptedAWS { request in
            if request.headers["x-amz-date"] == "20261130T120000Z" { return .value }
            // Neither is answered before both are signed.
            waiting.withLock { $0 += 1 }
            for _ in 0..<2000 where waiting.withLock({ $0 }) < 2 { rest() }
            return .refusal(
                "InvalidSignatureException", headers: [("Date", "Mon, 30 Nov 2026 12:00:00 GMT")])
        }
        defer { aws.server.stop() }
        let (vault, name) = (try aws.open(), name)
        let failures = Mutex<[HoldfastError]>([])
        withThreads(2) { _ in
            do throws(HoldfastError) {
                _ = try vault.read(name, SecretVersionID?.none)
            } catch {
                failures.withLock { $0.append(error) }
            }
        }
        #expect(failures.withLock { $0 }.isEmpty)
        #expect(aws.server.requests.count == 4)
    }

    // MARK: - Answers that get lost

    /// A secret as the service keeps it, whose first answers to writes are lost.
    private final class Kept: Sendable {
        struct State {
            var value: String?
            var labels: Set<String> = []
            var lost: Int
        }

        let state: Mutex<State>
        let id: String
        let isDone: Bool

        /// - Parameter isDone: Whether what is lost was carried out.
        init(_ id: String, losing lost: Int, isDone: Bool) {
            (self.id, self.isDone) = (id, isDone)
            state = Mutex(State(lost: lost))
        }

        func answer(_ request: ScriptedVault.Request) -> ScriptedVault.Reply {
            state.withLock { state in
                switch request.operation {
                case "CreateSecret", "PutSecretValue":
                    let isLost = state.lost > 0
                    state.lost -= 1
                    if !isLost || isDone {
                        state.value = "hunter2value"
                        state.labels =
                            request.text.contains("holdfast-unlabelled")
                            ? ["holdfast-unlabelled"] : ["AWSCURRENT"]
                    }
                    return isLost ? .lose : .answer(200, body: "{}")
                case "UpdateSecretVersionStage":
                    if request.text.contains("holdfast-unlabelled") { state.labels.remove("holdfast-unlabelled") }
                    if request.text.contains("\"mine\"") { state.labels.insert("mine") }
                    return .answer(200, body: "{}")
                default: break
                }
                guard state.value != nil else { return .refusal("ResourceNotFoundException") }
                switch request.operation {
                case "DescribeSecret": return .answer(200, body: "{\"Name\":\"app/db\"}")
                case "GetSecretValue":
                    return .answer(200, body: "{\"VersionId\":\"\(id)\",\"SecretString\":\"hunter2value\"}")
                default:
                    let labels = state.labels.map { "\"\($0)\"" }.joined(separator: ",")
                    return .answer(
                        200, body: "{\"Versions\":[{\"VersionId\":\"\(id)\",\"VersionStages\":[\(labels)]}]}")
                }
            }
        }
    }

    struct Loss: Sendable, CustomTestStringConvertible {
        var isDone: Bool
        var losing: Int
        var creations: Int
        var testDescription: String { "\(losing) lost, carried out: \(isDone)" }
    }

    static let losses = [
        Loss(isDone: true, losing: 1, creations: 1), Loss(isDone: false, losing: 1, creations: 2),
        Loss(isDone: false, losing: 2, creations: 2),
    ]

    @Test("is asked what became of a put whose answer was lost, and asked for the same once more", arguments: losses)
    func lost(_ loss: Loss) throws {
        let id = try SecretVersionID("44444444-4444-4444-4444-444444444444")
        let kept = Kept(id.text, losing: loss.losing, isDone: loss.isDone)
        let aws = try ScriptedAWS { kept.answer($0) }
        defer { aws.server.stop() }
        let staging = SecretStaging.labels([try StagingLabel("mine")])
        let vault = try aws.open()
        let put = SecretPut(
            name, SecretValue(.text, secret("hunter2value")), expected: .absent, staging: staging, id: id)
        if loss.losing < 2 {
            let version = try vault.put(put)
            #expect(version.id == id && version.labels.map(\.text) == ["AWSCURRENT", "mine"])
        } else {
            #expect(failure { _ = try vault.put(put) }?.code == .writeUnknown)
        }
        let creations = aws.calls("CreateSecret")
        #expect(creations.count == loss.creations)
        #expect(creations.allSatisfy { $0.text.contains("\"ClientRequestToken\":\"\(id)\"") })
    }

    @Test("moves a label once, and once more where the answer to that was lost and nothing was done")
    func lostMove() throws {
        let other = "55555555-5555-5555-5555-555555555555"
        for isDone in [true, false] {
            let state = Mutex((holder: ScriptedAWS.version, calls: 0))
            let aws = try ScriptedAWS { request in
                state.withLock { state in
                    if request.operation == "UpdateSecretVersionStage" {
                        state.calls += 1
                        if state.calls > 1 || isDone { state.holder = other }
                        return state.calls > 1 ? .answer(200, body: "{}") : .lose
                    }
                    guard request.operation == "ListSecretVersionIds" else { return .described(request) }
                    let versions = [ScriptedAWS.version, other].map { id in
                        "{\"VersionId\":\"\(id)\",\"VersionStages\":[\(id == state.holder ? "\"AWSCURRENT\"" : "")]}"
                    }
                    return .answer(200, body: "{\"Versions\":[\(versions.joined(separator: ","))]}")
                }
            }
            defer { aws.server.stop() }
            let (from, to) = (try SecretVersionID(ScriptedAWS.version), try SecretVersionID(other))
            try aws.open().change(name, .label(SecretsManager.stages.current, from: from, to: to))
            #expect(
                state.withLock { $0.holder } == other && aws.calls("UpdateSecretVersionStage").count == (isDone ? 1 : 2)
            )
        }
    }
}

private func rest() { SystemClock().sleep(for: .milliseconds(5), unless: Cancellation()) }
