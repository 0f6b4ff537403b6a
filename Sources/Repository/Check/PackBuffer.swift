// A pack in memory, read whole: digest, segments opened in place, and the stream of chunks.

import ObjectStore
import Primitives
import Sealing

/// One pack read from end to end.
///
/// Memory: the largest pack seen, at most ``maximumSize``. Thread: one at a time; make one per thread.
final class PackBuffer {
    /// Longer objects are no packs; they are hashed in pieces and not kept.
    static let maximumSize =
        UInt64(PackHead.size) * 2 + UInt64(Segments.maximumCount) * UInt64(Segments.storedSize)
        + UInt64(PackContents.maximumStored)
    private static let pieceSize = 4 << 20

    private let memory = GrowingBuffer()
    private let hasher = SHA256Stream()
    private var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Reads the object and returns the SHA-256 of its bytes. Up to ``maximumSize`` they stay in memory.
    func read(
        _ key: ObjectKey, size: UInt64, from store: any ObjectStore, _ cancellation: Cancellation
    ) throws(HoldfastError) -> Bytes32 {
        let isKept = size <= Self.maximumSize
        bytes = memory.room(isKept ? Int(size) : Self.pieceSize)
        hasher.reset()
        var offset: UInt64 = 0
        while offset < size {
            try cancellation.check()
            let count = Int(min(UInt64(Self.pieceSize), size - offset))
            let start = isKept ? Int(offset) : 0
            let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + count])
            try store.read(key, at: offset, into: piece)
            hasher.update(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(piece)))
            offset += UInt64(count)
        }
        if !isKept { bytes = UnsafeMutableRawBufferPointer(rebasing: bytes[..<0]) }
        return hasher.finish()
    }

    var count: Int { bytes.count }

    /// Runs `body` over the bytes as they were read.
    func withBytes(_ body: (RawSpan) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes)))
    }

    /// A copy of some of the bytes.
    func copy(_ range: Range<Int>) -> [UInt8] { [UInt8](UnsafeRawBufferPointer(rebasing: bytes[range])) }

    /// Opens every segment of the body in place and closes the gaps that the tags leave.
    ///
    /// - Returns: the plain stream, and the numbers of the segments that do not open, which hold zeros.
    func openBody(_ pack: OpenedPack) throws(HoldfastError) -> (stream: UnsafeRawBufferPointer, bad: [Int]) {
        let cipher = try SegmentCipher(key: pack.bodyKey)
        let inner = Segments.associated(headDigest: pack.headDigest, stream: .body, isLast: false)
        let last = Segments.associated(headDigest: pack.headDigest, stream: .body, isLast: true)
        let count = Int(pack.head.bodySegments)
        let body = UnsafeMutableRawBufferPointer(rebasing: bytes[PackHead.size...])
        var bad: [Int] = []
        for number in 0..<count {
            let start = number * Segments.storedSize
            let middle = start + Segments.plainSize
            let text = UnsafeMutableRawBufferPointer(rebasing: body[start..<middle])
            do throws(HoldfastError) {
                try cipher.open(
                    inPlace: text,
                    tag: UnsafeRawBufferPointer(rebasing: body[middle..<middle + Segments.tagSize]),
                    nonce: UInt64(number),
                    associated: number == count - 1 ? last.span.bytes : inner.span.bytes)
            } catch {
                guard error.code == .corruptObject else { throw error }
                bad.append(number)
            }
            if number > 0 {
                let target = number * Segments.plainSize
                UnsafeMutableRawBufferPointer(rebasing: body[target..<target + Segments.plainSize])
                    .copyMemory(from: UnsafeRawBufferPointer(text))
            }
        }
        return (UnsafeRawBufferPointer(rebasing: body[..<(count * Segments.plainSize)]), bad)
    }
}
