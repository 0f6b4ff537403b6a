// Texts that are JSON objects, on their way between vaults of texts and vaults of fields.

import Primitives

/// What a vault of texts and a vault of fields make of each other's values.
package enum JSONObjectText {
    /// Numbers of no more digits are the same to every reader, also to one that keeps 53 bits.
    private static let digits = 15

    /// Whether a text is a JSON object of which every reader makes the same: each key is there once, letters are whole,
    /// and no number has more digits than 53 bits hold.
    package static func isPortable(_ text: SecretBytes) -> Bool {
        let found = try? JSONScanner.read(text) { (scanner) throws(HoldfastError) in
            guard scanner.next() == UInt8(ascii: "{") else {
                try scanner.skip()
                return false
            }
            return try isPortable(&scanner)
        }
        return found ?? false
    }

    private static func isPortable(_ scanner: inout JSONScanner) throws(HoldfastError) -> Bool {
        var isPortable = true
        switch scanner.next() {
        case UInt8(ascii: "{"):
            var keys: Set<[UInt8]> = []
            try scanner.members { (scanner, key) throws(HoldfastError) in
                if !keys.insert(Array(key.utf8)).inserted { isPortable = false }
                if try !Self.isPortable(&scanner) { isPortable = false }
            }
        case UInt8(ascii: "["):
            try scanner.elements { (scanner) throws(HoldfastError) in
                if try !Self.isPortable(&scanner) { isPortable = false }
            }
        case UInt8(ascii: "\""):
            var bytes = try scanner.stringBytes()
            isPortable = String(validating: bytes, as: UTF8.self) != nil
            wipe(&bytes)
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): try scanner.skip()
        default: isPortable = keepsItsValue(scanner.text(try scanner.number()))
        }
        return isPortable
    }

    private static func keepsItsValue(_ number: String) -> Bool {
        let mantissa = number.prefix { $0 != "e" && $0 != "E" }.filter(\.isNumber)
        let significant = mantissa.drop { $0 == "0" }.reversed().drop { $0 == "0" }
        guard significant.count <= digits, let value = Double(number), value.isFinite else { return false }
        return significant.isEmpty || value.isNormal
    }

    /// The object whose one field has a text: `{"NAME":"…"}`.
    ///
    /// - Precondition: `text` is UTF-8.
    package static func wrapping(_ text: SecretBytes, in field: String) -> SecretBytes {
        var buffer = SecretBuffer(capacity: text.count + 64)
        buffer.append("{")
        buffer.appendJSON(field)
        buffer.append(":")
        text.withBytes { buffer.appendJSON($0) }
        buffer.append("}")
        return buffer.taken()
    }

    /// The text of an object that has this field alone, and a text in it; nil for any other.
    package static func unwrapping(_ object: SecretBytes, from field: String) -> SecretBytes? {
        try? JSONScanner.read(object) { (scanner) throws(HoldfastError) in
            var (text, count): (SecretBytes?, Int) = (nil, 0)
            try scanner.members { (scanner, key) throws(HoldfastError) in
                count += 1
                guard key.utf8.elementsEqual(field.utf8), scanner.next() == UInt8(ascii: "\"") else {
                    try scanner.skip()
                    return
                }
                var bytes = try scanner.stringBytes()
                text = SecretBytes(wiping: &bytes)
            }
            return count == 1 ? text : nil
        }
    }
}
