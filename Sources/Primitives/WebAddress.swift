// Where a webhook is.

/// An address of the web: `https://HOST[:PORT]/PATH`, or `http://` to this machine alone.
package struct WebAddress: Sendable, Hashable, CustomStringConvertible {
    package let isTLS: Bool
    package let host: String
    package let port: UInt16
    /// With its query; may hold a secret, as many webhooks' paths do.
    package let path: String

    /// Without the path.
    package var description: String { "\(isTLS ? "https" : "http")://\(host):\(port)/…" }

    /// - Returns: nil for anything else; ``refusal(of:)`` says why.
    package init?(_ text: String) {
        guard Self.refusal(of: text) == nil else { return nil }
        self.init(checked: text)
    }

    /// Addresses that clouds give to each machine or container alone, for its own credentials; no router forwards them.
    /// EC2's and Azure's metadata service, ECS's and EKS's endpoints.
    private static let machineServices: Set<String> = [
        "169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23",
    ]

    /// `http://HOST[:PORT]/PATH` where the host is one of those addresses, which have no certificate.
    package init?(machineService text: String) {
        guard text.hasPrefix("http://"), text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
        let authority = text.dropFirst(7).prefix { $0 != "/" && $0 != "?" }
        let (host, port) = Self.parts(authority)
        guard Self.machineServices.contains(host), port.map({ UInt16($0).map { $0 > 0 } == true }) != false else {
            return nil
        }
        self.init(checked: text)
    }

    private init(checked text: String) {
        isTLS = text.hasPrefix("https://")
        let rest = text.dropFirst(isTLS ? 8 : 7)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest.dropFirst(authority.count)
        path = tail.hasPrefix("/") ? String(tail) : "/" + tail
        let (host, port) = Self.parts(authority)
        self.host = host
        self.port = port.flatMap { UInt16($0) } ?? (isTLS ? 443 : 80)
    }

    private static func parts(_ authority: Substring) -> (host: String, port: Substring?) {
        if authority.hasPrefix("[") {
            let host = authority.dropFirst().prefix { $0 != "]" }
            let rest = authority.dropFirst(host.count + 2)
            return (String(host), rest.hasPrefix(":") ? rest.dropFirst() : nil)
        }
        let host = authority.prefix { $0 != ":" }
        let rest = authority.dropFirst(host.count)
        return (String(host), rest.isEmpty ? nil : rest.dropFirst())
    }

    /// Why `text` is no address; nil when it is one. It is not repeated: it may hold a secret.
    package static func refusal(of text: String) -> String? {
        guard text.hasPrefix("https://") || text.hasPrefix("http://") else { return "write https://HOST/PATH" }
        guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return "it holds a letter that a URL may not" }
        let isTLS = text.hasPrefix("https://")
        let authority = text.dropFirst(isTLS ? 8 : 7).prefix { $0 != "/" && $0 != "?" }
        if authority.contains("@") { return "a user or a password does not belong into it" }
        let (host, port) = parts(authority)
        guard !host.isEmpty else { return "it names no host" }
        if let port, UInt16(port).map({ $0 > 0 }) != true { return "`\(port)` is no port" }
        if !isTLS, !["localhost", "127.0.0.1", "::1"].contains(host) {
            return "only https:// leaves this machine; http:// is for localhost"
        }
        return nil
    }
}
