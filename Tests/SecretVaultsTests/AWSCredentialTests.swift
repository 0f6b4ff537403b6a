// The ways to credentials for AWS, each against a scripted server.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("Credentials for AWS", .waiting)
struct AWSCredentialTests {
    private let name = ScriptedAWS.name
    private let directory = TemporaryDirectory()

    private func file(_ name: String, _ text: String) throws -> String {
        let path = directory.path + "/" + name
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// The id of the key that signed a request.
    private func signer(_ request: ScriptedVault.Request) -> String? {
        request.headers["authorization"]?.split(separator: "Credential=").last?.split(separator: "/").first
            .map(String.init)
    }

    /// As the endpoints of containers and machines give them.
    private static func given(_ id: String, _ expires: String) -> ScriptedVault.Reply {
        .answer(
            200,
            body: "{\"Code\":\"Success\",\"AccessKeyId\":\"\(id)\",\"SecretAccessKey\":\"hunter2key\","
                + "\"Token\":\"hunter2token\",\"Expiration\":\"\(expires)\"}")
    }

    private static func assumed(_ id: String, _ expires: String) -> ScriptedVault.Reply {
        .answer(
            200,
            body: """
                <AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
                <AccessKeyId>\(id)</AccessKeyId><SecretAccessKey>hunter2&amp;key</SecretAccessKey>
                <SessionToken>hunter2token</SessionToken><Expiration>\(expires)</Expiration>
                </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
                """)
    }

    // MARK: - Environment

    @Test("are taken from the environment, with the session's token")
    func environment() throws {
        let aws = try ScriptedAWS { _ in .value }
        defer { aws.server.stop() }
        _ = try aws.open().read(name, nil)
        let request = try #require(aws.server.requests.first)
        #expect(request.headers["x-amz-security-token"] == "hunter2token" && signer(request) == "AKIDEXAMPLE")
        #expect(request.headers["authorization"]?.contains(";x-amz-security-token;x-amz-target,") == true)
    }

    static let halves: [[String: String]] = [
        ["AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"], ["AWS_SECRET_ACCESS_KEY": "hunter2"],
        ["AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"],
        ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "no-slash"],
        ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://203.0.113.9/keys"],
        ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://user@169.254.170.2/keys"],
        ["AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://203.0.113.9"],
        ["AWS_ENDPOINT_URL": "https://proxy.example/path"],
    ]

    @Test("are refused by halves, and from places that are none", arguments: halves)
    func halved(_ variables: [String: String]) throws {
        let found = try #require(failure { _ = try MotoServer.open(variables) })
        #expect(found.code == .configuration && !"\(found)".contains("hunter2") && !found.hint.isEmpty)
    }

    @Test("are missed when there is no way to any")
    func none() throws {
        let found = failure { _ = try MotoServer.open(["AWS_EC2_METADATA_DISABLED": "true"]) }
        #expect(found?.code == .vaultLoginFailed)
    }

    // MARK: - Web identity

