// Paths of Vault and OpenBao, in a policy's letters and in a URL's.

import Primitives
import SecretVaults

/// A path below `/v1/`.
struct HashiCorpPath: Sendable, CustomStringConvertible {
    /// As a policy writes it.
    let text: String
    var query: [(String, String)] = []

    init(_ text: String, query: [(String, String)] = []) {
        self.text = text
        self.query = query
    }

    var description: String { text }

    /// Percent-encoded, with the query.
    var target: String {
        let tail = query.map { "\(PercentText.encode($0.0, keeping: ""))=\(PercentText.encode($0.1, keeping: ""))" }
        let path = "/v1/" + PercentText.encode(text, keeping: "/")
        return tail.isEmpty ? path : path + "?" + tail.joined(separator: "&")
    }
}
