// Whether two JSON texts say the same.

import Primitives

/// Compares JSON by what it says: the order of keys, spaces, escapes and the ways to write a number do not count.
package enum JSONText {
    /// False also for what is no JSON.
    package static func isSame(_ a: SecretBytes, _ b: SecretBytes) -> Bool {
        guard let one = plain(a), let other = plain(b) else { return false }
        return one.equals(other)
    }

    /// One form of all texts that say the same, for comparing and for keyed digests alone; nil for what is no JSON.
    package static func canonical(_ secret: SecretBytes) -> SecretBytes? { plain(secret) }

    /// A text in one form of those that say the same; it is for comparing alone.
    private static func plain(_ secret: SecretBytes) -> SecretBytes? {
        try? JSONScanner.read(secret) { (scanner) throws(HoldfastError) in
            var bytes = try plain(&scanner)
            return SecretBytes(wiping: &bytes)
        }
    }

    private static func plain(_ scanner: inout JSONScanner) throws(HoldfastError) -> [UInt8] {
        var result: [UInt8] = []
        func add(_ part: inout [UInt8]) {
            withUnsafeBytes(of: UInt64(part.count)) { result.append(contentsOf: $0) }
            result.append(contentsOf: part)
            wipe(&part)
        }
        switch scanner.next() {
        case UInt8(ascii: "{"):
            var members: [(key: [UInt8], value: [UInt8])] = []
            try scanner.members { (scanner, key) throws(HoldfastError) in
                members.append((Array(key.utf8), try plain(&scanner)))
            }
            members.sort { $0.key.lexicographicallyPrecedes($1.key) }
            result.append(UInt8(ascii: "{"))
            for index in members.indices {
                add(&members[index].key)
                add(&members[index].value)
            }
            result.append(UInt8(ascii: "}"))
        case UInt8(ascii: "["):
            result.append(UInt8(ascii: "["))
            try scanner.elements { (scanner) throws(HoldfastError) in
                var element = try plain(&scanner)
                add(&element)
            }
            result.append(UInt8(ascii: "]"))
        case UInt8(ascii: "\""):
            result.append(UInt8(ascii: "\""))
            var text = try scanner.stringBytes()
            add(&text)
        case UInt8(ascii: "t"), UInt8(ascii: "f"):
            result.append(try scanner.bool() ? 1 : 0)
        case UInt8(ascii: "n"):
            _ = try scanner.null()
            result.append(2)
        default:
            // As servers keep it.
            let number = Double(scanner.text(try scanner.number())) ?? .nan
            withUnsafeBytes(of: number.bitPattern) { result.append(contentsOf: [3] + $0) }
        }
        return result
    }
}
