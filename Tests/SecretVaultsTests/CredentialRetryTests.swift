// Whoever gives out credentials, and fails for a while.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultSupport

@testable import VaultProviders

@Suite("Credentials that can't be had for a while", .waiting)
struct CredentialRetryTests {
    private let clock = ManualClock()

    /// The vault as the program opens it.
    private func patient(_ vault: any SecretVault) -> RetryingVault {
        RetryingVault(
            vault, VaultPatience(clock: clock, entropy: SeededEntropy(seed: 11), cancellation: Cancellation()))
    }

    /// Gives each of `replies` to one request, then the last one for ever.
    private func replies(_ replies: [ScriptedVault.Reply]) throws -> ScriptedVault {
        let left = SharedValue(replies[...])
        return try ScriptedVault { _ in
            left.mutex.withLock { $0.count > 1 ? $0.removeFirst() : $0[$0.endIndex - 1] }
        }
    }

    private func azure(_ metadata: ScriptedVault) throws -> (ScriptedAzure, RetryingVault) {
        let azure = try ScriptedAzure { _ in .azureValue }
        let vault = try azure.open(["AZURE_POD_IDENTITY_AUTHORITY_HOST": metadata.origin], clock: clock)
        return (azure, patient(vault))
    }

    struct Outage: Sendable, CustomTestStringConvertible {
        var reply: ScriptedVault.Reply
        /// How long it lasts at most when it ends with the last attempt.
        var least: Duration
        var testDescription: String { "\(reply)" }
    }

    static let outages = [
        Outage(reply: .answer(404), least: .seconds(8)), Outage(reply: .answer(410), least: .seconds(70)),
        Outage(reply: .answer(429, headers: [("Retry-After", "7")]), least: .seconds(28)),
        Outage(reply: .answer(500), least: .zero), Outage(reply: .lose, least: .zero),
    ]

    @Test("of Azure's machines are asked for again, as long as the service needs to come back", arguments: outages)
    func machineOfAzure(_ outage: Outage) throws {
        let metadata = try replies(Array(repeating: outage.reply, count: 4) + [.token("hunter2late")])
        defer { metadata.stop() }
        let (azure, vault) = try azure(metadata)
        defer { azure.server.stop() }
        let start = clock.now()
        _ = try vault.read(ScriptedAzure.name, nil)
        #expect(metadata.requests.count == 5)
        let waited = clock.now().since(start)
        #expect(waited >= outage.least && waited < .seconds(120))
        #expect(azure.calls.last?.headers["authorization"] == "Bearer hunter2late")
    }

    @Test("are given up in the end, and at once where the answer is final")
    func givenUp() throws {
        let gone = try replies([.answer(410)])
        defer { gone.stop() }
        let (azure, vault) = try azure(gone)
        defer { azure.server.stop() }
        #expect(failure { _ = try vault.read(ScriptedAzure.name, nil) }?.code == .vaultUnavailable)
        #expect(gone.requests.count == 5)
        let none = try replies([.answer(400)])
        defer { none.stop() }
        let (other, without) = try self.azure(none)
        defer { other.server.stop() }
        #expect(failure { _ = try without.read(ScriptedAzure.name, nil) }?.code == .vaultLoginFailed)
        #expect(none.requests.count == 1)
    }

    // MARK: - AWS

    private static let keys = ScriptedVault.Reply.answer(
        200,
        body: "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIALATE\",\"SecretAccessKey\":\"hunter2key\","
            + "\"Token\":\"hunter2token\",\"Expiration\":\"2099-01-01T00:00:00Z\"}")

    @Test("of machines of EC2 are asked for again after timeouts, throttling and failures, and not after a refusal")
    func machineOfAWS() throws {
        let aws = try ScriptedAWS { _ in .value }
        defer { aws.server.stop() }
        let session = ScriptedVault.Reply.answer(200, body: "session")
        let role = ScriptedVault.Reply.answer(200, body: "backup-role")
        let metadata = try replies([
            .lose, .answer(503), session, .answer(429, headers: [("Retry-After", "3")]), session, role, .answer(500),
            session, role, Self.keys,
        ])
        defer { metadata.stop() }
        let variables = [
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.origin,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.server.origin,
        ]
        let start = clock.now()
        _ = try patient(try aws.open(variables, clock: clock)).read(ScriptedAWS.name, nil)
        #expect(
            metadata.requests.map(\.method) == ["PUT", "PUT", "PUT", "GET", "PUT", "GET", "GET", "PUT", "GET", "GET"])
        #expect(clock.now().since(start) >= .seconds(3))
        for status in [400, 403, 404] {
            let refusing = try replies([.answer(status)])
            defer { refusing.stop() }
            let vault = patient(
                try aws.open(["AWS_EC2_METADATA_SERVICE_ENDPOINT": refusing.origin], clock: clock))
            #expect(failure { _ = try vault.read(ScriptedAWS.name, nil) }?.code == .vaultLoginFailed)
            #expect(refusing.requests.count == 1)
        }
    }

    @Test("of machines of EC2 are asked for in another session, once, where the first is not known any more")
    func anotherSession() throws {
        let aws = try ScriptedAWS { _ in .value }
        defer { aws.server.stop() }
        let sessions = SharedValue(0)
        let knows = SharedValue("session2")
        let metadata = try ScriptedVault { request in
            if request.method == "PUT" {
                let number = sessions.mutex.withLock { count in
                    count += 1
                    return count
                }
                return .answer(200, body: "session\(number)")
            }
            guard request.headers["x-aws-ec2-metadata-token"] == knows.mutex.withLock({ $0 }) else {
                return .answer(401)
            }
            return request.target.hasSuffix("/") ? .answer(200, body: "backup-role") : Self.keys
        }
        defer { metadata.stop() }
        let variables = [
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.origin,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.server.origin,
        ]
        _ = try aws.open(variables, clock: clock).read(ScriptedAWS.name, nil)
        #expect(metadata.requests.map(\.method) == ["PUT", "GET", "PUT", "GET", "GET"])
        knows.mutex.withLock { $0 = "none" }
        let found = failure { _ = try patient(try aws.open(variables, clock: clock)).read(ScriptedAWS.name, nil) }
        #expect(found?.code == .vaultLoginFailed && metadata.requests.count == 9)
    }

    // MARK: - Many threads

    @Test("fail once for all threads that waited for them, and are asked for again by those that come later")
    func shared() throws {
        let store = CredentialStore<Int>(clock: clock) { _ in nil }
        let attempts = Mutex(0)
        let failures = Mutex<[String]>([])
        @Sendable func get() throws(HoldfastError) -> Int {
            let number = attempts.withLock { count in
                count += 1
                return count
            }
            guard number == 1 else { return number }
            // Until all others wait.
            while store.present.load(ordering: .sequentiallyConsistent) < 6 {}
            throw HoldfastError(.vaultUnavailable, "attempt \(number)", retry: .later)
        }
        let threads = (0..<6).map { _ in
            JoinableThread {
                do throws(HoldfastError) {
                    _ = try store.credential(get)
                } catch {
                    failures.withLock { $0.append(error.message) }
                }
            }
        }
        for thread in threads { thread?.join() }
        #expect(failures.withLock { $0 } == Array(repeating: "attempt 1", count: 6))
        #expect(try store.credential(get).credential == 2 && store.credential(get).number == 1)
    }
}
