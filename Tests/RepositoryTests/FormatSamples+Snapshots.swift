// Samples of snapshots and of the nodes of their trees.

import Primitives
import Repository
import Sealing
import TestSupport

extension FormatSamples {
    var fileEntry: Entry {
        var metadata = EntryMetadata(name: Array("a file".utf8), kind: .file)
        metadata.mode = 0o4755
        metadata.user = 1000
        metadata.group = 100
        metadata.userName = "user"
        metadata.groupName = "group"
        metadata.modified = made
        metadata.changed = Timestamp(nanoseconds: -5)
        metadata.inode = 1 << 40
        metadata.device = 2049
        metadata.links = 2
        metadata.size = 300
        metadata.attributes = [ExtendedAttribute(name: Array("user.x".utf8), value: [0, 255])]
        let pieces = [ContentPiece(id: Self.chunk(1), length: 200), ContentPiece(id: .zeros, length: 100)]
        var entry = Entry(
            metadata, content: Content(rule: .content, blockShift: 0, size: 300, location: .inline(pieces)))
        entry.unknown[7] = [1, 2, 3]
        return entry
    }

    var pageEntry: Entry {
        var metadata = EntryMetadata(name: Array("pages".utf8), kind: .file)
        metadata.size = 1 << 30
        let root = NodeReference(id: Self.chunk(9), level: 1)
        return Entry(metadata, content: Content(rule: .pages, blockShift: 17, size: 1 << 30, location: .tree(root)))
    }

    var entries: DirectoryNode {
        var link = EntryMetadata(name: [0x6C, 0xFF], kind: .symbolicLink)
        link.linkTarget = Array("../a file".utf8)
        return DirectoryNode(.entries([fileEntry, Entry(link), pageEntry]))
    }

    var children: DirectoryNode {
        DirectoryNode(
            .children(
                level: 1,
                [
                    DirectoryNode.Child(firstName: Array("a".utf8), id: Self.chunk(4)),
                    DirectoryNode.Child(firstName: Array("m".utf8), id: Self.chunk(5)),
                ]))
    }

    var pageLeaf: ContentNode {
        ContentNode(
            level: 0,
            pieces: [
                ContentPiece(id: Self.chunk(1), length: 1 << 17), ContentPiece(id: .zeros, length: 1 << 17),
                ContentPiece(id: Self.chunk(2), length: 77),
            ])
    }

    var contentLeaf: ContentNode {
        ContentNode(
            level: 0,
            pieces: [ContentPiece(id: Self.chunk(1), length: 1_000_000), ContentPiece(id: .zeros, length: 1 << 45)])
    }

    var contentParent: ContentNode {
        ContentNode(
            level: 2,
            pieces: [ContentPiece(id: Self.chunk(6), length: 1 << 41), ContentPiece(id: Self.chunk(7), length: 5)])
    }

    var record: SnapshotRecord {
        var record = SnapshotRecord(
            source: "sample", workload: "dir", host: "host", toolVersion: "0.0", runID: ULID(Bytes16(w0: 3, w1: 4)),
            started: made)
        record.tags = ["key": "value", "a": "b"]
        record.consistentAsOf = Timestamp(nanoseconds: made.nanoseconds + 1)
        record.finished = Timestamp(nanoseconds: made.nanoseconds + 2)
        record.parent = ULID(Bytes16(w0: 5, w1: 6))
        record.counts.files = 1
        record.counts.bytes = 300
        record.counts.deltas = 1 << 20
        record.facts = ["fact": "1"]
        record.expectedContents = ["rows": "2"]
        record.opensWith = ["vault:x"]
        record.exclusions = ["*.tmp"]
        record.flags = ["partial"]
        let directory = Entry(
            EntryMetadata(name: [], kind: .directory), tree: NodeReference(id: Self.chunk(8), level: 1))
        record.roots = [SnapshotRoot(path: Array("/srv".utf8), entry: directory)]
        record.unreadable = [UnreadablePath(path: Array("/srv/x".utf8), reason: "no")]
        record.unreadableCount = 2
        record.unknown[1000] = [1]
        return record
    }

    var snapshotObject: SnapshotObject {
        SnapshotObject(
            repository: repository, tag: tag, id: snapshot, sequence: 12, previous: Bytes32(w0: 70), epoch: 2,
            formatNumber: 3, slot: slot, runs: [IndexRunID(Bytes32(w0: 60))])
    }

    func snapshotObjects() throws -> [String: [UInt8]] {
        [
            "directory entries": entries.encoded, "directory children": children.encoded,
            "content leaf of pages": pageLeaf.encoded(blockSize: 1 << 17),
            "content leaf": contentLeaf.encoded(blockSize: 0),
            "content parent": contentParent.encoded(blockSize: 1 << 17),
            "snapshot record": record.encoded,
            "snapshot": try snapshotObject.encoded(
                record, recipients: [dataKey.publicKey, opened.agreement.publicKey], signer: opened.signing,
                entropy: SeededEntropy(seed: 4)),
        ]
    }
}
