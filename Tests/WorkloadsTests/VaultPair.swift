// Two embedded vaults for the tests of restores.

import Primitives
import SecretVaults
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
