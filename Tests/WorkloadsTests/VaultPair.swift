// Two embedded vaults for the tests of restores.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import VaultProviders

/// A vault that a snapshot was taken of, and an empty one that it goes into; their passwords are cheap to try.
struct VaultPair {
    let clock = HandClock()
    let source: EmbeddedVault
    let target: EmbeddedVault
    private let directory: TemporaryDirectory

    init() throws {
        let (directory, clock) = (TemporaryDirectory(), clock)
        func make(_ file: String) throws -> EmbeddedVault {
            try EmbeddedVault.create(
                at: directory.path + "/" + file, password: TestRepository.secret("p"),
                cost: PasswordCost(logN: 10, p: 1), clock: clock, entropy: SystemEntropy())
        }
        source = try make("source")
        target = try make("target")
        self.directory = directory
    }
}

/// An embedded vault that can do no more than another kind, and takes down what is written.
final class LimitedVault: SecretVault {
    private let vault: EmbeddedVault
    let capabilities: VaultCapabilities
    private let calls = Mutex<[String]>([])

    init(_ vault: EmbeddedVault, _ limit: (inout VaultCapabilities) -> Void) {
        self.vault = vault
        var capabilities = vault.capabilities
        limit(&capabilities)
        self.capabilities = capabilities
    }

    /// In order: `put 1`, `softDelete 1`, `remove`.
    var written: [String] { calls.withLock { $0 } }
    var location: String { vault.location }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage { try vault.list(under: prefix, after: mark, limit: limit) }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord { try vault.describe(name) }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try vault.read(name, version)
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        let made = try vault.put(put)
        calls.withLock { $0.append("put \(made.id)") }
        return made
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        let word =
            switch change {
            case .state(let state, let id): "\(state.rawValue) \(id)"
            case .label: "label"
            case .attributes, .versionAttributes: "attributes"
            case .remove: "remove"
            case .recover: "recover"
            }
        calls.withLock { $0.append(word) }
        try vault.change(name, change)
    }
}
