// Certificates that must not be taken, by a TLS server of other code than ours.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("The way to a vault", .waiting, .serialized)
struct HashiCorpTLSTests {
    let directory = TemporaryDirectory()

    private var forge: CertificateForge { CertificateForge(in: directory.path) }

    private func opening(_ origin: String, _ authority: String?) -> HoldfastError? {
        failure {
            var options = HashiCorpOptions(login: .token(secret("hunter2")))
            options.http.authorities = authority.map { "\(directory.path)/\($0).pem" }
            _ = try HashiCorpMount.open(try HashiCorpLocation("\(origin)/kv"), options, clock: SystemClock())
        }
    }

    @Test("goes by a private authority, and not by another or by the system's", .enabled(if: OpenBaoServer.isInstalled))
    func authorities() throws {
        for name in ["ca", "other"] { try forge.authority(name) }
        let certificate = try forge.certificate("good", by: "ca", for: "IP:127.0.0.1")
        let server = try OpenBaoServer(.raft, in: directory.path, certificate: certificate)
        defer { server.stop() }
        // It has no keys yet: that it says so shows that it was asked.
        #expect(opening(server.origin, "ca")?.code == .vaultSealed)
        for authority in ["other", nil] {
            let found = opening(server.origin, authority)
            #expect(found?.code == .vaultUnavailable && found?.message.contains("certificate") == true)
        }
        #expect(opening(server.origin, "none")?.code == .configuration)
    }

    @Test("takes no certificate that is for another host or has expired", arguments: ["other", "expired"])
    func certificates(_ name: String) throws {
        try forge.authority("ca")
        try forge.certificate(
            name, by: "ca", for: name == "other" ? "DNS:vault.example" : "IP:127.0.0.1",
            days: name == "expired" ? -1 : 30)
        let port = try OpenBaoServer.freePort()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(name).pem", "-key", "\(name).key",
            "-www",
        ]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            // It inherits a mask in which other signals may be blocked.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        var found = opening("https://127.0.0.1:\(port)", "ca")
        for _ in 0..<200 where found?.message.contains("no connection") == true {
            // It does not listen yet.
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
            found = opening("https://127.0.0.1:\(port)", "ca")
        }
        #expect(found?.code == .vaultUnavailable && found?.message.contains("certificate") == true)
        #expect("\(found as Any)".contains("hunter2") == false)
    }

    @Test("waits and asks again where that helps, as long as the vault asks for, and never after an unknown write")
    func retries() throws {
        let clock = ManualClock()
        let patience = VaultPatience(
            clock: clock, entropy: SeededEntropy(seed: 1), cancellation: Cancellation())
        let vault = FailingVault(failures: [
            .vaultThrottled("v", after: .seconds(7)), HoldfastError(.vaultUnavailable, "gone", retry: .later),
        ])
        let retrying = RetryingVault(vault, patience)
        let start = clock.now()
        #expect(try retrying.list(under: "", after: nil, limit: 1).secrets.isEmpty)
        let waited = clock.now().since(start)
        #expect(waited >= .seconds(7) && waited <= .seconds(7) + .milliseconds(400))
        let unknown = FailingVault(failures: [HoldfastError(.writeUnknown, "lost", retry: .later)])
        let write = RetryingVault(unknown, patience)
        #expect(failure { try write.change(try SecretName("a"), .recover) }?.code == .writeUnknown)
    }
}

/// Fails so often, then answers with nothing.
private final class FailingVault: SecretVault {
    let capabilities = VaultCapabilities(
        kind: .keyValue2, nameRule: .path, maximumNameBytes: 1024, maximumValue: .mebi(1), forms: [.fields], fields: [],
        comparison: .atomic, stateChanges: [], removals: [], concurrency: 1)
    let location = "v"
    private let failures: Mutex<[HoldfastError]>

    init(failures: [HoldfastError]) { self.failures = Mutex(failures) }

    private func step() throws(HoldfastError) {
        if let next = failures.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { throw next }
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try step()
        return VaultPreflight()
    }

    func list(under prefix: String, after mark: VaultPageMark?, limit: Int) throws(HoldfastError) -> SecretPage {
        try step()
        return SecretPage()
    }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        try step()
        return SecretRecord(name: name)
    }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try step()
        throw .secretNotFound(name)
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try step()
        throw .secretNotFound(put.name)
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) { try step() }
}
