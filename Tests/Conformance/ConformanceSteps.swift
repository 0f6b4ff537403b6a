// Short words for the steps of the suite.

import ObjectStore
import Primitives
import Synchronization
import Testing

/// The key of a name that the test itself writes down.
func key(_ name: String) -> ObjectKey {
    guard let key = ObjectKey(name) else { preconditionFailure("\(name) is no name of an object") }
    return key
}

/// Bytes that differ from place to place; cheap enough for many mebibytes in a debug build.
func pattern(_ count: Int) -> [UInt8] {
    let piece = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 8) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count { bytes += piece.prefix(count - bytes.count) }
    return bytes
}

/// The code of the failure that `body` throws; nil when it throws none.
func code<R>(_ body: () throws -> R) -> ErrorCode? {
    do {
        _ = try body()
        return nil
    } catch let error as HoldfastError {
        return error.code
    } catch {
        Issue.record(error, "a store throws nothing but its own errors")
        return nil
    }
}

/// Runs `body` on `count` threads at once; the code of each thread's failure, in their order.
func together(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> [ErrorCode?] {
    let codes = Mutex([ErrorCode?](repeating: nil, count: count))
    withThreads(count) { index in
        let result = code { try body(index) }
        codes.withLock { $0[index] = result }
    }
    return codes.withLock { $0 }
}

extension ObjectStore {
    func put(_ name: String, _ bytes: [UInt8]) throws(HoldfastError) {
        let span = bytes.span.bytes
        try putIfAbsent(key(name), span)
    }

    func bytes(_ name: String, _ range: Range<Int>) throws(HoldfastError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 1)
        defer { buffer.deallocate() }
        try read(key(name), at: UInt64(range.lowerBound), into: buffer)
        return [UInt8](buffer)
    }

    /// Asks for a byte at the greatest offset that there is.
    func readLastByteOfAll(_ name: String) throws(HoldfastError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2, alignment: 1)
        defer { buffer.deallocate() }
        try read(key(name), at: .max, into: buffer)
    }

    /// The names below a prefix, sorted; a name listed twice stands twice.
    func names(_ prefix: String) throws(HoldfastError) -> [String] {
        var names: [String] = []
        try list(prefix) { (info) throws(HoldfastError) in names.append(info.key.path) }
        return names.sorted()
    }
}
