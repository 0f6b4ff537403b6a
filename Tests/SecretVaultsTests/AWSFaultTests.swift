// What AWS says when something is wrong, and what the client makes of it.

import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("AWS Secrets Manager that refuses", .waiting)
struct AWSFaultTests {
    private let name = ScriptedAWS.name

    // MARK: - Kinds of failure

    struct Refusal: Sendable, CustomTestStringConvertible {
        var kind: String
        var status = 400
        var code: ErrorCode
        var retry = RetryClass.never
        var testDescription: String { "\(kind) \(status)" }
    }

    static let refusals = [
        Refusal(kind: "AccessDeniedException", code: .vaultAccessDenied),
        Refusal(kind: "DecryptionFailure", code: .vaultAccessDenied),
        Refusal(kind: "ThrottlingException", code: .vaultThrottled, retry: .later),
        Refusal(kind: "com.amazonaws.secretsmanager#ThrottlingException", code: .vaultThrottled, retry: .later),
        Refusal(kind: "TooManyRequestsException", status: 429, code: .vaultThrottled, retry: .later),
        Refusal(kind: "ResourceNotFoundException", code: .secretNotFound),
        Refusal(kind: "ResourceNotFoundException", status: 404, code: .secretNotFound),
        Refusal(kind: "UnrecognizedClientException", code: .vaultLoginFailed),
        Refusal(kind: "InvalidSignatureException", code: .vaultLoginFailed),
        Refusal(kind: "ExpiredTokenException", code: .vaultLoginFailed),
        Refusal(kind: "LimitExceededException", code: .limitExceeded),
        Refusal(kind: "InternalServiceError", status: 500, code: .vaultUnavailable, retry: .later),
        Refusal(kind: "SomethingNew", code: .vaultUnavailable),
    ]

    @Test("is told by the type of its failure, whose words are not repeated", arguments: refusals)
    func kinds(_ refusal: Refusal) throws {
        let aws = try ScriptedAWS { _ in .refusal(refusal.kind, status: refusal.status) }
        defer { aws.server.stop() }
        let found = try #require(failure { _ = try aws.open().read(name, nil) })
        #expect(found.code == refusal.code && found.retry == refusal.retry)
        #expect(!"\(found) \(found.hint)".contains("hunter2"))
        #expect(!found.hint.isEmpty)
    }

    @Test("is understood where the type stands in a header or in XML")
    func places() throws {
        let aws = try ScriptedAWS { request in
            request.number == 0
                ? .answer(400, headers: [("x-amzn-ErrorType", "AccessDeniedException:http://x/")], body: "{}")
                : .answer(403, body: "<Error><Code>InvalidAccessKeyId</Code><Message>no</Message></Error>")
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let denied = try #require(failure { _ = try vault.read(name, nil) })
        #expect(denied.code == .vaultAccessDenied)
        #expect(denied.context.contains { $0.value == "secretsmanager:GetSecretValue of app/db" })
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultLoginFailed)
    }

    @Test("is asked again when it throttles, by whoever is patient")
    func throttled() throws {
        let aws = try ScriptedAWS { request in request.number < 2 ? .refusal("ThrottlingException") : .value }
        defer { aws.server.stop() }
        let patience = VaultPatience(clock: aws.clock, entropy: SeededEntropy(seed: 7), cancellation: Cancellation())
        let reading = try RetryingVault(try aws.open(), patience).read(name, nil)
        #expect(reading.version.text == ScriptedAWS.version && aws.server.requests.count == 3)
    }

