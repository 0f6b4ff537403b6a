// Format 1 as it was first written: the bytes of every kind of object, and reading those bytes back.

import Compression
import Foundation
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

/// The committed bytes of the samples.
enum GoldenEncodings {
    static let path: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<2 { url.deleteLastPathComponent() }
        return url.path + "/Fixtures/format1/encodings.json"
    }()

    /// Only with this set are the bytes written anew. That breaks the format: every repository out there has them.
    static let isRegenerating = ProcessInfo.processInfo.environment["HOLDFAST_REGENERATE_FORMAT1"] == "encodings"

    static func load() throws -> [String: [UInt8]] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return try JSONDecoder().decode([String: String].self, from: data).mapValues { hex in
            try #require(Hex.decode(hex))
        }
    }

    static func save(_ samples: [String: [UInt8]]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let data = try encoder.encode(samples.mapValues { Hex.encode($0) })
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try (data + Data("\n".utf8)).write(to: URL(fileURLWithPath: path))
    }
}

@Suite("The bytes of format 1")
struct GoldenEncodingTests {
    private let samples: FormatSamples
    private let golden: [String: [UInt8]]

    init() throws {
        samples = try FormatSamples()
        if GoldenEncodings.isRegenerating { try GoldenEncodings.save(samples.all()) }
        golden = try GoldenEncodings.load()
    }

