// Nodes of trees, names in the store, time zones and archives.

import Compression
import ObjectStore
import Primitives
import Repository
import Workloads

extension Fuzzer {
    func directory(_ plain: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(plain) { (bytes) throws(HoldfastError) in
            try DirectoryNode(bytes, name: "node")
        } _: { (node) throws(HoldfastError) in
            node.encoded
        }
    }

    /// A byte of the block size's logarithm, then the node.
    func content(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var plain = input
        let shift = take(1, from: &plain) % 24
        // Leaves of page files may spell their lengths out; they are written again the same way.
        let omitsLengths = plain.count > 1 && plain[1] == 2
        let blockSize: UInt64 = shift == 0 ? 0 : 1 << UInt64(shift)
        return try turn(plain) { (bytes) throws(HoldfastError) in
            try ContentNode(bytes, blockSize: blockSize, name: "node")
        } _: { (node) throws(HoldfastError) in
            // A leaf of nothing has no last block to give the length of.
            node.encoded(blockSize: omitsLengths ? blockSize : 0)
        }
    }

    /// An entry, and the nodes of its content by number: the walk of a hostile tree ends and stays within its size.
    func tree(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var reader = ByteReader(input, as: "tree")
        let entry = try Entry(from: &reader)
        guard let content = entry.content else { return .refused }
        if case .inline(let pieces) = content.location {
            var sum: UInt64 = 0
            for piece in pieces {
                let (next, isOver) = sum.addingReportingOverflow(piece.length)
                if isOver { return .wrong("the pieces of an entry add up to more than fits") }
                sum = next
            }
            return sum == content.size ? .accepted : .wrong("the pieces of an entry do not add up to its size")
        }
        return .accepted
    }

    /// A listing's names: what is taken for an object has that object's own name.
    func names(_ input: [UInt8]) -> FuzzVerdict {
        guard let key = ObjectKey(String(decoding: input, as: UTF8.self)) else { return .refused }
        var found: [ObjectKey] = []
        if let id = ObjectNames.packID(key) { found.append(ObjectNames.pack(id)) }
        if let id = ObjectNames.indexRunID(key) { found.append(ObjectNames.indexRun(id)) }
        if let (tag, id) = ObjectNames.snapshotID(key) {
            found.append(ObjectNames.snapshot(tag, id))
            _ = id.time
        }
        if let (slot, number) = ObjectNames.evidenceNumber(key) { found.append(ObjectNames.evidence(slot, number)) }
        if let (id, number) = ObjectNames.leaseNumber(key) { found.append(ObjectNames.lease(id, number)) }
        if let (id, revision) = ObjectNames.slotRevision(key) { found.append(ObjectNames.slot(id, revision: revision)) }
        if let (slot, epoch, digest) = ObjectNames.grantName(key) {
            found.append(ObjectNames.grant(slot, epoch: epoch, digest: digest))
        }
        switch ObjectNames.collection(key) {
        case (let generation, .condemned)?: found.append(ObjectNames.condemned(generation))
        case (let generation, .sweep)?: found.append(ObjectNames.sweep(generation))
        case (let generation, _)?: found.append(ObjectNames.done(generation))
        case nil: break
        }
        guard let name = found.first else { return .refused }
        return found.count == 1 && name == key ? .accepted : .wrong("\(key) is taken for \(name)")
    }

    func timeZone(_ bytes: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let rules = try TimeZoneRules(bytes, name: "zone")
        for seconds in [Int64.min / 1_000_000_000, -1, 0, 1_767_225_600, 4_102_444_800, Int64.max / 1_000_000_000] {
            let offset = rules.offset(at: Timestamp(nanoseconds: seconds * 1_000_000_000))
            guard abs(offset) <= 1 << 31 else { return .wrong("an offset of \(offset) seconds") }
        }
        return .accepted
    }

    /// Members and their contents up to a mebibyte each: holes may make them any size.
    func archive(_ bytes: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let reader = try ArchiveReader(BytesStream(bytes))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while let member = try reader.next() {
            for part in member.parts where part.isEmpty || part == [46, 46] || part.contains(47) || part.contains(0) {
                return .wrong("a member leads out of its archive")
            }
            var total: UInt64 = 0
            for _ in 0..<16 {
                let count = try reader.read(into: buffer)
                if count == 0 { break }
                total += UInt64(count)
            }
            guard total <= member.metadata.size else { return .wrong("a member gives more than its size") }
        }
        return .accepted
    }
}

/// Bytes in memory as a stream.
private final class BytesStream: ByteStream, @unchecked Sendable {
    // Sendable: one thread reads it.
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var count: UInt64 { UInt64(place) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        let end = min(bytes.count, place + buffer.count)
        buffer.copyBytes(from: bytes[place..<end])
        defer { place = end }
        return end - place
    }

    func finish() throws(HoldfastError) {}
}
