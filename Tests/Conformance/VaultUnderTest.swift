// The vaults that run the suite; a new kind adds its entry here.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import Testing
import VaultProviders
import VaultSupport

/// A vault made for one test, with what must live as long.
struct VaultFixture: Sendable {
    var vault: any SecretVault
    /// The same vault again, as another process opens it.
    var open: @Sendable () throws -> any SecretVault
    /// What names of the test begin with, for a server that several tests share; in characters that the kind takes.
    var prefix = ""
    /// How many versions a secret is to bear; fewer for a kind whose service forgets or forbids that many.
    var manyVersions = 1000
    var directory: TemporaryDirectory?
}

/// How to make an empty vault of one kind.
struct VaultUnderTest: Sendable, CustomTestStringConvertible {
    let name: String
    let make: @Sendable () throws -> VaultFixture
    var testDescription: String { name }

    static let all =
        [embedded] + (OpenBaoServer.isInstalled ? [keyValue2, keyValue1] : [])
        + (MotoServer.isInstalled ? [secretsManager] : []) + (AzureServer.isInstalled ? [keyVault] : [])

    static let embedded = VaultUnderTest(name: "EmbeddedVault") {
        let directory = TemporaryDirectory()
        let path = directory.path + "/vault"
        let entropy = SystemEntropy()
        let clock = ManualClock()
        @Sendable func password() -> SecretBytes { secret(Array("conformance".utf8)) }
        // The least that a password may cost; its price is not what is looked at here.
        let vault = try EmbeddedVault.create(
            at: path, password: password(), cost: PasswordCost(logN: 10, p: 1), clock: clock, entropy: entropy,
            patience: .seconds(60))
        return VaultFixture(
            vault: vault,
            open: {
                try EmbeddedVault.open(
                    at: path, password: password(), clock: clock, entropy: entropy, patience: .seconds(60))
            }, directory: directory)
    }
}

/// The stores of keys and values of a real OpenBao in memory; each test has a folder of its own there.
extension VaultUnderTest {
    static let keyValue2 = VaultUnderTest(name: "OpenBao KV 2") { try openBao("conformance2", version: 2) }
    static let keyValue1 = VaultUnderTest(name: "OpenBao KV 1") { try openBao("conformance1", version: 1) }

    private static let mounts = Mutex<(made: Set<String>, tests: Int)>(([], 0))

    private static func openBao(_ mount: String, version: Int) throws -> VaultFixture {
        let server = try OpenBaoServer.inMemory()
        let number = try mounts.withLock { mounts in
            if mounts.made.insert(mount).inserted { try server.mount(mount, version: version) }
            mounts.tests += 1
            return mounts.tests
        }
        return VaultFixture(
            vault: try server.open(mount), open: { try server.open(mount) }, prefix: "test \(number)/")
    }
}

/// Secrets of one region of moto; the names of each test begin in a way of their own.
extension VaultUnderTest {
    static let secretsManager = VaultUnderTest(name: "AWS Secrets Manager") {
        let server = try MotoServer.inMemory()
        let number = regions.withLock { count in
            count += 1
            return count
        }
        // The service keeps a hundred versions without a label.
        return VaultFixture(
            vault: try server.open(), open: { try server.open() }, prefix: "test-\(number)/", manyVersions: 100)
    }

    private static let regions = Mutex(0)
}

/// Secrets of the stand-in for Azure Key Vault; the names of each test begin in a way of their own.
extension VaultUnderTest {
    static let keyVault = VaultUnderTest(name: "Azure Key Vault") {
        let server = try AzureServer.inMemory()
        let number = vaults.withLock { count in
            count += 1
            return count
        }
        // Each put looks at all versions, a page of 25 at a time.
        return VaultFixture(
            vault: try server.open(), open: { try server.open() }, prefix: "test-\(number)-", manyVersions: 100)
    }

    private static let vaults = Mutex(0)
}

/// A copy of `bytes` that prints redacted.
func secret(_ bytes: [UInt8]) -> SecretBytes { SecretBytes(copying: bytes.span.bytes) }
