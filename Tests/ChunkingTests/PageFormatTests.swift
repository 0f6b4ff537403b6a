// Which files are taken for page files, and which are not.

import Chunking
import Primitives
import TestSupport
import Testing

@Suite("Page files")
struct PageFormatTests {
    private func recognise(_ bytes: [UInt8], size: Int? = nil, name: String) -> PageFormat? {
        PageFormat.recognise(
            firstBytes: bytes.span.bytes, size: UInt64(size ?? bytes.count), name: Array(name.utf8))
    }

    private func put(_ bytes: inout [UInt8], _ offset: Int, _ values: [UInt8]) {
        bytes.replaceSubrange(offset..<offset + values.count, with: values)
    }

    /// Two heap pages with a log position, a checksum, and line pointers up to 0x40 and rows from 0x1F00.
    private func postgreSQL() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        for page in [0, 8_192] {
            put(&bytes, page, [0, 0, 0, 0, 0x28, 0x3C, 0x57, 0x01, 0xAB, 0xCD])
            put(&bytes, page + 10, [0x04, 0x00, 0x40, 0x00, 0x00, 0x1F, 0x00, 0x20, 0x04, 0x20])
        }
        return bytes
    }

    private func sqlite(pageSize: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(pageSize, 16_384))
        put(&bytes, 0, Array("SQLite format 3\0".utf8))
        let stored = pageSize == 65_536 ? 1 : pageSize
        put(&bytes, 16, [UInt8(stored >> 8), UInt8(stored & 255), 1, 1, 0, 64, 32, 32])
        return bytes
    }

    private func innoDB() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        put(&bytes, 0, [0x1B, 0x2C, 0x3D, 0x4E])
        put(&bytes, 24, [0, 8])
        put(&bytes, 34, [0, 0, 0, 42, 0, 0, 0, 42])
        put(&bytes, 46, [0, 0, 0, 7])
        return bytes
    }

    @Test(
        "a PostgreSQL relation file is known by its pages and its name",
        arguments: ["16384", "16384.1", "2619_fsm", "2619_vm", "16384_init", "16384_fsm.2", "4294967295"])
    func relation(name: String) {
        #expect(recognise(postgreSQL(), size: 8_192 * 1_000, name: name) == .postgreSQL)
        var extended = postgreSQL()
        extended.replaceSubrange(0..<8_192, with: [UInt8](repeating: 0, count: 8_192))
        #expect(recognise(extended, name: name) == .postgreSQL, "a first page of zeros with a sane one behind it")
    }

    @Test(
        "another name, size or header is not one of PostgreSQL",
        arguments: ["", "pg_control", "16384.", "16384.x", "16384_toast", "a16384", "16384 ", "12345678901", ".1"])
    func notRelation(name: String) {
        #expect(recognise(postgreSQL(), name: name) == nil)
        #expect(recognise(postgreSQL(), size: 16_385, name: "16384") == nil)
        #expect(recognise(postgreSQL(), size: 0, name: "16384") == nil)
        #expect(recognise(Array(postgreSQL().prefix(8_191)), size: 16_384, name: "16384") == nil)
        // Flags, lower, upper, special, page size, version.
        let wrong: [(Int, [UInt8])] = [
            (10, [0x08, 0]), (12, [0x17, 0]), (12, [0x01, 0x1F]), (14, [0x08, 0x20]), (16, [0x08, 0x20]),
            (16, [0x01, 0x20]), (16, [0xFC, 0x1F]), (18, [4, 0x40]), (18, [5, 0x20]),
        ]
        for (offset, values) in wrong {
            var bytes = postgreSQL()
            put(&bytes, offset, values)
            #expect(recognise(bytes, name: "16384") == nil, "\(values) at \(offset)")
        }
    }

    @Test("a SQLite database is known at every page size", arguments: [512, 1_024, 4_096, 32_768, 65_536])
    func database(pageSize: Int) {
        let bytes = sqlite(pageSize: pageSize)
        #expect(recognise(bytes, size: pageSize * 10, name: "app.db") == .sqlite)
        #expect(recognise(bytes, size: pageSize * 10 + 1, name: "app.db") == nil)
        #expect(recognise(bytes, size: 0, name: "app.db") == nil)
        #expect(recognise(Array(bytes.prefix(99)), size: pageSize, name: "app.db") == nil)
    }

    @Test("a damaged SQLite header is not one", arguments: [0, 15, 17, 21, 22, 23])
    func notDatabase(offset: Int) {
        var bytes = sqlite(pageSize: 4_096)
        bytes[offset] ^= 0x05
        #expect(recognise(bytes, name: "app.db") == nil)
    }

    @Test("an InnoDB tablespace is known, and not after a change of any field that is looked at")
    func tablespace() {
        #expect(recognise(innoDB(), size: 16_384 * 7, name: "orders.ibd") == .innoDB)
        #expect(recognise(innoDB(), size: 16_384 * 7 + 512, name: "orders.ibd") == nil)
        for offset in [4, 7, 24, 25, 34, 37, 38, 41, 46] {
            var bytes = innoDB()
            bytes[offset] ^= 0x11
            #expect(recognise(bytes, size: 16_384 * 7, name: "orders.ibd") == nil, "offset \(offset)")
        }
    }

    @Test("text, images, programs, zeros and noise are no page files, whatever they are called")
    func others() throws {
        let size = 65_536
        var samples: [(String, [UInt8])] = [
            ("zeros", []), ("text", Array(repeatElement(Array("a line of text\n".utf8), count: 5_000).joined())),
            ("png", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52]),
            ("jpeg", [0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46]),
            ("elf", [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0]),
            ("ones", [UInt8](repeating: 0xFF, count: size)),
        ]
        for seed in UInt64(1)...200 { samples.append(("noise \(seed)", try SeededEntropy(seed: seed).bytes(size))) }
        for (what, start) in samples {
            let bytes = Array((start + [UInt8](repeating: 0, count: size)).prefix(size))
            for name in ["16384", "app.db", "orders.ibd"] {
                #expect(recognise(bytes, name: name) == nil, "\(what) as \(name)")
            }
        }
    }

    @Test("short beginnings of anything are looked at without a trap")
    func short() {
        for whole in [postgreSQL(), sqlite(pageSize: 4_096), innoDB()] {
            for count in 0..<200 {
                for name in ["1", "x"] {
                    let found = recognise(Array(whole.prefix(count)), size: 16_384, name: name)
                    #expect(found == nil || found == .sqlite || found == .innoDB)
                }
            }
        }
    }

    @Test("one byte anywhere makes a run of zeros no run of zeros")
    func zeros() {
        for count in Array(0...300) + [8_192] {
            var bytes = [UInt8](repeating: 0, count: count)
            func zero() -> Bool { isAllZero(bytes.span.bytes) }
            #expect(zero(), "\(count) zeros")
            for index in stride(from: 0, to: count, by: count > 300 ? 61 : 1) {
                bytes[index] = 1 << UInt8(index % 8)
                #expect(!zero(), "byte \(index) of \(count)")
                bytes[index] = 0
            }
        }
    }
}
