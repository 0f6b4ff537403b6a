// Which vault a URL names, and who opens it.

import Primitives

/// Opens vaults; `VaultProviders` has the one of the program.
package protocol VaultOpener: Sendable {
    /// - Parameter cancellation: Ends the waits between attempts at a vault that is asked again.
    /// - Throws: what the vault's own opening throws.
    func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy, cancellation: Cancellation
    ) throws(HoldfastError) -> any SecretVault

    /// Opens the storage of a whole vault.
    func openCluster(
        _ location: VaultClusterLocation, clock: any Primitives.Clock, cancellation: Cancellation
    ) throws(HoldfastError) -> any VaultCluster
}

extension VaultOpener {
    package func openCluster(
        _ location: VaultClusterLocation, clock: any Primitives.Clock, cancellation: Cancellation
    ) throws(HoldfastError) -> any VaultCluster {
        throw HoldfastError(
            .usage, "raft:\(location) can't be opened here", hint: "Name a verb that backs up or restores.")
    }
}

/// For where no vault is opened.
package struct NoVaultOpener: VaultOpener {
    package init() {}

    package func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy, cancellation: Cancellation
    ) throws(HoldfastError) -> any SecretVault {
        throw HoldfastError(
            .usage, "vault:\(address.text) can't be opened here", hint: "Name a verb that reads or writes vaults.")
    }
}

/// What stands behind `vault:` in a URL.
package enum VaultAddress: Sendable, Hashable {
    /// `embedded:PATH`
    case embedded(path: String)
    /// `https://HOST[:PORT]/MOUNT`: Vault or OpenBao.
    case hashiCorp(HashiCorpLocation)
    /// `aws:REGION`: AWS Secrets Manager, in the account of the login.
    case aws(AWSRegion)
    /// `azure:NAME`: Azure Key Vault; `azure:HOST` in another cloud.
    case azure(AzureVaultLocation)

    /// How such URLs are written.
    package static let forms = [
        "vault:embedded:PATH", "vault:https://HOST/MOUNT", "vault:aws:REGION", "vault:azure:NAME",
    ]
    /// The same in one text.
    package static let form = forms.joined(separator: " or ")

    /// Nil for what can't be meant.
    package init?(_ rest: String) {
        guard let address = try? Self.read(rest) else { return nil }
        self = address
    }

    /// - Throws: `.usage`, which says why nothing can be meant by it.
    package static func read(_ rest: String) throws(HoldfastError) -> VaultAddress {
        let scheme = rest.prefix { $0 != ":" }
        let value = String(rest.dropFirst(scheme.count + 1))
        switch scheme {
        case "embedded" where !value.isEmpty: return .embedded(path: value)
        case "https", "http": return .hashiCorp(try HashiCorpLocation(rest))
        case "aws": return .aws(try AWSRegion(value))
        case "azure": return .azure(try AzureVaultLocation(value))
        default: throw HoldfastError(.usage, "this is no location of a vault", hint: "Write \(form).")
        }
    }

    /// Why nothing can be meant by `rest`; nil when something is.
    package static func refusal(of rest: String) -> String? {
        do throws(HoldfastError) {
            _ = try read(rest)
            return nil
        } catch {
            return error.message
        }
    }

    /// The same with an absolute path.
    package func resolved(from directory: String) -> VaultAddress {
        switch self {
        case .embedded(let path): path.hasPrefix("/") ? self : .embedded(path: "\(directory)/\(path)")
        case .hashiCorp, .aws, .azure: self
        }
    }

    /// In one form for all ways to write it; holds no credential.
    package var text: String {
        switch self {
        case .embedded(let path): "embedded:\(Host.absolutePath(path))"
        case .hashiCorp(let location): location.description
        case .aws(let region): "aws:\(region.name)"
        case .azure(let location): "azure:\(location)"
        }
    }
}
