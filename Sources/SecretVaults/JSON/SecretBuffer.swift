// Bytes that grow and leave no copy behind.

import Primitives

/// A growing run of bytes that is wiped wherever it stood.
///
/// Thread: one at a time.
package struct SecretBuffer: ~Copyable {
    private var storage: SecretBytes
    package private(set) var count = 0

    package init(capacity: Int = 256) { storage = SecretBytes(count: max(capacity, 16)) }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        let start = count
        storage.withMutableBytes { raw in
            UnsafeMutableRawBufferPointer(rebasing: raw[start..<(start + bytes.count)]).copyMemory(from: bytes)
        }
        count += bytes.count
    }

    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends `text` as a JSON string, with its quotation marks.
    package mutating func appendJSON(_ text: String) {
        var text = text
        text.withUTF8 { appendJSON(UnsafeRawBufferPointer($0)) }
    }

    /// Appends UTF-8 as a JSON string, with its quotation marks.
    package mutating func appendJSON(_ utf8: UnsafeRawBufferPointer) {
        append("\"")
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0..<0x20: append("\\u00" + Hex.encode([byte]))
            default: withUnsafeBytes(of: byte) { append($0) }
            }
        }
        append("\"")
    }

    private mutating func reserve(_ more: Int) {
        guard count + more > storage.count else { return }
        let larger = SecretBytes(count: max(storage.count * 2, count + more))
        let filled = count
        larger.withMutableBytes { target in
            storage.withBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<filled])) }
        }
        storage = larger
    }

    /// What was appended, as a secret of its own.
    package consuming func taken() -> SecretBytes {
        let filled = count
        return storage.withBytes { raw in
            SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[..<filled])))
        }
    }
}
