// What a vault of Azure says to a call without a token.

import Primitives
import SecretVaults

/// Who gives tokens for a vault, and for which resource they have to be.
///
/// Source: "Authentication, requests and responses", Azure Key Vault documentation; RFC 9110, 11.6.1. What comes from
/// the network decides for which resource a token is asked for, so that it must be held to the vault's own domain
/// before that: else whoever answers in the vault's place could have a token for another service.
struct AzureChallenge: Sendable, Hashable {
    /// The directory of the vault's subscription, for messages; nil where the answer does not tell it plainly.
    let tenant: String?
    /// Such as `https://vault.azure.net`; without a slash at its end.
    let resource: String

    /// - Parameter header: `WWW-Authenticate`; nil for one that is no challenge of this kind.
    init?(_ header: String) {
        let words = header.drop { $0 == " " }
        guard words.lowercased().hasPrefix("bearer ") else { return nil }
        let parameters = Self.parameters(words.dropFirst(7))
        guard let authority = parameters["authorization"] ?? parameters["authorization_uri"],
            let address = WebAddress(authority)
        else { return nil }
        guard var resource = parameters["resource"] ?? parameters["scope"] else { return nil }
        if resource.hasSuffix("/.default") { resource.removeLast("/.default".count) }
        while resource.hasSuffix("/") { resource.removeLast() }
        guard WebAddress(resource)?.path == "/" else { return nil }
        self.resource = resource
        let first = address.path.split(separator: "/").first.map(String.init) ?? ""
        let isPlain = first.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
        }
        tenant = isPlain && (1...64).contains(first.utf8.count) ? first : nil
    }

    /// Whether tokens for the resource are for this vault: its domain is the vault's host, or above it.
    func isOf(_ vault: WebAddress) -> Bool {
        guard let domain = WebAddress(resource)?.host.lowercased() else { return false }
        let host = vault.host.lowercased()
        if host == domain { return true }
        let isNumber = host.contains(":") || host.allSatisfy { $0 == "." || $0.isNumber }
        return !isNumber && domain.contains(".") && host.hasSuffix("." + domain)
    }

    /// `key="value", key=value`; of two with one key the first.
    private static func parameters(_ text: Substring) -> [String: String] {
        var found: [String: String] = [:]
        var rest = text
        while !rest.isEmpty {
            rest = rest.drop { $0 == " " || $0 == "," }
            let key = rest.prefix { $0 != "=" && $0 != "," }
            rest = rest.dropFirst(key.count)
            guard rest.first == "=" else { continue }
            rest = rest.dropFirst()
            let value: Substring
            if rest.first == "\"" {
                value = rest.dropFirst().prefix { $0 != "\"" }
                rest = rest.dropFirst(value.count + 2)
            } else {
                value = rest.prefix { $0 != "," && $0 != " " }
                rest = rest.dropFirst(value.count)
            }
            let name = key.lowercased()
            if found[name] == nil { found[name] = String(value) }
        }
        return found
    }
}
