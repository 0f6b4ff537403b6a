// Key material and passwords: redacted in print, compared in constant time, wiped at the end of life.

import CLinux

/// Bytes that must not be printed, and are overwritten when the last reference to them goes.
///
/// Thread: immutable after set-up; `withMutableBytes` is for the maker, before the value is shared.
package final class SecretBytes: @unchecked Sendable {
    // Sendable: the storage is written only before sharing and in deinit.
    private let storage: UnsafeMutableRawBufferPointer

    package init(count: Int) {
        storage = .allocate(byteCount: count, alignment: 16)
        storage.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Copies `bytes`; the caller wipes its own copy.
    package convenience init(copying bytes: RawSpan) {
        self.init(count: bytes.byteCount)
        bytes.withUnsafeBytes { storage.copyMemory(from: $0) }
    }

    /// Copies `bytes` and wipes them.
    package convenience init(wiping bytes: inout [UInt8]) {
        self.init(count: bytes.count)
        bytes.withUnsafeMutableBytes { raw in
            storage.copyMemory(from: UnsafeRawBufferPointer(raw))
            if let base = raw.baseAddress { holdfast_zero(base, raw.count) }
        }
        bytes = []
    }

    deinit {
        if let base = storage.baseAddress { holdfast_zero(base, storage.count) }
        storage.deallocate()
    }

    package var count: Int { storage.count }

    package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(storage))
    }

    package func withMutableBytes<R, E: Error>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(storage)
    }

    /// Compares in time that depends on the lengths alone.
    package func equals(_ other: SecretBytes) -> Bool {
        guard count == other.count else { return false }
        return constantTimeEquals(UnsafeRawBufferPointer(storage), UnsafeRawBufferPointer(other.storage))
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Whether two byte strings of one length are equal, in time that does not depend on where they differ.
package func constantTimeEquals(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<a.count { difference |= a[index] ^ b[index] }
    return difference == 0
}

/// Overwrites an array that held key material.
package func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { raw in
        if let base = raw.baseAddress { holdfast_zero(base, raw.count) }
    }
}
