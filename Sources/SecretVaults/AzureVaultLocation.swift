// Where a vault of Azure Key Vault is.

import Primitives

/// A vault's name in Azure's public cloud, its whole host in another cloud or a private network, or an origin, as it
/// stands behind `vault:azure:`.
package struct AzureVaultLocation: Sendable, Hashable, CustomStringConvertible {
    /// The public cloud's (Key Vault documentation, "Vault name and object name").
    private static let publicDomain = ".vault.azure.net"

    package let origin: WebAddress

    /// - Throws: `.usage` for what is no name of a vault, no host and no origin.
    package init(_ text: String) throws(HoldfastError) {
        let place: String
        if text.contains("://") {
            let slashes = text.firstRange(of: "://")?.upperBound ?? text.endIndex
            place = text[..<slashes] + text[slashes...].lowercased()
        } else if text.contains(".") {
            place = "https://" + text.lowercased()
        } else {
            guard Self.isName(text) else {
                throw Self.refused("`\(text.prefix(40))` is no name of a vault: 3 to 24 letters, digits and `-`")
            }
            place = "https://" + text.lowercased() + Self.publicDomain
        }
        if let refusal = WebAddress.refusal(of: place) { throw Self.refused(refusal) }
        guard let origin = WebAddress(place), origin.path == "/" else {
            throw Self.refused("a path or a query does not belong into it")
        }
        self.origin = origin
    }

    private static func isName(_ text: String) -> Bool {
        (3...24).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// In one form for all ways to write it, so that it can be read again.
    package var description: String {
        let host = origin.host.contains(":") ? "[\(origin.host)]" : origin.host
        guard origin.isTLS, origin.host.contains(".") else {
            return "\(origin.isTLS ? "https" : "http")://\(host):\(origin.port)"
        }
        if origin.port != 443 { return "\(host):\(origin.port)" }
        let name = host.hasSuffix(Self.publicDomain) ? String(host.dropLast(Self.publicDomain.count)) : ""
        return Self.isName(name) ? name : host
    }

    private static func refused(_ why: String) -> HoldfastError {
        HoldfastError(
            .usage, "this is no location of a vault: \(why)",
            hint: "Write vault:azure:NAME, or vault:azure:HOST for another cloud; docs/VAULTS.md has examples.")
    }
}
