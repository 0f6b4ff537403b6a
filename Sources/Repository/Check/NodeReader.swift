// Reads nodes of trees for a check: any copy that is good will do, and a bad read is repeated once.

import ObjectStore
import Primitives
import Sealing

/// Thread: one at a time.
final class NodeReader {
    private let collector: CheckCollector
    private let index: Index
    private let chunks: ChunkReader
    private let hash: KeyedHash?

    init(_ collector: CheckCollector, index: Index, keyring: Keyring) throws(HoldfastError) {
        self.collector = collector
        self.index = index
        let packs = PackReader(store: collector.store, keyring: keyring)
        chunks = try ChunkReader(index: index, packs: packs, keyring: keyring)
        hash = keyring.current.keys[.metaID].map { KeyedHash(key: $0) }
    }

    func directoryNode(_ reference: NodeReference) throws(HoldfastError) -> DirectoryNode {
        let node = try DirectoryNode(try read(reference.id), name: "directory node \(reference.id)")
        let level =
            switch node.items {
            case .entries: UInt8(0)
            case .children(let level, _): level
            }
        guard level == reference.level else { throw Self.wrongLevel(reference) }
        return node
    }

    func contentNode(_ reference: NodeReference, of content: Content) throws(HoldfastError) -> ContentNode {
        let blockSize: UInt64 = content.rule == .pages ? 1 << UInt64(content.blockShift) : 0
        let node = try ContentNode(
            try read(reference.id), blockSize: blockSize, name: "content node \(reference.id)")
        guard node.level == reference.level else { throw Self.wrongLevel(reference) }
        return node
    }

    /// The packs that hold copies of a chunk.
    func packs(of id: ChunkID) -> [PackID] { index.copies(of: id.bytes.prefix).map(\.pack) }

    private func read(_ id: ChunkID) throws(HoldfastError) -> [UInt8] {
        guard let hash else {
            throw HoldfastError(
                .notPermitted, "this key does not hold the id key of nodes", hint: "Use a key whose role may read.")
        }
        var failure: HoldfastError?
        let copies = index.copies(of: id.bytes.prefix).sorted { $0.entry.depth < $1.entry.depth }
        for copy in copies {
            let name = ObjectNames.pack(copy.pack).path
            do throws(HoldfastError) {
                return try collector.repeating(name) { () throws(HoldfastError) in
                    let plain = try chunks.decode(copy)
                    collector.addBytesRead(Int(copy.entry.stored))
                    guard ChunkID(hash.digest(plain.span.bytes)) == id else {
                        throw ByteReader([], as: name).corrupt("node \(id) decodes to other bytes")
                    }
                    return plain
                }
            } catch {
                if error.code == .interrupted { throw error }
                failure = failure ?? error
            }
        }
        throw failure ?? ChunkReader.missing(id)
    }

    private static func wrongLevel(_ reference: NodeReference) -> HoldfastError {
        HoldfastError(
            .corruptObject, "node \(reference.id) is of another level than its parent says",
            hint: "Whoever wrote it made a mistake; back up again.")
    }
}
