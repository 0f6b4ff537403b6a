// What opens the vaults of every provider.

import Primitives
import SecretVaults

/// What opens vaults: asked for when it is needed, never part of a URL or of the configuration.
package struct VaultLogin: VaultOpener {
    /// The password of an embedded vault.
    package var password: @Sendable () throws(HoldfastError) -> SecretBytes
    /// Variables of the environment, by which remote vaults' own tools go.
    package var variable: @Sendable (String) -> String?

    package init(
        password: @escaping @Sendable () throws(HoldfastError) -> SecretBytes,
        variable: @escaping @Sendable (String) -> String?
    ) {
        self.password = password
        self.variable = variable
    }

    package func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy
    ) throws(HoldfastError) -> any SecretVault {
        switch address {
        case .embedded(let path):
            try EmbeddedVault.open(at: path, password: try password(), clock: clock, entropy: entropy)
        }
    }
}
