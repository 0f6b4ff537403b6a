// Reads JSON in place, so that secrets in it are cut out and not decoded.

import Primitives

/// A strict reader of RFC 8259 that goes forward over bytes which it does not own.
///
/// Every method reads one value whole, or a failure: `.corruptObject` with the place, never with what stands there.
package struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var depth = 0

    /// Servers take 300 at most.
    package static let maximumDepth = 512

    /// - Precondition: `bytes` outlive the scanner.
    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Runs `body` over the one value that `secret` holds.
    package static func read<R>(
        _ secret: SecretBytes, _ body: (inout JSONScanner) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        try secret.withBytes { (raw) throws(HoldfastError) in
            var scanner = JSONScanner(raw)
            let result = try body(&scanner)
            guard scanner.next() == nil else { throw scanner.fault("more after its end") }
            return result
        }
    }

    // MARK: - Values

    /// Reads an object; `body` reads the value of each key, or skips it.
    package mutating func members(
        _ body: (inout JSONScanner, String) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try enter("{")
        if take("}") { return leave() }
        repeat {
            let key = try string()
            try expect(":")
            let start = position
            try body(&self, key)
            precondition(position > start, "a value was neither read nor skipped")
        } while take(",")
        try expect("}")
        leave()
    }

    package mutating func elements(_ body: (inout JSONScanner) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try enter("[")
        if take("]") { return leave() }
        repeat { try body(&self) } while take(",")
        try expect("]")
        leave()
    }

    /// Reads a string, where a lone surrogate is a failure.
    package mutating func string() throws(HoldfastError) -> String {
        let decoded = try stringBytes()
        guard let text = String(validating: decoded, as: UTF8.self) else { throw fault("no UTF-8") }
        return text
    }

    package mutating func integer() throws(HoldfastError) -> Int64 {
        let range = try number()
        let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
        guard let value = Int64(text) else { throw fault("no whole number") }
        return value
    }

    package mutating func bool() throws(HoldfastError) -> Bool {
        if take("t") {
            try letters("rue")
            return true
        }
        try expect("f")
        try letters("alse")
        return false
    }

    /// Reads `null` if that comes next.
    package mutating func null() throws(HoldfastError) -> Bool {
        guard take("n") else { return false }
        try letters("ull")
        return true
    }

    /// Goes past one value and tells where it stands.
    @discardableResult
    package mutating func skip() throws(HoldfastError) -> Range<Int> {
        guard let first = next() else { throw fault("an end too early") }
        let start = position
        switch first {
        case UInt8(ascii: "{"): try members { (scanner, _) throws(HoldfastError) in try scanner.skip() }
        case UInt8(ascii: "["): try elements { (scanner) throws(HoldfastError) in try scanner.skip() }
        case UInt8(ascii: "\""):
            var decoded = try stringBytes()
            wipe(&decoded)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): _ = try bool()
        case UInt8(ascii: "n"): _ = try null()
        default: _ = try number()
        }
        return start..<position
    }

    /// Copies one value as it stands.
    package mutating func cut() throws(HoldfastError) -> SecretBytes {
        let range = try skip()
        return SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[range])))
    }

    /// What comes next, beside spaces.
    package mutating func next() -> UInt8? {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return bytes[position]
            }
        }
        return nil
    }

    // MARK: - Letters

    /// A string without its escapes. The caller wipes what may be secret.
    package mutating func stringBytes() throws(HoldfastError) -> [UInt8] {
        try expect("\"")
        let start = position
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") { end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < bytes.count else { throw fault("a string without an end") }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(end - start)
        while position < end {
            let byte = bytes[position]
            position += 1
            guard byte >= 0x20 else { throw fault("a control character") }
            if byte == UInt8(ascii: "\\") { try escape(into: &decoded) } else { decoded.append(byte) }
        }
        position = end + 1
        return decoded
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(HoldfastError) {
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(letter)
        case UInt8(ascii: "b"): decoded.append(8)
        case UInt8(ascii: "f"): decoded.append(12)
        case UInt8(ascii: "n"): decoded.append(10)
        case UInt8(ascii: "r"): decoded.append(13)
        case UInt8(ascii: "t"): decoded.append(9)
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xD800..<0xDC00).contains(code) {
                guard take("\\", afterSpaces: false), take("u", afterSpaces: false) else {
                    throw fault("half a letter")
                }
                let low = try unit()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half a letter") }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half a letter") }
            decoded.append(contentsOf: UTF8.encode(scalar)?.map { $0 } ?? [])
        default: throw fault("an unknown escape")
        }
    }

    private mutating func unit() throws(HoldfastError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw fault("an unknown escape")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    package mutating func number() throws(HoldfastError) -> Range<Int> {
        _ = next()
        let start = position
        _ = take("-", afterSpaces: false)
        if !take("0", afterSpaces: false) { try digits() }
        if take(".", afterSpaces: false) { try digits() }
        if take("e", afterSpaces: false) || take("E", afterSpaces: false) {
            if !take("+", afterSpaces: false) { _ = take("-", afterSpaces: false) }
            try digits()
        }
        return start..<position
    }

    /// The bytes of a number that ``number()`` found.
    package func text(_ range: Range<Int>) -> String {
        String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
    }

    private mutating func digits() throws(HoldfastError) {
        let start = position
        let range = UInt8(ascii: "0")...UInt8(ascii: "9")
        while position < bytes.count, range.contains(bytes[position]) { position += 1 }
        guard position > start else { throw fault("no value") }
    }

    private mutating func letters(_ rest: String) throws(HoldfastError) {
        for letter in rest.utf8 {
            guard position < bytes.count, bytes[position] == letter else { throw fault("an unknown word") }
            position += 1
        }
    }

    private mutating func enter(_ mark: Unicode.Scalar) throws(HoldfastError) {
        try expect(mark)
        depth += 1
        guard depth <= Self.maximumDepth else { throw fault("too deep") }
    }

    private mutating func leave() { depth -= 1 }

    private mutating func expect(_ mark: Unicode.Scalar) throws(HoldfastError) {
        guard take(mark) else { throw fault("no `\(mark)`") }
    }

    package mutating func take(_ mark: Unicode.Scalar, afterSpaces: Bool = true) -> Bool {
        let found = afterSpaces ? next() : position < bytes.count ? bytes[position] : nil
        guard found == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    private func fault(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "an answer is no JSON that makes sense: \(what) at byte \(position)",
            hint: "See whether something between here and the vault answers in its place.")
    }
}
