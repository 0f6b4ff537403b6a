// From the text of `--repo` to a store.

import Primitives

/// Where a store is, as an operator writes it: `dir:PATH`, `file:///PATH`, or a plain path.
package enum StoreLocation: Sendable, Hashable {
    case local(path: String)

    /// - Throws: `.usage` for another scheme. The message does not repeat the text, which may hold a password.
    package init(_ text: String) throws(HoldfastError) {
        let path: String
        if text.hasPrefix("dir:") {
            path = String(text.dropFirst(4))
        } else if text.hasPrefix("file:") {
            path = try Self.pathOfFileURL(text)
        } else if let scheme = Self.scheme(of: text) {
            throw HoldfastError(
                .usage, "a repository cannot be at a location with the scheme \(scheme)",
                hint: "Write dir:PATH, file:///PATH or a path; ./NAME for a path with a colon in its first part.")
        } else {
            path = text
        }
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw HoldfastError(
                .usage, "the location of the repository has no path", hint: "Write dir:PATH, file:///PATH or a path.")
        }
        self = .local(path: path)
    }

    /// Opens the store that `text` names.
    package static func open(_ text: String) throws(HoldfastError) -> any ObjectStore {
        switch try StoreLocation(text) {
        case .local(let path): try LocalStore.open(at: path)
        }
    }

    /// Makes a store where `text` says.
    package static func create(_ text: String) throws(HoldfastError) -> any ObjectStore {
        switch try StoreLocation(text) {
        case .local(let path): try LocalStore.create(at: path)
        }
    }

    /// What stands before the first colon, when it has the form of a scheme (RFC 3986, 3.1).
    private static func scheme(of text: String) -> String? {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = text[..<colon]
        func isLetter(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        guard let first = scheme.utf8.first, isLetter(first) else { return nil }
        let isScheme = scheme.utf8.allSatisfy { byte in
            isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(byte)
        }
        return isScheme ? String(scheme) : nil
    }

    /// The path of a file URL without a host (RFC 8089), with its percent escapes resolved.
    private static func pathOfFileURL(_ text: String) throws(HoldfastError) -> String {
        var rest = text.dropFirst(5)
        if rest.hasPrefix("//localhost/") {
            rest = rest.dropFirst(11)
        } else if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
        }
        guard rest.hasPrefix("/") else {
            throw HoldfastError(
                .usage, "a file URL needs an absolute path and no host",
                hint: "Write file:///PATH with three slashes, or dir:PATH for a relative path.")
        }
        var bytes: [UInt8] = []
        var left = rest.utf8[...]
        while let byte = left.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = left.prefix(2)
            guard let text = String(digits)?.lowercased(), let value = Hex.decode(text)?.first else {
                throw HoldfastError(
                    .usage, "a percent sign in a file URL needs two hexadecimal digits",
                    hint: "Write %25 for a percent sign, or use dir:PATH.")
            }
            bytes.append(value)
            left = left.dropFirst(2)
        }
        guard let path = String(validating: bytes, as: UTF8.self) else {
            throw HoldfastError(.usage, "the path of the file URL is not UTF-8", hint: "Use a path in UTF-8.")
        }
        return path
    }
}
