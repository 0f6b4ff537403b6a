// The framing of sealed streams: segments under AES-256-GCM with a counter, as STREAM (Hoang, Reyhanitabar, Rogaway and
// Vizár, "Online authenticated-encryption and its nonce-reuse misuse-resistance", 2015).

import Primitives
import Sealing

/// Sizes and associated data of segments.
///
/// Every body segment is 65,536 bytes as stored: 65,520 of stream and 16 of tag. A table of contents and an index run
/// use the same framing with a last segment that may be shorter. Nonce = 4 zero bytes and the segment's number,
/// big-endian. Associated data = SHA-256(head) ‖ stream ‖ last, 34 bytes.
package enum Segments {
    package static let storedSize = 65_536
    package static let tagSize = 16
    package static let plainSize = 65_520
    /// 64 MiB of body: twice the target of a pack, and far under the 2^32 messages that GCM allows one key.
    package static let maximumCount: UInt32 = 1024

    /// Which stream of a pack a segment belongs to.
    package enum Stream: UInt8, Sendable {
        case body = 0
        case contents = 1
        case index = 2
    }

    package static func associated(headDigest: Bytes32, stream: Stream, isLast: Bool) -> [UInt8] {
        headDigest.array + [stream.rawValue, isLast ? 1 : 0]
    }

    /// Stored bytes of a stream of `plain` bytes whose last segment is not filled up.
    package static func storedCount(plain: Int) -> Int {
        let full = max(1, (plain + plainSize - 1) / plainSize)
        return plain + full * tagSize
    }

    /// Plain bytes of `stored` bytes; nil when no stream is that long.
    package static func plainCount(stored: Int) -> Int? {
        guard stored >= tagSize else { return nil }
        let full = (stored + storedSize - 1) / storedSize
        let plain = stored - full * tagSize
        return plain >= 0 && storedCount(plain: plain) == stored ? plain : nil
    }

    /// Seals a short stream (contents or index) in one go.
    package static func seal(
        _ plain: [UInt8], key: SecretBytes, headDigest: Bytes32, stream: Stream
    ) throws(HoldfastError) -> [UInt8] {
        let cipher = try SegmentCipher(key: key)
        let total = storedCount(plain: plain.count)
        let count = (total + storedSize - 1) / storedSize
        var stored: [UInt8] = []
        stored.reserveCapacity(total)
        for number in 0..<count {
            let start = number * plainSize
            let end = min(plain.count, start + plainSize)
            var segment = Array(plain[start..<end]) + [UInt8](repeating: 0, count: tagSize)
            let associated = associated(headDigest: headDigest, stream: stream, isLast: number == count - 1)
            var span = segment.mutableSpan
            try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
                let raw = UnsafeMutableRawBufferPointer(buffer)
                try cipher.seal(
                    inPlace: UnsafeMutableRawBufferPointer(rebasing: raw[..<(end - start)]),
                    tag: UnsafeMutableRawBufferPointer(rebasing: raw[(end - start)...]),
                    nonce: UInt64(number), associated: associated.span.bytes)
            }
            stored.append(contentsOf: segment)
        }
        return stored
    }

    /// Opens what ``seal(_:key:headDigest:stream:)`` made.
    ///
    /// - Throws: `.corruptObject` naming `name` for a wrong length or a segment that does not open.
    package static func open(
        _ stored: [UInt8], key: SecretBytes, headDigest: Bytes32, stream: Stream, name: String
    ) throws(HoldfastError) -> [UInt8] {
        try open(stored.span.bytes, key: key, headDigest: headDigest, stream: stream, name: name)
    }

    /// The same for bytes that lie in a larger object, of which one segment at a time is copied.
    package static func open(
        _ stored: RawSpan, key: SecretBytes, headDigest: Bytes32, stream: Stream, name: String
    ) throws(HoldfastError) -> [UInt8] {
        let reader = ByteReader([], as: name)
        guard let plainCount = plainCount(stored: stored.byteCount) else {
            throw reader.corrupt("a stream is cut short")
        }
        let cipher = try SegmentCipher(key: key)
        let count = (stored.byteCount + storedSize - 1) / storedSize
        var plain: [UInt8] = []
        plain.reserveCapacity(plainCount)
        for number in 0..<count {
            let start = number * storedSize
            let place = stored.extracting(start..<min(stored.byteCount, start + storedSize))
            var segment = place.withUnsafeBytes { [UInt8]($0) }
            let body = segment.count - tagSize
            let associated = associated(headDigest: headDigest, stream: stream, isLast: number == count - 1)
            var span = segment.mutableSpan
            do throws(HoldfastError) {
                try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
                    let raw = UnsafeMutableRawBufferPointer(buffer)
                    try cipher.open(
                        inPlace: UnsafeMutableRawBufferPointer(rebasing: raw[..<body]),
                        tag: UnsafeRawBufferPointer(rebasing: raw[body...]),
                        nonce: UInt64(number), associated: associated.span.bytes)
                }
            } catch {
                throw reader.corrupt("segment \(number) of its \(stream) does not open")
            }
            plain.append(contentsOf: segment[..<body])
        }
        return plain
    }
}
