// Opening packs: the head, the table of contents, and ranges of the body.

import ObjectStore
import Primitives
import Sealing
import Synchronization

/// What it takes to read the body of one pack.
package struct OpenedPack: Sendable {
    package let head: PackHead
    package let headDigest: Bytes32
    package let bodyKey: SecretBytes
}

/// Reads packs of one repository with the keys at hand.
///
/// Thread: may be used from any thread; the keys of the packs opened last are kept, at most ``maximumOpened``.
package final class PackReader: Sendable {
    package static let maximumOpened = 4096

    private let store: any ObjectStore
    private let keyring: Keyring
    private let opened = Mutex<[PackID: OpenedPack]>([:])

    package init(store: any ObjectStore, keyring: Keyring) {
        self.store = store
        self.keyring = keyring
    }

    /// Reads and checks the head of a pack, without any key.
    package func head(_ id: PackID) throws(HoldfastError) -> (head: PackHead, bytes: [UInt8]) {
        let key = ObjectNames.pack(id)
        var bytes = [UInt8](repeating: 0, count: PackHead.size)
        var span = bytes.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try store.read(key, at: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
        let head = try PackHead(bytes, name: key.path)
        guard head.repository == keyring.repository else {
            throw HoldfastError(
                .corruptObject, "\(key) belongs to another repository", hint: "It is foreign; it is ignored.")
        }
        return (head, bytes)
    }

    /// The keys of a pack's body.
    ///
    /// - Throws: `.notPermitted` when this client is no recipient, `.corruptObject` when the head is damaged.
    package func open(_ id: PackID) throws(HoldfastError) -> OpenedPack {
        if let known = opened.withLock({ $0[id] }) { return known }
        let (head, bytes) = try head(id)
        return try open(id, head: head, bytes: bytes)
    }

    /// The same from a head that was read already, with its 512 bytes.
    package func open(_ id: PackID, head: PackHead, bytes: [UInt8]) throws(HoldfastError) -> OpenedPack {
        let name = ObjectNames.pack(id).path
        let keys = keyring.openingKeys(structure: head.kind.isStructure, epoch: head.epoch)
        guard let seed = try head.envelope.open(with: keys, binding: head.binding) else {
            throw keyring.lacks("a key that opens \(head.kind) packs of epoch \(head.epoch)").with("pack", name)
        }
        guard PackKeys.commitment(seed) == head.commitment else {
            throw HoldfastError(
                .corruptObject, "\(name) is damaged: its seed is not the one it commits to",
                hint: "Run `holdfast check --read-data`, and restore the pack from a mirror.")
        }
        let pack = OpenedPack(
            head: head, headDigest: SHA256.digest(bytes.span.bytes),
            bodyKey: try PackKeys.body(seed, salt: head.salt))
        opened.withLock { packs in
            if packs.count >= Self.maximumOpened { packs.removeAll(keepingCapacity: true) }
            packs[id] = pack
        }
        return pack
    }

    /// The table of contents, which needs the index key of the pack's epoch alone.
    package func contents(_ id: PackID) throws(HoldfastError) -> (head: PackHead, contents: PackContents) {
        let (head, bytes) = try head(id)
        let key = ObjectNames.pack(id)
        var sealed = [UInt8](repeating: 0, count: Int(head.contentsLength))
        var span = sealed.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try store.read(key, at: head.contentsOffset, into: UnsafeMutableRawBufferPointer(buffer))
        }
        let plain = try Segments.open(
            sealed, key: try PackKeys.contents(try keyring.indexKey(head.epoch), salt: head.salt),
            headDigest: SHA256.digest(bytes.span.bytes), stream: .contents, name: key.path)
        let contents = try PackContents(
            plain, bodyCapacity: Int(head.bodySegments) * Segments.plainSize, name: key.path)
        guard contents.chunks.count == Int(head.chunkCount) else {
            throw HoldfastError(
                .corruptObject, "\(key) is damaged: its table of contents has another length than its head says",
                hint: "Restore the pack from a mirror.")
        }
        return (head, contents)
    }

    /// Reads whole segments of a body and opens them, the plain bytes side by side at the start of `buffer`.
    ///
    /// - Parameters:
    ///   - segments: Numbers of segments, within the body.
    ///   - buffer: At least 65,536 bytes for each segment.
    /// - Returns: Plain bytes in `buffer`, 65,520 for each segment.
    package func readSegments(
        _ pack: OpenedPack, _ id: PackID, _ segments: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) -> Int {
        let key = ObjectNames.pack(id)
        guard segments.upperBound <= Int(pack.head.bodySegments), !segments.isEmpty else {
            throw HoldfastError(
                .corruptObject, "the index names bytes past the end of \(key)",
                hint: "Run `holdfast repair index`.")
        }
        let count = segments.count * Segments.storedSize
        let stored = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let offset = pack.head.bodyOffset + UInt64(segments.lowerBound) * UInt64(Segments.storedSize)
        try store.read(key, at: offset, into: stored)
        return try openSegments(pack, name: key.path, segments, in: stored)
    }

    /// Opens segments that are in memory already, in place, and closes the gaps that their tags leave.
    package func openSegments(
        _ pack: OpenedPack, name: String, _ segments: Range<Int>, in stored: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) -> Int {
        let cipher = try SegmentCipher(key: pack.bodyKey)
        let inner = Segments.associated(headDigest: pack.headDigest, stream: .body, isLast: false)
        let last = Segments.associated(headDigest: pack.headDigest, stream: .body, isLast: true)
        for (place, number) in segments.enumerated() {
            let start = place * Segments.storedSize
            let middle = start + Segments.plainSize
            let body = UnsafeMutableRawBufferPointer(rebasing: stored[start..<middle])
            let isLast = number == Int(pack.head.bodySegments) - 1
            do throws(HoldfastError) {
                try cipher.open(
                    inPlace: body,
                    tag: UnsafeRawBufferPointer(rebasing: stored[middle..<middle + Segments.tagSize]),
                    nonce: UInt64(number), associated: isLast ? last.span.bytes : inner.span.bytes)
            } catch {
                throw HoldfastError(
                    .corruptObject, "segment \(number) of \(name) does not open",
                    hint: "Run `holdfast check --read-data` to see what depends on it, and restore it from a mirror.")
            }
            if place > 0 {
                let target = place * Segments.plainSize
                memmoveWithin(stored, from: start, to: target, count: Segments.plainSize)
            }
        }
        return segments.count * Segments.plainSize
    }

    private func memmoveWithin(_ buffer: UnsafeMutableRawBufferPointer, from: Int, to: Int, count: Int) {
        // copyMemory allows overlap.
        UnsafeMutableRawBufferPointer(rebasing: buffer[to..<to + count])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[from..<from + count]))
    }
}
