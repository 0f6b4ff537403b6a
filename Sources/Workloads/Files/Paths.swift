// Paths as bytes: joining, C strings, and what is printed of them.

import Primitives

/// Runs `body` over `bytes` with a closing zero. `bytes` must hold no zero byte.
func withCString<R, E: Error>(
    _ bytes: some Collection<UInt8>, _ body: (UnsafePointer<CChar>) throws(E) -> R
) throws(E) -> R {
    var terminated = [UInt8]()
    terminated.reserveCapacity(bytes.count + 1)
    terminated.append(contentsOf: bytes)
    terminated.append(0)
    let span = terminated.span.bytes
    return try span.withUnsafeBytes { (raw) throws(E) in
        // Never nil: the array holds at least the closing zero.
        guard let base = raw.baseAddress else { preconditionFailure("an array with a closing zero has an address") }
        return try body(base.assumingMemoryBound(to: CChar.self))
    }
}

/// `parent/name`, or `name` alone below the root.
package func joinPath(_ parent: [UInt8], _ name: some Collection<UInt8>) -> [UInt8] {
    guard !parent.isEmpty else { return Array(name) }
    var path = [UInt8]()
    path.reserveCapacity(parent.count + 1 + name.count)
    path.append(contentsOf: parent)
    path.append(UInt8(ascii: "/"))
    path.append(contentsOf: name)
    return path
}

/// The path for a message: UTF-8 as it is, all other and control bytes as `\xNN`.
package func printablePath(_ path: some Collection<UInt8>) -> String {
    let bytes = Array(path)
    if let text = String(validating: bytes, as: UTF8.self), bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
        return text
    }
    return bytes.map { byte -> String in
        if byte >= 0x20, byte < 0x7F { return String(UnicodeScalar(byte)) }
        return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
}

/// Splits a slash-separated path into its parts; empty parts are dropped.
package func pathParts(_ path: some Collection<UInt8>) -> [[UInt8]] {
    Array(path).split(separator: UInt8(ascii: "/")).map { Array($0) }
}

/// Whether `name` can stand as one part of a path: 1 to 255 bytes, no slash, no zero, neither `.` nor `..`.
package func isSafeName(_ name: [UInt8]) -> Bool {
    guard !name.isEmpty, name.count <= 255, name != [0x2E], name != [0x2E, 0x2E] else { return false }
    return !name.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
}
