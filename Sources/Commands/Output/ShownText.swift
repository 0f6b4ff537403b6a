// Bytes that others chose, such as names of files, as they may appear on a terminal and in JSON.

import FoundationEssentials
import Primitives

/// Text from outside, made harmless for a terminal.
enum ShownText {
    /// A path or name: bytes that are not UTF-8 and control characters as `\xNN`, a backslash as `\\`.
    static func path(_ bytes: some Collection<UInt8>) -> String { escaped(Array(bytes), doublingBackslashes: true) }

    /// A name that is a string already.
    static func name(_ text: String) -> String { path(Array(text.utf8)) }

    /// A message: control characters as `\xNN`, all else as it is.
    static func line(_ text: String) -> String { escaped(Array(text.utf8), doublingBackslashes: false) }

    private static func escaped(_ bytes: [UInt8], doublingBackslashes: Bool) -> String {
        var text = ""
        text.reserveCapacity(bytes.count)
        var decoder = Unicode.UTF8.ForwardParser()
        var source = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.parseScalar(from: &source) {
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded)
                if scalar == "\\", doublingBackslashes {
                    text += "\\\\"
                } else if isControl(scalar) {
                    for byte in encoded { text += hexadecimal(byte) }
                } else {
                    text.unicodeScalars.append(scalar)
                }
                offset += encoded.count
            case .error(let length):
                for byte in bytes[offset..<(offset + length)] { text += hexadecimal(byte) }
                offset += length
            case .emptyInput: return text
            }
        }
    }

    /// C0, DEL, C1, line separators, and the marks that turn the direction of text.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> String { "\\x" + Hex.encode([byte]).uppercased() }
}

/// A path in JSON: the text, and its bytes where the text cannot hold them.
struct PathText: Sendable, Hashable {
    /// With U+FFFD for what is not UTF-8.
    let path: String
    /// Base 64 of the bytes, when they are not UTF-8.
    let pathBytes: String?

    init(_ bytes: some Collection<UInt8>) {
        path = String(decoding: bytes, as: UTF8.self)
        let isText = String(validating: bytes, as: UTF8.self) != nil
        pathBytes = isText ? nil : Data(bytes).base64EncodedString()
    }
}