    @Test("are got for the platform's token, which is read anew each time")
    func webIdentity() throws {
        let token = try file("token", "first+token\n")
        let aws = try ScriptedAWS { request in
            guard request.operation.isEmpty else {
                return request.headers["authorization"]?.contains("ASIAFIRST") == true
                    ? .refusal("ExpiredTokenException") : .value
            }
            return Self.assumed(request.text.contains("second") ? "ASIASECOND" : "ASIAFIRST", "2099-01-01T00:00:00Z")
        }
        defer { aws.server.stop() }
        let vault = try aws.open([
            "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/backup",
        ])
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultLoginFailed)
        _ = try file("token", "second.token")
        _ = try vault.read(name, nil)
        let asked = aws.server.requests.filter { $0.operation.isEmpty }
        #expect(asked.first?.headers["authorization"] == nil)
        #expect(
            asked.first?.text == "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                + "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fbackup&RoleSessionName=holdfast"
                + "&WebIdentityToken=first%2Btoken")
        #expect(aws.server.requests.last.flatMap(signer) == "ASIASECOND")
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        var kind: String
        var status = 400
        var code: ErrorCode
        var testDescription: String { kind }
    }

    static let refused = [
        Refused(kind: "ExpiredTokenException", code: .vaultLoginFailed),
        Refused(kind: "InvalidIdentityToken", code: .vaultLoginFailed),
        Refused(kind: "AccessDenied", status: 403, code: .vaultLoginFailed),
        Refused(kind: "IDPCommunicationError", code: .vaultUnavailable),
        Refused(kind: "InternalFailure", status: 500, code: .vaultUnavailable),
    ]

    @Test("are not to be had when AWS STS refuses, which is told without the token", arguments: refused)
    func webIdentityRefused(_ refused: Refused) throws {
        let token = try file("token", "hunter2")
        let body =
            "<ErrorResponse><Error><Code>\(refused.kind)</Code><Message>hunter2</Message></Error></ErrorResponse>"
        let aws = try ScriptedAWS { _ in .answer(refused.status, body: body) }
        defer { aws.server.stop() }
        let vault = try aws.open(["AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/backup"])
        let found = try #require(failure { _ = try vault.read(name, nil) })
        #expect(found.code == refused.code && !"\(found) \(found.hint)".contains("hunter2"))
    }

    // MARK: - Containers

    @Test("are got from the container's endpoint, with what stands in its file")
    func container() throws {
        let token = try file("token", "Bearer hunter2")
        let aws = try ScriptedAWS { request in
            request.target == "/v1/credentials?x=1" ? Self.given("ASIACONTAINER", "2099-01-01T00:00:00Z") : .value
        }
        defer { aws.server.stop() }
        let vault = try aws.open([
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.server.origin + "/v1/credentials?x=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token,
        ])
        for _ in 0..<3 { _ = try vault.read(name, nil) }
        #expect(aws.server.requests.map(\.method) == ["GET", "POST", "POST", "POST"])
        #expect(aws.server.requests.first?.headers["authorization"] == "Bearer hunter2")
        #expect(aws.server.requests.last.flatMap(signer) == "ASIACONTAINER")
    }

    // MARK: - Machines

    /// The metadata service, version 2, beside the service itself.
    private func machine(_ given: @escaping @Sendable (Int) -> ScriptedVault.Reply) throws -> ScriptedAWS {
        let count = Mutex(0)
        return try ScriptedAWS { request in
            let path = "/latest/meta-data/iam/security-credentials/"
            switch (request.method, request.target) {
            case ("PUT", "/latest/api/token"):
                return request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == nil
                    ? .answer(400) : .answer(200, body: "session")
            case ("GET", path), ("GET", path + "backup-role"):
                guard request.headers["x-aws-ec2-metadata-token"] == "session" else { return .answer(401) }
                guard request.target != path else { return .answer(200, body: "backup-role\n") }
                return given(
                    count.withLock { count in
                        count += 1
                        return count
                    })
            default: return .value
            }
        }
    }

    private func open(_ aws: ScriptedAWS, clock: (any Primitives.Clock)? = nil) throws -> SecretsManager {
        try aws.open(["AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.server.origin], clock: clock)
    }

    @Test("are got from the machine, by a session of the second version")
    func instance() throws {
        let aws = try machine { _ in Self.given("ASIAMACHINE", "2099-01-01T00:00:00Z") }
        defer { aws.server.stop() }
        let vault = try open(aws)
        for _ in 0..<2 { _ = try vault.read(name, nil) }
        #expect(aws.server.requests.map(\.method) == ["PUT", "GET", "GET", "POST", "POST"])
        #expect(aws.server.requests.last.flatMap(signer) == "ASIAMACHINE")
    }

    @Test("are not to be had from a machine without a role, or with its service turned off")
    func noRole() throws {
        for status in [404, 403] {
            let aws = try ScriptedAWS { request in
                status == 404 && request.method == "PUT" ? .answer(200, body: "session") : .answer(status)
            }
            defer { aws.server.stop() }
            #expect(failure { _ = try open(aws).read(name, nil) }?.code == .vaultLoginFailed)
        }
    }

    @Test("are not to be had where no metadata service answers, which names the other ways")
    func noMachine() throws {
        let aws = try ScriptedAWS { _ in .lose }
        defer { aws.server.stop() }
        let found = try #require(failure { _ = try open(aws).read(name, nil) })
        #expect(found.code == .vaultLoginFailed && found.message.contains("hop limit"))
    }

    // MARK: - Keeping them fresh

    @Test("are got again before they end, by one of all threads that wait")
    func refreshed() throws {
        // The first end in 400 seconds: a minute and a half later it is less than five minutes.
        let aws = try machine { number in
            Self.given("ASIA\(number)", number == 1 ? "2026-01-01T00:06:40Z" : "2026-01-01T06:00:00Z")
        }
        defer { aws.server.stop() }
        let clock = HandClock()
        let vault = try open(aws, clock: clock)
        _ = try vault.read(name, nil)
        #expect(aws.server.requests.last.flatMap(signer) == "ASIA1")
        clock.advance(by: .seconds(101))
        let failures = Mutex<[String]>([])
        let threads = (0..<6).map { _ in
            JoinableThread {
                do { _ = try vault.read(name, nil) } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread?.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(aws.server.requests.filter { $0.method == "PUT" }.count == 2)
        #expect(aws.server.requests.last.flatMap(signer) == "ASIA2")
    }

    @Test("are used to their end when no others can be had, and not asked for all the time")
    func borne() throws {
        let aws = try machine { number in
            number == 1 ? Self.given("ASIA1", "2026-01-01T00:06:40Z") : .answer(500)
        }
        defer { aws.server.stop() }
        let clock = HandClock()
        let vault = try open(aws, clock: clock)
        _ = try vault.read(name, nil)
        clock.advance(by: .seconds(101))
        for _ in 0..<5 { _ = try vault.read(name, nil) }
        #expect(aws.server.requests.filter { $0.method == "PUT" }.count == 2)
        clock.advance(by: .seconds(300))
        #expect(failure { _ = try vault.read(name, nil) }?.code == .vaultUnavailable)
    }

    @Test("are got again once when the service says that they are dead")
    func dead() throws {
        let aws = try machine { number in Self.given("ASIA\(number)", "2099-01-01T00:00:00Z") }
        defer { aws.server.stop() }
        let refusing = try ScriptedAWS { request in
            request.headers["authorization"]?.contains("ASIA1") == true ? .refusal("ExpiredTokenException") : .value
        }
        defer { refusing.server.stop() }
        let vault = try refusing.open([
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.server.origin,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": refusing.server.origin,
        ])
        _ = try vault.read(name, nil)
        #expect(refusing.server.requests.compactMap(signer) == ["ASIA1", "ASIA2"])
    }
}
