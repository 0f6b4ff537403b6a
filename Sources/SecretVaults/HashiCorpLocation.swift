// Where a store of keys and values of Vault or OpenBao is.

import Primitives

/// `https://HOST[:PORT]/MOUNT`, or `http://` to this machine alone, as it stands behind `vault:`.
package struct HashiCorpLocation: Sendable, Hashable, CustomStringConvertible {
    package let origin: WebAddress
    /// Without slashes at its ends; may have some within. Not percent-encoded.
    package let mount: String

    /// - Throws: `.usage` for what names no mount on an https host, or on this machine.
    package init(_ text: String) throws(HoldfastError) {
        if let refusal = WebAddress.refusal(of: text) { throw Self.refused(refusal) }
        guard let origin = WebAddress(text.lowercasingHost) else { throw Self.refused("write https://HOST/MOUNT") }
        guard !origin.path.contains("?"), !origin.path.contains("#") else {
            throw Self.refused("a query does not belong into it")
        }
        let mount = PercentText.decode(origin.path)?.split(separator: "/").joined(separator: "/") ?? ""
        guard !mount.isEmpty, !mount.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
            throw Self.refused("it names no mount: write https://HOST/MOUNT")
        }
        guard !mount.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw Self.refused("its mount has a control character")
        }
        self.origin = origin
        self.mount = mount
    }

    /// In one form for all ways to write it, so that it can be read again; a port that goes without saying is left out.
    package var description: String {
        origin.root + "/" + PercentText.encode(mount, keeping: "/")
    }

    private static func refused(_ why: String) -> HoldfastError {
        HoldfastError(
            .usage, "this is no location of a vault: \(why)",
            hint: "Write vault:https://HOST[:PORT]/MOUNT; docs/VAULTS.md has examples.")
    }
}

extension String {
    /// Hosts are told apart without regard to case.
    var lowercasingHost: String {
        guard let slashes = firstRange(of: "://") else { return self }
        let host = self[slashes.upperBound...].prefix { $0 != "/" && $0 != "?" }
        return self[..<slashes.upperBound] + host.lowercased() + self[host.endIndex...]
    }
}

/// Percent-encoding (RFC 3986, section 2.1) of UTF-8.
package enum PercentText {
    /// All but the unreserved characters of RFC 3986, section 2.3, and those of `kept`.
    package static func encode(_ text: String, keeping kept: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                if kept.utf8.contains(byte) {
                    encoded.unicodeScalars.append(Unicode.Scalar(byte))
                } else {
                    encoded += "%" + Hex.encode([byte]).uppercased()
                }
            }
        }
        return encoded
    }

    /// Nil for what is not encoded by the rules, or is no UTF-8.
    package static func decode(_ path: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(path.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard let decoded = Hex.decode(digits.lowercased()), decoded.count == 1 else { return nil }
            bytes += decoded
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
