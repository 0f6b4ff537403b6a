// Decoders of bytes from disk: whatever they are given, they return a value or throw, and never trap.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Format")
struct FormatTests {
    private static func entry(_ name: String) -> Entry {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .file)
        metadata.size = 5
        metadata.attributes = [ExtendedAttribute(name: Array("user.a".utf8), value: [1, 2, 3])]
        let piece = ContentPiece(id: ChunkID(Bytes32(w0: 7)), length: 5)
        return Entry(
            metadata, content: Content(rule: .content, blockShift: 0, size: 5, location: .inline([piece])))
    }

    @Test("a directory node reads back, and no damage to it traps")
    func directoryNode() throws {
        let node = DirectoryNode(.entries([Self.entry("a"), Self.entry("b")]))
        #expect(try DirectoryNode(node.encoded, name: "node") == node)
        try damage(node.encoded) { (bytes) throws(HoldfastError) in _ = try DirectoryNode(bytes, name: "node") }
    }

    @Test("names of a directory node must ascend")
    func order() {
        let node = DirectoryNode(.entries([Self.entry("b"), Self.entry("a")]))
        let error = #expect(throws: HoldfastError.self) { try DirectoryNode(node.encoded, name: "node") }
        #expect(error?.code == .corruptObject)
    }

    @Test("a content node reads back with and without lengths, and no damage to it traps")
    func contentNode() throws {
        let pieces = (0..<5).map { ContentPiece(id: ChunkID(Bytes32(w0: $0)), length: $0 == 4 ? 10 : 131_072) }
        let node = ContentNode(level: 0, pieces: pieces)
        for size: UInt64 in [0, 131_072] {
            let bytes = node.encoded(blockSize: size)
            #expect(try ContentNode(bytes, blockSize: size, name: "node") == node)
            try damage(bytes) { (bytes) throws(HoldfastError) in
                _ = try ContentNode(bytes, blockSize: size, name: "node")
            }
        }
    }

    @Test("a snapshot's record reads back, keeps fields that it does not know, and no damage to it traps")
    func record() throws {
        let test = try TestRepository()
        var record = SnapshotRecord(
            source: "s", workload: "dir", host: "h", toolVersion: "1", runID: ULID(Bytes16(w0: 1, w1: 2)),
            started: test.clock.now())
        record.tags = ["a": "b"]
        record.roots = [SnapshotRoot(path: [47, 255], entry: Self.entry(""))]
        record.unknown[900] = [1, 2, 3]
        record.unreadable = [UnreadablePath(path: [1], reason: "r")]
        record.unreadableCount = 1
        #expect(try SnapshotRecord(record.encoded, name: "record") == record)
        try damage(record.encoded) { (bytes) throws(HoldfastError) in
            _ = try SnapshotRecord(bytes, name: "record")
        }
    }

    @Test("a pack's head is guarded by its checksum at every byte")
    func packHead() throws {
        let key = try AgreementKey.generate(entropy: SystemEntropy())
        let binding = Envelope.Binding(
            repository: RepositoryID(Bytes16()), kind: 1, epoch: 1, salt: Bytes32(w0: 9))
        let envelope = try Envelope.seal(
            try SystemEntropy().secret(32), to: [key.publicKey], binding: binding, entropy: SystemEntropy())
        let head = PackHead(
            repository: RepositoryID(Bytes16()), kind: .page, epoch: 1, lease: ULID(Bytes16()), slot: SlotID(Bytes16()),
            salt: Bytes32(w0: 9), commitment: Bytes32(), bodySegments: 3, contentsLength: 4096, chunkCount: 1,
            envelope: envelope)
        #expect(try PackHead(head.encoded, name: "pack") == head)
        for place in 0..<PackHead.size {
            var bytes = head.encoded
            bytes[place] ^= 1
            #expect(throws: HoldfastError.self) { try PackHead(bytes, name: "pack") }
        }
    }

    @Test("objects that are signed refuse every flipped bit and every truncation")
    func signedObjects() throws {
        let signer = try SigningKey.generate(entropy: SystemEntropy())
        let lease = LeaseObject(
            repository: RepositoryID(Bytes16()), lease: ULID(Bytes16()), number: 3, slot: SlotID(Bytes16()),
            purpose: .write, tag: SourceTag(Bytes16()), started: Timestamp(nanoseconds: 5), honoured: 2,
            kept: [PackID(Bytes32(w0: 3))], isClosed: false)
        let bytes = try lease.encoded(signer: signer)
        #expect(try LeaseObject(bytes, name: "lease") == lease)
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 0x10
            #expect(throws: HoldfastError.self) { try LeaseObject(changed, name: "lease") }
            #expect(throws: HoldfastError.self) { try LeaseObject(Array(bytes[..<place]), name: "lease") }
        }
    }

    @Test("PADMÉ pads by at most twelve in a hundred and never shortens")
    func padding() {
        for count in stride(from: 1, to: 5_000_000, by: 997) {
            let padded = Padding.padme(count, floor: 1)
            #expect(padded >= count)
            #expect(Double(padded) <= Double(count) * 1.12 + 1, "\(count)")
            #expect(Padding.padme(padded, floor: 1) == padded)
        }
    }

    /// Flips each byte in turn, cuts at each place, and tries random bytes: each either decodes or throws.
    private func damage(
        _ bytes: [UInt8], _ decode: ([UInt8]) throws(HoldfastError) -> Void
    ) throws {
        var refused = 0
        func attempt(_ bytes: [UInt8]) {
            do throws(HoldfastError) { try decode(bytes) } catch {
                refused += 1
                #expect(error.code == .corruptObject || error.code == .unsupportedFormat)
            }
        }
        for place in bytes.indices {
            for bit: UInt8 in [1, 0x80, 0xFF] {
                var changed = bytes
                changed[place] ^= bit
                attempt(changed)
            }
            attempt(Array(bytes[..<place]))
        }
        let entropy = SeededEntropy(seed: 11)
        for count in 0..<300 { attempt((0..<count).map { _ in UInt8(truncatingIfNeeded: entropy.next()) }) }
        #expect(refused >= bytes.count, "every truncation is refused")
    }
}
