// A copy of AWS's services, run by the tests on this machine alone.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import VaultProviders

/// moto on a loopback port, as this user, which checks signatures and policies. It ends with the process that started
/// it, also when that is killed.
///
/// Requests come and go at once. Each is carried out on its own: AWS makes a secret in one step, and moto's steps would
/// mix in threads of its own. Versions have the dates at which they were made, which moto keeps and does not list.
///
/// What it gets wrong, so that no test takes it for what AWS does: it says 404 where AWS says 400; a put takes all
/// other labels from the version that was current, and meets no removed secret; a label may be on two versions; nothing
/// is pruned; and RotateSecret without a function loses the current value.
package final class MotoServer: Sendable {
    /// What scripts/setup put there.
    package static let program: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path + "/.build/moto/bin/python3"
    }()
    package static let isInstalled = FileManager.default.isExecutableFile(atPath: program)
    package static let region = "eu-central-1"

    /// One for all tests of a process, which keep apart by the beginnings of their names.
    private static let shared = Mutex<MotoServer?>(nil)

    package struct Keys: Sendable {
        package var id: String
        package var secret: String

        package init(id: String, secret: String) {
            self.id = id
            self.secret = secret
        }
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let port: UInt16
    private let process: ServerProcess
    private let users = Mutex<[String: Keys]>([:])

    /// May do everything, and is the one that ``shared()`` has.
    package static let admin = "admin"

    /// - Parameter policies: What each user may do, by name.
    package init(policies: [String: String], in directory: String) throws {
        port = try OpenBaoServer.freePort()
        // Three calls make a user; every later one must be signed.
        let calls = 3 * policies.count
        process = try ServerProcess(
            Self.program, ["-c", Self.launcher, "\(port)"],
            environment: ["INITIAL_NO_AUTH_ACTION_COUNT": "\(calls)", "HOME": directory, "PATH": "/usr/bin:/bin"],
            log: directory + "/log")
        try process.wait { self.answers() }
        for (name, policy) in policies.sorted(by: { $0.key < $1.key }) {
            _ = try administer("CreateUser", ["UserName": name])
            _ = try administer(
                "PutUserPolicy", ["UserName": name, "PolicyName": "own", "PolicyDocument": policy])
            let made = try administer("CreateAccessKey", ["UserName": name])
            guard let id = made.text(of: "AccessKeyId"), let secret = made.text(of: "SecretAccessKey") else {
                throw Failure(description: "no access key: \(made)")
            }
            users.withLock { $0[name] = Keys(id: id, secret: secret) }
        }
    }

    package static func inMemory() throws -> MotoServer {
        try shared.withLock { shared in
            if let shared { return shared }
            let directory = NSTemporaryDirectory() + "holdfast-moto-\(getpid())"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let server = try MotoServer(policies: [admin: everything], in: directory)
            shared = server
            return server
        }
    }

    package static let everything =
        #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#

    package var origin: String { "http://127.0.0.1:\(port)" }
    package var processID: pid_t { process.id }
    package var log: String { process.log }

    /// Ends it at once.
    package func stop() { process.stop() }

    private static let launcher = """
        import json, sys, threading
        from werkzeug.serving import make_server
        from moto.secretsmanager.models import SecretsManagerBackend
        from moto.server import DomainDispatcherApplication, create_backend_app

        def list_versions(self, secret_id):
            secret = self.secrets[secret_id]
            versions = [{"VersionId": id, "VersionStages": one["version_stages"], "CreatedDate": one["createdate"]}
                        for id, one in secret.versions.items()]
            return json.dumps({"ARN": secret.arn, "Name": secret.name, "NextToken": "", "Versions": versions})

        SecretsManagerBackend.list_secret_version_ids = list_versions
        app, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

        def serve(environ, start):
            with turn:
                return list(app(environ, start))

        make_server("127.0.0.1", int(sys.argv[1]), serve, threaded=True).serve_forever()
        """

    /// Sends one request as it is.
    package func send(_ request: VaultRequest) throws -> VaultAnswer {
        guard let address = WebAddress(origin) else { throw Failure(description: "no address") }
        return try VaultHTTP(address, VaultHTTPOptions(), clock: SystemClock()).send(request)
    }

    /// A page of moto's own counts as no action.
    private func answers() -> Bool { (try? send(.get, "/moto-api/", [], nil)) == 200 }

    // MARK: - Administration

    private struct Answer: CustomStringConvertible {
        let description: String

        func text(of name: String) -> String? {
            guard let start = description.range(of: "<\(name)>"), let end = description.range(of: "</\(name)>") else {
                return nil
            }
            return String(description[start.upperBound..<end.lowerBound])
        }
    }

    private func send(
        _ method: VaultRequest.Method, _ target: String, _ headers: [(name: String, value: String)], _ body: String?,
        into answer: UnsafeMutablePointer<String>? = nil
    ) throws -> Int {
        let bytes = body.map { SecretBytes(copying: Array($0.utf8).span.bytes) }
        let found = try send(VaultRequest(method, target, headers: headers, body: bytes))
        answer?.pointee = found.body.withBytes { String(decoding: $0, as: UTF8.self) }
        return found.status
    }

    /// A call of IAM before signatures are checked; the scope of a signature is what tells the service.
    private func administer(_ action: String, _ parameters: [String: String]) throws -> Answer {
        let all = parameters.merging(["Action": action, "Version": "2010-05-08"]) { $1 }
        let body = all.map { name, value in
            let plain = value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            return "\(name)=\(plain)"
        }.joined(separator: "&")
        let scope = "Credential=AKIAFIRST/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=00"
        var text = ""
        let status = try send(
            .post, "/",
            [
                (name: "Authorization", value: "AWS4-HMAC-SHA256 " + scope),
                (name: "Content-Type", value: "application/x-www-form-urlencoded"),
            ], body, into: &text)
        guard status == 200 else { throw Failure(description: "\(action): \(status) \(text)") }
        return Answer(description: text)
    }

    /// Runs lines of Python, in which `aws` is the vendor's client of the service in a region: for what the client
    /// under test does not do, and what other services do.
    package func run(_ lines: String, in region: String = region) throws {
        guard let keys = keys() else { throw Failure(description: "no administrator") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        let client = "import boto3\naws = boto3.client('secretsmanager')\n"
        process.arguments = ["-c", client + lines]
        process.environment = variables(keys).merging(
            ["AWS_DEFAULT_REGION": region, "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"]) { $1 }
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: text) }
    }

    // MARK: - The client under test

    package func keys(of user: String = admin) -> Keys? { users.withLock { $0[user] } }

    /// The variables by which a program finds this server with these keys.
    package func variables(_ keys: Keys) -> [String: String] {
        [
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": origin, "AWS_ACCESS_KEY_ID": keys.id,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
        ]
    }

    /// Opens the region as the program does.
    package func open(
        as user: String = admin, in region: String = region, clock: any Primitives.Clock = SystemClock()
    ) throws -> SecretsManager {
        guard let keys = keys(of: user) else { throw Failure(description: "no user \(user)") }
        return try Self.open(variables(keys), in: region, clock: clock)
    }

    /// Opens the region by these variables alone.
    package static func open(
        _ variables: [String: String], in region: String = region, clock: any Primitives.Clock = SystemClock(),
        http: VaultHTTPOptions = VaultHTTPOptions()
    ) throws -> SecretsManager {
        let environment = AWSEnvironment(
            value: { variables[$0] },
            secret: { name in variables[name].map { SecretBytes(copying: Array($0.utf8).span.bytes) } })
        return try environment.open(try AWSRegion(region), http, clock: clock, entropy: SystemEntropy())
    }
}

extension MotoServer: ServerBehind {
    /// Signatures cover it.
    package var keepsHost: Bool { true }
}