    private func bytes(_ name: String) throws -> [UInt8] { try #require(golden[name], "no sample \(name)") }

    @Test("objects are written as they always were")
    func encoding() throws {
        let made = try samples.all()
        #expect(made.keys.sorted() == golden.keys.sorted())
        for (name, bytes) in made { #expect(golden[name] == bytes, "\(name) is \(Hex.encode(bytes))") }
    }

    @Test("objects of keys read back")
    func keys() throws {
        #expect(try FormatObject(try bytes("format"), name: "f", trusted: samples.admin.publicKey) == samples.format)
        #expect(try EpochObject(try bytes("epoch"), name: "e", adminKey: samples.admin.publicKey) == samples.epoch)
        let slot = try SlotObject(try bytes("slot scrypt"), name: "s")
        #expect(slot.revision == 2 && slot.label == "sample" && slot.id == samples.slot)
        let opened = try #require(try slot.open(with: TestRepository.secret(FormatSamples.password)))
        #expect(opened.adminKey == samples.admin.publicKey)
        #expect(opened.signing.publicKey == samples.opened.signing.publicKey)
        let raw = try SlotObject(try bytes("slot raw key"), name: "s")
        #expect(raw.derivation == .rawKey)
        #expect(try raw.open(with: FormatSamples.secret(9))?.agreement.publicKey == opened.agreement.publicKey)
        let grant = try GrantObject(try bytes("grant"), name: "g", adminKey: samples.admin.publicKey)
        #expect(grant.role == .writer && grant.rights == .readback && grant.sources == [samples.tag])
        let keys = try grant.keys(opened.agreement, name: "g")
        #expect(keys.count == samples.grantedKeys.count)
        for (kind, key) in samples.grantedKeys { #expect(keys[kind]?.equals(key) == true, "\(kind)") }
    }

    @Test("packs and runs read back")
    func packs() throws {
        let head = try PackHead(try bytes("pack head"), name: "p")
        #expect(head == (try samples.head()))
        for key in [samples.dataKey, samples.opened.agreement] {
            let seed = try #require(try head.envelope.open(with: [key], binding: head.binding))
            #expect(PackKeys.commitment(seed) == head.commitment)
        }
        let contents = try PackContents(try bytes("pack contents"), bodyCapacity: 2000, name: "p")
        #expect(contents.chunks == samples.contents.chunks)
        let parsed = try IndexRunObject.parse(try bytes("index run"), name: "r")
        try SignedFrame.verify(parsed.body, parsed.signature, key: samples.opened.signing.publicKey, name: "r")
        let run = try parsed.opened(indexKey: samples.indexKey, name: "r")
        #expect(run.packs == samples.run.packs && run.supersedes == samples.run.supersedes)
        #expect(run.table == samples.run.table && run.entryCount == 3 && run.baseCount == 1)
    }

    @Test("snapshots and nodes read back")
    func snapshots() throws {
        #expect(try DirectoryNode(try bytes("directory entries"), name: "d") == samples.entries)
        #expect(try DirectoryNode(try bytes("directory children"), name: "d") == samples.children)
        #expect(
            try ContentNode(try bytes("content leaf of pages"), blockSize: 1 << 17, name: "c") == samples.pageLeaf)
        #expect(try ContentNode(try bytes("content leaf"), blockSize: 0, name: "c") == samples.contentLeaf)
        #expect(try ContentNode(try bytes("content parent"), blockSize: 1 << 17, name: "c") == samples.contentParent)
        #expect(try SnapshotRecord(try bytes("snapshot record"), name: "r") == samples.record)
        let parsed = try SnapshotObject.parse(try bytes("snapshot"), name: "s")
        try SignedFrame.verify(parsed.body, parsed.signature, key: samples.opened.signing.publicKey, name: "s")
        #expect(parsed.object.sequence == 12 && parsed.object.runs == samples.snapshotObject.runs)
        for key in [samples.dataKey, samples.opened.agreement] {
            #expect(try parsed.record(with: [key], name: "s") == samples.record)
        }
    }

    @Test("what opens a snapshot reads back, and its fingerprints with the data key alone")
    func openings() throws {
        let record = try SnapshotRecord(try bytes("snapshot record with openings"), name: "r")
        #expect(record == (try samples.recordWithOpenings()))
        let openings = try #require(record.openings)
        let opened = openings.openings[0]
        let key = try OpeningKey(openings, samples.repository, dataKey: samples.dataKey)
        func print(_ text: String, _ version: String) -> Bytes32 {
            key.fingerprint(
                of: FormatSamples.value(text), form: 1, vault: opened.vault, secret: opened.secret, version: version)
        }
        #expect(opened.versions.map(\.fingerprint) == [print("value 3", "3"), print("value 4", "4")])
        // Neither of another version, nor of another value.
        #expect(print("value 3", "4") != opened.versions[1].fingerprint)
        #expect(print("value 3 ", "3") != opened.versions[0].fingerprint)
        // The slot of the writer, which reads the record, is no recipient.
        #expect(throws: (any Error).self) {
            try OpeningKey(openings, samples.repository, dataKey: samples.opened.agreement)
        }
    }

    @Test("leases, collections, tombstones and holds read back")
    func others() throws {
        #expect(try LeaseObject(try bytes("lease"), name: "l") == samples.lease)
        for (name, kind) in [("condemned", ObjectKind.condemned), ("sweep", .sweep), ("done", .done)] {
            #expect(try CollectionObject(try bytes(name), name: "c") == samples.collection(kind))
        }
        #expect(try TombstoneObject(try bytes("tombstone"), name: "t") == samples.tombstone)
        #expect(try HoldObject(try bytes("hold"), name: "h") == samples.hold)
    }

    @Test("evidence reads back, in a chain and in files")
    func evidence() throws {
        #expect(try EvidenceRecord(try bytes("evidence record"), name: "e") == EvidenceSamples.full())
        #expect(
            try EvidenceRecord(try bytes("evidence record of runs"), name: "e") == EvidenceSamples.ledger)
        let parsed = try EvidenceObject.parse(try bytes("evidence"), name: "e")
        #expect(parsed.object == samples.evidence)
        try SignedFrame.verify(parsed.body, parsed.signature, key: samples.opened.signing.publicKey, name: "e")
        for key in [samples.dataKey, samples.opened.agreement] {
            #expect(try parsed.record(with: [key], name: "e") == EvidenceSamples.full())
        }
        let draft = EvidenceDraft(repository: samples.repository, record: EvidenceSamples.full())
        #expect(try EvidenceFile(try bytes("evidence draft"), name: "e") == .draft(draft))
        #expect(try EvidenceFile(try bytes("evidence proof"), name: "e") == .proof(samples.proof))
        let snapshot = try SnapshotRecord(try bytes("snapshot record with evidence"), name: "r")
        #expect(snapshot.evidence == samples.evidence.others)
    }
}
