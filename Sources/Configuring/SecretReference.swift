// Where a secret is, in place of the secret itself.

import Primitives

/// A reference to a secret. A configuration holds nothing but references.
package enum SecretReference: Sendable, Hashable {
    /// The first line of a file, or the whole of a key file.
    case file(path: String)
    /// A variable of the environment.
    case environment(name: String)

    /// - Returns: nil for text that is no reference; ``refusal(of:)`` says why.
    package init?(_ text: String) {
        if text.hasPrefix("file:"), !text.dropFirst(5).isEmpty, !text.hasPrefix("file://"), !text.utf8.contains(0) {
            self = .file(path: String(text.dropFirst(5)))
        } else if text.hasPrefix("env:"), Self.isVariableName(text.dropFirst(4)) {
            self = .environment(name: String(text.dropFirst(4)))
        } else {
            return nil
        }
    }

    /// Why `text` is no reference. It is not repeated: it may be the secret.
    static func refusal(of text: String) -> String {
        if text.hasPrefix("vault:") {
            return "references to a vault are not supported yet; use file:PATH or env:NAME"
        }
        if text.hasPrefix("file:") { return "the file reference has no plain path; write file:PATH" }
        if text.hasPrefix("env:") { return "the reference names no variable; write env:NAME" }
        return "a secret is never written here in clear; write file:PATH or env:NAME"
    }

    private static func isVariableName(_ name: Substring) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
    }
}

extension SecretReference: CustomStringConvertible {
    package var description: String {
        switch self {
        case .file(let path): "file:\(path)"
        case .environment(let name): "env:\(name)"
        }
    }
}

/// Finds secrets where none may be.
enum ClearSecret {
    private static let words = ["password", "passwd", "passphrase", "secret", "token", "api-key", "apikey", "api_key"]

    /// Why `text` looks as if a secret was written into it; nil when it does not.
    static func refusal(of text: String) -> String? {
        do throws(HoldfastError) {
            try LocationText.refusePassword(in: text)
        } catch {
            return "a password inside a URL is refused; use the source's own convention, such as a password file"
        }
        // Nearly every text of a configuration ends here, and there are tens of thousands of job files' ones.
        guard text.utf8.contains(UInt8(ascii: "=")) else { return nil }
        let lowered = text.lowercased()
        for word in words {
            for start in lowered.ranges(of: word) where lowered[start.upperBound...].first == "=" {
                let value = lowered[start.upperBound...].dropFirst().prefix { !$0.isWhitespace && $0 != "&" }
                if !value.isEmpty { return "\(word)=… looks like a secret in clear, which is refused" }
            }
        }
        return nil
    }

    /// The same for the words of a command, where a secret can be a word of its own.
    static func refusal(ofCommand words: [String]) -> (index: Int, reason: String)? {
        for (index, word) in words.enumerated() where word.hasPrefix("-") && index + 1 < words.count {
            let name = word.drop { $0 == "-" }.lowercased()
            if Self.words.contains(name), !words[index + 1].hasPrefix("-") {
                return (index + 1, "a secret in clear after \(word) is refused")
            }
        }
        return nil
    }
}
