// Sizes and parameters of hostile objects, refused by what they say and before anything is allocated for them.

import Compression
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Hostile sizes")
struct HostileSizeTests {
    private func code(_ body: () throws(HoldfastError) -> Void) -> ErrorCode? {
        do throws(HoldfastError) {
            try body()
            return nil
        } catch {
            return error.code
        }
    }

    /// The body of a slot whose derivation fields are replaced, signed by its own key.
    private func slot(kind: UInt8, logN: UInt8, r: UInt32, p: UInt32) throws -> [UInt8] {
        let samples = try FormatSamples()
        let sample = try #require(try samples.all()["slot raw key"])
        var body = Array(sample.dropLast(SignedFrame.trailerSize))
        var fields = ByteWriter()
        fields.u8(kind)
        fields.u8(logN)
        fields.u32(r)
        fields.u32(p)
        // They stand before the salt, the two public keys and the wrapped keys.
        let place = body.count - 112 - 3 * 32 - fields.count
        body.replaceSubrange(place..<place + fields.count, with: fields.bytes)
        return try SignedFrame.close(body, signer: samples.opened.signing)
    }

    @Test(
        "a slot whose scrypt would take more than is allowed is refused when it is read",
        arguments: [(9, 8, 1), (21, 8, 1), (255, 8, 1), (16, 8, 0), (16, 8, 5), (16, 8, UInt32.max)])
    func scrypt(logN: UInt8, r: UInt32, p: UInt32) throws {
        let bytes = try slot(kind: 1, logN: logN, r: r, p: p)
        #expect(code { () throws(HoldfastError) in _ = try SlotObject(bytes, name: "slot") } == .limitExceeded)
    }

    @Test(
        "a slot of another r, of an unknown derivation, or with a raw key and parameters is damaged",
        arguments: [(1, 16, 9, 1), (1, 16, UInt32.max, 1), (3, 0, 0, 0), (2, 1, 0, 0), (2, 0, 8, 0), (2, 0, 0, 1)])
    func derivation(kind: UInt8, logN: UInt8, r: UInt32, p: UInt32) throws {
        let bytes = try slot(kind: kind, logN: logN, r: r, p: p)
        #expect(code { () throws(HoldfastError) in _ = try SlotObject(bytes, name: "slot") } == .corruptObject)
    }

    @Test("a snapshot with the last number that there can be is refused, since the next one counts on from it")
    func lastNumber() throws {
        let house = try SmallHouse()
        let keyring = house.repository.keyring
        let tag = try house.repository.tag(ofSource: "home")
        let id = try ULID(at: house.clock.now(), entropy: house.repository.entropy)
        let record = SnapshotRecord(
            source: "home", workload: "dir", host: "h", toolVersion: "0", runID: id, started: house.clock.now())
        for (sequence, isRefused) in [(UInt64.max - 1, false), (.max, true)] {
            let object = SnapshotObject(
                repository: house.repository.id, tag: tag, id: id, sequence: sequence, previous: Bytes32(), epoch: 1,
                formatNumber: 1, slot: keyring.slot, runs: [])
            let bytes = try object.encoded(
                record, recipients: keyring.recipients(structure: true), signer: keyring.signing,
                entropy: house.repository.entropy)
            let found = code { () throws(HoldfastError) in _ = try SnapshotObject.parse(bytes, name: "snapshot") }
            #expect(found == (isRefused ? .corruptObject : nil), "\(sequence)")
        }
    }

    @Test("a table of contents with a chunk over 8 MiB, plain or stored, is refused")
    func chunkSizes() throws {
        func table(stored: UInt64, raw: UInt64) -> [UInt8] {
            var writer = ByteWriter()
            writer.varint(1)
            writer.raw(FormatSamples.chunk(1).bytes)
            writer.u8(Codec.zstd.rawValue)
            writer.u8(0)
            writer.varint(stored)
            writer.varint(raw)
            return writer.bytes
        }
        func read(_ bytes: [UInt8]) -> ErrorCode? {
            code { () throws(HoldfastError) in _ = try PackContents(bytes, bodyCapacity: 64 << 20, name: "pack") }
        }
        #expect(read(table(stored: 8 << 20, raw: 8 << 20)) == nil)
        #expect(read(table(stored: 8 << 20, raw: 8 << 20 + 1)) == .corruptObject)
        #expect(read(table(stored: 8 << 20 + 1, raw: 8 << 20)) == .corruptObject)
        #expect(read(table(stored: .max, raw: 1)) == .corruptObject)
        #expect(read(table(stored: 1, raw: .max)) == .corruptObject)
    }

    @Test("counts that the rest of an object can't hold are refused", arguments: [UInt64(1000), 1 << 32, .max])
    func counts(count: UInt64) throws {
        var contents = ByteWriter()
        contents.varint(count)
        contents.zeros(100)
        let table = contents.bytes
        var node = ByteWriter()
        node.raw([1, 1, 0])
        node.varint(count)
        node.zeros(100)
        let directory = node.bytes
        #expect(
            code { () throws(HoldfastError) in _ = try PackContents(table, bodyCapacity: 1 << 20, name: "pack") }
                == .corruptObject)
        #expect(
            code { () throws(HoldfastError) in _ = try DirectoryNode(directory, name: "node") } == .corruptObject)
    }
}
