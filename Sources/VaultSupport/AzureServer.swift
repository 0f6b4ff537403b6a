// A stand-in for Azure Key Vault, run by the tests on this machine alone.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import VaultProviders

/// `Tests/Fixtures/azure/fake_vault.py` on a loopback port, as this user; it gives tokens as well. Microsoft's own
/// client takes it for the service, which a test shows. It ends with the process that started it, also when that is
/// killed.
package final class AzureServer: Sendable {
    private static let root: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path
    }()
    /// What scripts/setup put there.
    package static let python = root + "/.build/tools/bin/python3"
    package static let isInstalled = FileManager.default.isExecutableFile(atPath: python)
    package static let fixtures = root + "/Tests/Fixtures/azure"

    /// One for all tests of a process, which keep apart by the beginnings of their names.
    private static let shared = Mutex<AzureServer?>(nil)

    package struct Setup: Sendable {
        /// Data actions and secrets that are denied, by the id of a client, in JSON; everybody may do all without it.
        package var roles: String?
        /// Each put is a second after the one before, so that none waits for that.
        package var ticks = true
        package var isProtected = false
        package var certificate: OpenBaoServer.Certificate?

        package init() {}
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let port: UInt16
    private let authority: String?
    private let process: ServerProcess

    /// - Parameter directory: For its log; must outlive the server.
    package init(_ setup: Setup = Setup(), in directory: String) throws {
        port = try OpenBaoServer.freePort()
        authority = setup.certificate?.authority
        var words = ["-B", Self.fixtures + "/fake_vault.py", "\(port)"]
        if let roles = setup.roles { words += ["--roles", roles] }
        if setup.ticks { words.append("--tick") }
        if setup.isProtected { words.append("--purge-protection") }
        if let certificate = setup.certificate {
            words += ["--certificate", certificate.chain, "--key", certificate.key]
        }
        process = try ServerProcess(
            Self.python, words, environment: ["HOME": directory, "PATH": "/usr/bin:/bin"], log: directory + "/azure-log"
        )
        try process.wait { self.answers() }
    }

    package static func inMemory() throws -> AzureServer {
        try shared.withLock { shared in
            if let shared { return shared }
            let directory = NSTemporaryDirectory() + "holdfast-azure-\(getpid())"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let server = try AzureServer(in: directory)
            shared = server
            return server
        }
    }

    package var origin: String { (authority == nil ? "http" : "https") + "://127.0.0.1:\(port)" }
    /// Behind `vault:`.
    package var address: String { "azure:\(origin)" }
    package var log: String { process.log }

    /// Ends it at once.
    package func stop() { process.stop() }

    private func answers() -> Bool { (try? send(VaultRequest(.get, "/secrets")))?.status == 401 }

    /// Sends one request as it is.
    package func send(_ request: VaultRequest) throws -> VaultAnswer {
        guard let address = WebAddress(origin) else { throw Failure(description: "no address") }
        var options = VaultHTTPOptions()
        options.authorities = authority
        return try VaultHTTP(address, options, clock: SystemClock()).send(request)
    }

    // MARK: - The client under test

    /// The variables by which a program finds the machine's identity here.
    package func variables(as client: String? = nil) -> [String: String] {
        var variables = ["AZURE_POD_IDENTITY_AUTHORITY_HOST": origin]
        variables["AZURE_CLIENT_ID"] = client
        variables["HOLDFAST_AZURE_CA_FILE"] = authority
        return variables
    }

    package func open(
        as client: String? = nil, clock: any Primitives.Clock = SystemClock()
    ) throws -> KeyVault {
        try Self.open(origin, variables(as: client), clock: clock)
    }

    /// Opens a vault by these variables alone.
    package static func open(
        _ place: String, _ variables: [String: String], clock: any Primitives.Clock = SystemClock(),
        http: VaultHTTPOptions = VaultHTTPOptions()
    ) throws -> KeyVault {
        let environment = AzureEnvironment(
            value: { variables[$0] },
            secret: { name in variables[name].map { SecretBytes(copying: Array($0.utf8).span.bytes) } })
        return try environment.open(try AzureVaultLocation(place), http, clock: clock)
    }
}
