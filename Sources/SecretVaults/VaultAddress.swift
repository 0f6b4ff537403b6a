// Which vault a URL names, and who opens it.

import Primitives

/// Opens vaults; `VaultProviders` has the one of the program.
package protocol VaultOpener: Sendable {
    /// - Throws: what the vault's own opening throws.
    func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy
    ) throws(HoldfastError) -> any SecretVault
}

/// For where no vault is opened.
package struct NoVaultOpener: VaultOpener {
    package init() {}

    package func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy
    ) throws(HoldfastError) -> any SecretVault {
        throw HoldfastError(
            .usage, "vault:\(address.text) can't be opened here", hint: "Name a verb that reads or writes vaults.")
    }
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
}