    @Test("is believed about the time, and the request signed anew")
    func skewed() throws {
        let aws = try ScriptedAWS { request in
            request.headers["x-amz-date"] == "20261130T120000Z"
                ? .value
                : .refusal(
                    "InvalidSignatureException", headers: [("Date", "Mon, 30 Nov 2026 12:00:00 GMT")])
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        for _ in 0..<2 { _ = try vault.read(name, nil) }
        // Once to learn the time, which is kept.
        #expect(aws.server.requests.count == 3)
    }

    @Test("is not asked for ever when its time makes no difference")
    func stillSkewed() throws {
        let aws = try ScriptedAWS { _ in
            .refusal("RequestTimeTooSkewed", status: 403, headers: [("Date", "Mon, 30 Nov 2026 12:00:00 GMT")])
        }
        defer { aws.server.stop() }
        #expect(failure { _ = try aws.open().read(name, nil) }?.code == .vaultLoginFailed)
        #expect(aws.server.requests.count == 2)
    }

    // MARK: - Writes

    @Test("leaves open what became of a write that it failed at, or whose answer was lost")
    func unknown() throws {
        let aws = try ScriptedAWS { request in
            switch request.operation {
            case "CreateSecret": request.text.contains("lost") ? .lose : .refusal("InternalServiceError", status: 500)
            default: .refusal("ResourceNotFoundException")
            }
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        for text in ["failed", "lost"] {
            let put = SecretPut(name, SecretValue(.text, secret(text)), expected: .absent)
            #expect(failure { _ = try vault.put(put) }?.code == .writeUnknown)
        }
    }

    @Test("leaves a write open of which only the first step was done")
    func halfDone() throws {
        let aws = try ScriptedAWS { request in
            switch request.operation {
            case "PutSecretValue": .answer(200, body: "{}")
            case "UpdateSecretVersionStage": .refusal("ThrottlingException")
            default: .described(request)
            }
        }
        defer { aws.server.stop() }
        let put = SecretPut(name, SecretValue(.text, secret("new")), expected: .anything, staging: .labels([]))
        let found = try #require(failure { _ = try aws.open().put(put) })
        #expect(found.code == .writeUnknown && found.retry == .never)
    }

    @Test("gives every put a token of its own, which is the version's id")
    func tokens() throws {
        let aws = try ScriptedAWS { request in
            request.operation == "PutSecretValue" ? .refusal("ThrottlingException") : .described(request)
        }
        defer { aws.server.stop() }
        let id = try SecretVersionID("11111111-1111-1111-1111-111111111111")
        let put = SecretPut(name, SecretValue(.text, secret("new")), expected: .anything, id: id)
        #expect(failure { _ = try aws.open().put(put) }?.code == .vaultThrottled)
        #expect(aws.calls("PutSecretValue").allSatisfy { $0.text.contains("\"ClientRequestToken\":\"\(id)\"") })
    }

    // MARK: - Answers that make no sense

    static let senseless = [
        "<html>", "{}", "{\"VersionId\":\"\(ScriptedAWS.version)\"}", "{\"SecretString\":\"x\"}",
        "{\"VersionId\":\"\(ScriptedAWS.version)\",\"SecretBinary\":\"!!!!\"}", "{\"SecretString\":",
    ]

    @Test("is not believed when its answer makes no sense", arguments: senseless)
    func believed(_ body: String) throws {
        let aws = try ScriptedAWS { _ in .answer(200, body: body) }
        defer { aws.server.stop() }
        #expect(failure { _ = try aws.open().read(name, nil) }?.code == .corruptObject)
    }

    @Test("is not believed about another version than the one asked for")
    func otherVersion() throws {
        let aws = try ScriptedAWS { _ in .value }
        defer { aws.server.stop() }
        let other = try SecretVersionID("22222222-2222-2222-2222-222222222222")
        #expect(failure { _ = try aws.open().read(name, other) }?.code == .corruptObject)
    }

    @Test("does not lead in a circle of pages")
    func circle() throws {
        let page = "{\"Versions\":[{\"VersionId\":\"\(ScriptedAWS.version)\"}],\"NextToken\":\"again\"}"
        let aws = try ScriptedAWS { request in
            request.operation == "DescribeSecret" ? .described(request) : .answer(200, body: page)
        }
        defer { aws.server.stop() }
        #expect(failure { _ = try aws.open().describe(name) }?.code == .corruptObject)
    }

    @Test("tells instants to the millisecond, and when a removed secret goes or went")
    func dates() throws {
        let aws = try ScriptedAWS { request in
            guard request.operation == "DescribeSecret" else { return .described(request) }
            let date = request.number < 2 ? "1.0e9" : "4.0e9"
            return .answer(200, body: "{\"Name\":\"app/db\",\"DeletedDate\":\(date)}")
        }
        defer { aws.server.stop() }
        let vault = try aws.open()
        let past = try vault.describe(name)
        #expect(past.versions.first?.created == Timestamp(seconds: 1_700_000_000, nanoseconds: 123_000_000))
        #expect(past.removal == SecretRemoval(at: Timestamp(seconds: 1_000_000_000), purge: nil))
        let ahead = try vault.describe(name).removal
        #expect(ahead == SecretRemoval(at: nil, purge: Timestamp(seconds: 4_000_000_000)))
    }
}
