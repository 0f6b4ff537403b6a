// Which vault a URL names, and how it is opened.

import Primitives

/// What opens vaults: asked for when it is needed, never part of a URL or of the configuration.
package struct VaultLogin: Sendable {
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

    /// For where no vault is opened.
    package static let none = VaultLogin(
        password: { () throws(HoldfastError) in
            throw HoldfastError(
                .usage, "no password of the vault is at hand", hint: "Set HOLDFAST_VAULT_PASSWORD_FILE.")
        }, variable: { _ in nil })
}

/// What stands behind `vault:` in a URL.
package enum VaultAddress: Sendable, Hashable {
    /// `embedded:PATH`
    case embedded(path: String)

    /// How such URLs are written.
    package static let form = "vault:embedded:PATH"

    /// Nil for what can't be meant.
    package init?(_ rest: String) {
        guard let colon = rest.firstIndex(of: ":") else { return nil }
        let value = String(rest[rest.index(after: colon)...])
        guard !value.isEmpty else { return nil }
        switch rest[..<colon] {
        case "embedded": self = .embedded(path: value)
        default: return nil
        }
    }

    /// The same with an absolute path.
    package func resolved(from directory: String) -> VaultAddress {
        switch self {
        case .embedded(let path): path.hasPrefix("/") ? self : .embedded(path: "\(directory)/\(path)")
        }
    }

    /// In one form for all ways to write it; holds no credential.
    package var text: String {
        switch self {
        case .embedded(let path): "embedded:\(Host.absolutePath(path))"
        }
    }

    /// - Throws: what the vault's own opening throws.
    package func open(
        _ login: VaultLogin, clock: any Primitives.Clock, entropy: any Entropy
    ) throws(HoldfastError) -> any SecretVault {
        switch self {
        case .embedded(let path):
            try EmbeddedVault.open(at: path, password: try login.password(), clock: clock, entropy: entropy)
        }
    }
}
