// What a client remembers of a store: the highest that it has seen of everything that only ever grows.

import Primitives

/// The newest state of one repository at one place, as this client has seen it.
///
/// Nothing in it is secret: tags, ids, numbers and digests stand in the clear in the store as well.
package struct StoreMemory: Sendable, Hashable {
    /// The newest snapshot of a source.
    package struct Head: Sendable, Hashable {
        package var sequence: UInt64
        package var id: SnapshotID
        /// SHA-256 of the whole object.
        package var digest: Bytes32
        /// When it was last learned, by this client's clock; of use only when there are too many.
        package var seen: Timestamp

        package init(sequence: UInt64, id: SnapshotID, digest: Bytes32, seen: Timestamp) {
            self.sequence = sequence
            self.id = id
            self.digest = digest
            self.seen = seen
        }

        /// Whether this one is the head where both are there.
        func isAfter(_ other: Head) -> Bool { (sequence, id) > (other.sequence, other.id) }
    }

    /// How far a collection has come.
    package struct Collection: Sendable, Hashable {
        package var steps: Set<ObjectKind> = []
        /// Digests of `gc/<n>` and `gc/<n>.sweep`, of those that were read.
        package var digests: [ObjectKind: Bytes32] = [:]

        package init() {}

        mutating func add(_ other: Collection) {
            steps.formUnion(other.steps)
            // The first that was seen stays: nothing honest ever stands under the same name.
            digests.merge(other.digests) { known, _ in known }
        }
    }

    package static let maximumEpochs = 4096
    /// The newest are kept.
    package static let maximumCollections = 64
    /// Those learned last are kept.
    package static let maximumHeads = 16_384

    /// The highest number below `format/`; 0 before any was seen.
    package var format: UInt32 = 0
    /// A digest of what each epoch object says.
    package var epochs: [Epoch: Bytes32] = [:]
    package var collections: [UInt32: Collection] = [:]
    package var heads: [SourceTag: Head] = [:]
    /// The newest link of each chain of evidence: its number and, if it was read, its digest.
    package var evidence: [SlotID: EvidenceHead] = [:]

    package init() {}

    package var newestCollection: UInt32 { collections.keys.max() ?? 0 }

    /// Adds what another look at the store showed; of each thing the higher stays.
    package mutating func add(_ other: StoreMemory) {
        format = max(format, other.format)
        epochs.merge(other.epochs) { known, _ in known }
        for (number, collection) in other.collections { collections[number, default: Collection()].add(collection) }
        for (tag, head) in other.heads { learn(head, of: tag) }
        for head in other.evidence.values { learn(head) }
        trim()
    }

    mutating func learn(_ head: Head, of tag: SourceTag) {
        guard let known = heads[tag], known.id != head.id, !head.isAfter(known) else {
            heads[tag] = head
            return
        }
    }

    mutating func learn(_ head: EvidenceHead) {
        if let known = evidence[head.slot], known.number > head.number || known == head { return }
        evidence[head.slot] = head
    }

    private mutating func trim() {
        if evidence.count > EvidenceHead.maximumCount {
            for slot in evidence.keys.sorted().dropLast(EvidenceHead.maximumCount) { evidence[slot] = nil }
        }
        if epochs.count > Self.maximumEpochs {
            for epoch in epochs.keys.sorted().dropLast(Self.maximumEpochs) { epochs[epoch] = nil }
        }
        if collections.count > Self.maximumCollections {
            for number in collections.keys.sorted().dropLast(Self.maximumCollections) { collections[number] = nil }
        }
        if heads.count > Self.maximumHeads {
            let byAge = heads.sorted { ($0.value.seen, $0.key) < ($1.value.seen, $1.key) }
            for (tag, _) in byAge.dropLast(Self.maximumHeads) { heads[tag] = nil }
        }
    }
}

// MARK: - Bytes

extension StoreMemory {
    /// | bytes | what |
    /// |---|---|
    /// | 8 | `HFMEMO02`, or `HFMEMO01` and no chains of evidence |
    /// | 16 | repository |
    /// | 4 | format |
    /// | … | epochs: count, then number 4 and digest 32 each |
    /// | … | collections: count, then number 4, steps 1 (bits: condemned, sweep, done), digests 32 and 32 each |
    /// | … | heads: count, then tag 16, sequence 8, id 16, digest 32, seen 8 each |
    /// | … | chains of evidence: count, then slot 16, number 4, digest 32 each, in order of slots |
    /// | 32 | HMAC of all before, under a key of the repository |
    private static let magic: [UInt8] = Array("HFMEMO02".utf8)
    private static let firstMagic: [UInt8] = Array("HFMEMO01".utf8)
    private static let steps: [ObjectKind] = [.condemned, .sweep, .done]
    package static let maximumSize = ByteCount.mebi(4)

    func encoded(_ repository: RepositoryID) -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(Self.magic)
        writer.raw(repository.bytes)
        writer.u32(format)
        writer.varint(UInt64(epochs.count))
        for (epoch, digest) in epochs.sorted(by: { $0.key < $1.key }) {
            writer.u32(epoch)
            writer.raw(digest)
        }
        writer.varint(UInt64(collections.count))
        for (number, collection) in collections.sorted(by: { $0.key < $1.key }) {
            writer.u32(number)
            var bits: UInt8 = 0
            for (place, step) in Self.steps.enumerated() where collection.steps.contains(step) { bits |= 1 << place }
            writer.u8(bits)
            writer.raw(collection.digests[.condemned] ?? Bytes32())
            writer.raw(collection.digests[.sweep] ?? Bytes32())
        }
        writer.varint(UInt64(heads.count))
        for (tag, head) in heads.sorted(by: { $0.key < $1.key }) {
            writer.raw(tag.bytes)
            writer.u64(head.sequence)
            writer.raw(head.id.bytes)
            writer.raw(head.digest)
            writer.i64(head.seen.nanoseconds)
        }
        EvidenceHead.write(evidence.values.sorted { $0.slot < $1.slot }, to: &writer)
        return writer.bytes
    }

    /// Reads what ``encoded(_:)`` wrote.
    init(_ bytes: [UInt8], repository: RepositoryID, name: String) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        let magic = try reader.raw(Self.magic.count)
        guard magic == Self.magic || magic == Self.firstMagic else { throw reader.corrupt("it is of another kind") }
        guard RepositoryID(try reader.bytes16()) == repository else { throw reader.corrupt("it is another's") }
        format = try reader.u32()
        for _ in 0..<(try reader.count(each: 36, atMost: Self.maximumEpochs)) {
            let epoch = try reader.u32()
            epochs[epoch] = try reader.bytes32()
        }
        for _ in 0..<(try reader.count(each: 69, atMost: Self.maximumCollections)) {
            let number = try reader.u32()
            let bits = try reader.u8()
            var collection = Collection()
            for (place, step) in Self.steps.enumerated() where bits >> place & 1 == 1 { collection.steps.insert(step) }
            for step in [ObjectKind.condemned, .sweep] {
                let digest = try reader.bytes32()
                if !digest.isZero { collection.digests[step] = digest }
            }
            collections[number] = collection
        }
        for _ in 0..<(try reader.count(each: 80, atMost: Self.maximumHeads)) {
            let tag = SourceTag(try reader.bytes16())
            heads[tag] = Head(
                sequence: try reader.u64(), id: ULID(try reader.bytes16()), digest: try reader.bytes32(),
                seen: Timestamp(nanoseconds: try reader.i64()))
        }
        if magic == Self.magic {
            for head in try EvidenceHead.list(from: &reader) { evidence[head.slot] = head }
        }
        try reader.expectEnd()
    }
}
