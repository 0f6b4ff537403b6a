// What is known of dumps without a server: archives by pieces, cut off and mutated, scripts, and selections.

import Foundation
import Primitives
import TestSupport
import Testing

@testable import Workloads

/// Builds archives as pg_dump's custom format lays them out.
private struct ArchiveForge {
    var minor: UInt8 = 14
    var bytes: [UInt8] = []

    mutating func number(_ value: Int) {
        bytes.append(value < 0 ? 1 : 0)
        for shift in 0..<4 { bytes.append(UInt8(value.magnitude >> (8 * UInt(shift)) & 0xFF)) }
    }

    mutating func text(_ value: String?) {
        number(value.map { $0.utf8.count } ?? -1)
        bytes += Array((value ?? "").utf8)
    }

    mutating func head(_ entries: Int, compression: Int = 0) {
        bytes += Array("PGDMP".utf8) + [1, minor, 0, 4, 8, 1]
        if minor >= 15 { bytes.append(UInt8(compression)) } else { number(compression) }
        for value in [1, 2, 3, 4, 5, 126, 0] { number(value) }
        for value in ["shop", "15.9", "15.10"] { text(value) }
        number(entries)
    }

    mutating func entry(
        _ id: Int, _ kind: String, _ schema: String, _ tag: String, data: Bool = false, needs: [Int] = []
    ) {
        number(id)
        number(data ? 1 : 0)
        for value in ["1259", "16384", tag, kind] { text(value) }
        number(2)
        for value in ["CREATE;", "DROP;", data ? "COPY;" : nil, schema, nil, "heap"] { text(value) }
        if minor >= 16 { number(114) }
        text("owner")
        text("false")
        for need in needs { text(String(need)) }
        text(nil)
        bytes += [3] + [UInt8](repeating: 0, count: 8)
    }

    mutating func block(_ id: Int, rows: [String]) {
        bytes.append(1)
        number(id)
        for row in rows + ["\\.\n\n\n"] { text(row.hasSuffix("\n") ? row : row + "\n") }
        number(0)
    }

    mutating func objects(_ id: Int, _ contents: [String]) {
        bytes.append(3)
        number(id)
        for (index, content) in contents.enumerated() {
            number(4711 + index)
            text(content)
            number(0)
        }
        number(0)
    }

    static func sample(minor: UInt8 = 14) -> [UInt8] {
        var forge = ArchiveForge(minor: minor)
        forge.head(6)
        forge.entry(1, "TABLE", "public", "a")
        forge.entry(2, "TABLE", "public", "b.c")
        forge.entry(3, "CONSTRAINT", "public", "a a_pkey", needs: [1])
        forge.entry(4, "TABLE DATA", "public", "a", data: true, needs: [1])
        forge.entry(5, "TABLE DATA", "public", "b.c", data: true, needs: [2])
        forge.entry(6, "BLOBS", "", "BLOBS", data: true)
        forge.block(4, rows: ["1\tx", "2\ty", "3\t\\n"])
        forge.block(5, rows: [])
        forge.objects(6, ["large", "object"])
        return forge.bytes
    }
}

@Suite("Dumps of PostgreSQL")
struct DumpTests {
    private func scan(_ bytes: [UInt8], by step: Int, keepsAll: Bool = true) throws -> (DumpScanner, cuts: [Int]) {
        var scanner = DumpScanner(keepsAll: keepsAll)
        var cuts: [Int] = []
        var at = 0
        try bytes.withUnsafeBytes { raw in
            while at < raw.count {
                let piece = UnsafeRawBufferPointer(rebasing: raw[at..<min(raw.count, at + step)])
                let taken = try scanner.advance(piece)
                #expect(taken.count > 0 && taken.count <= piece.count)
                at += taken.count
                if taken.isBoundary { cuts.append(at) }
            }
        }
        try scanner.finish()
        return (scanner, cuts)
    }

    @Test("an archive is followed in pieces of any size, in every version", arguments: [UInt8(14), 15, 16])
    func pieces(minor: UInt8) throws {
        let bytes = ArchiveForge.sample(minor: minor)
        let whole = try scan(bytes, by: bytes.count)
        // After the head and the table of contents, and before and after the head of each block.
        #expect(whole.cuts.count == 2 + 3 * 2)
        for step in [1, 2, 3, 7, 64] {
            let (scanner, cuts) = try scan(bytes, by: step)
            #expect(cuts == whole.cuts && scanner.items == whole.0.items && scanner.blocks == whole.0.blocks)
            #expect(scanner.entriesDigest == whole.0.entriesDigest)
        }
        #expect(
            whole.0.rows == [
                DumpTable(schema: "public", name: "a"): 3, DumpTable(schema: "public", name: "b.c"): 0,
            ])
        #expect(whole.0.largeObjects == 2 && whole.0.clientVersion == "15.10" && whole.0.serverVersion == "15.9")
        #expect(whole.0.items.map(\.needs) == [[], [], [1], [1], [2], []])
    }

    @Test("an archive that breaks off anywhere is refused")
    func cutOff() throws {
        let bytes = ArchiveForge.sample()
        for count in 0..<bytes.count {
            #expect(throws: HoldfastError.self, "\(count)") { try scan(Array(bytes[..<count]), by: 64) }
        }
    }

    @Test("mutated archives are refused or followed, and never trap")
    func mutated() throws {
        let sample = ArchiveForge.sample(minor: 16)
        var refused = 0
        for seed in UInt64(0)..<4000 {
            let draw = Draw(seed)
            var bytes = sample
            for _ in 0..<Int(draw.next(4) + 1) { bytes[Int(draw.next(UInt64(bytes.count)))] = UInt8(draw.next(256)) }
            do {
                _ = try scan(bytes, by: Int(draw.next(90) + 1))
            } catch let error as HoldfastError {
                #expect(error.code == .sourceFailed, "seed \(seed)")
                refused += 1
            }
        }
        #expect(refused > 1000 && refused < 4000)
    }

    @Test("what is compressed or of another kind or version is refused")
    func otherKinds() throws {
        for (bytes, reason) in [
            (Array("-- PostgreSQL database dump\n".utf8), "does not begin like one"),
            (forged(minor: 13), "1.13"), (forged(minor: 17), "1.17"),
            (forged(compression: 6), "compressed"),
        ] {
            let error = #expect(throws: HoldfastError.self) { try scan(bytes, by: 100) }
            #expect(error?.message.contains(reason) == true, "\(error as Any)")
        }
    }

    private func forged(minor: UInt8 = 14, compression: Int = 0) -> [UInt8] {
        var forge = ArchiveForge(minor: minor)
        forge.head(0, compression: compression)
        return forge.bytes
    }

    @Test("a script is taken apart at the semicolons that are no text")
    func statements() {
        let script = #"""
            -- comment; with ' quotes
            \restrict abc;def
            SET x = 'a;b''c';
            CREATE ROLE "o;""x";
            COMMENT ON ROLE a IS E'it\'s; -- no comment';
              ALTER ROLE a -- what; follows
            LOGIN;
            \unrestrict abc
            """#
        #expect(
            SQLStatements(Array(script.utf8)).all == [
                "SET x = 'a;b''c'", #"CREATE ROLE "o;""x""#, #"COMMENT ON ROLE a IS E'it\'s; -- no comment'"#,
                "ALTER ROLE a \nLOGIN",
            ])
        #expect(SQLStatements(Array("SELECT 1".utf8)).all == ["SELECT 1"])
        #expect(SQLStatements([]).all.isEmpty && SQLStatements(Array("--".utf8)).all.isEmpty)
    }

    @Test("tables are named with quotes where they must be, and meant by both ways to write them")
    func tableNames() {
        let odd = DumpTable(schema: "a.b", name: #"c"d"#)
        #expect(odd.text == #""a.b"."c""d""# && odd.isMeant(by: odd.text) && odd.isMeant(by: #"a.b.c"d"#))
        #expect(DumpTable(schema: "öffentlich", name: "t_1").text == "öffentlich.t_1")
        #expect(DumpDatabase.file(of: "a/b%c") == "a%2Fb%25c.dump")
    }

    @Test("a table brings what is its own, and no more")
    func selection() throws {
        func item(_ id: Int32, _ kind: String, _ tag: String, _ needs: Int32...) -> DumpItem {
            var item = DumpItem(
                id: id, hasData: kind == "TABLE DATA", tag: tag, kind: kind, schema: "public", owner: "o")
            item.needs = needs
            return item
        }
        let items = [
            item(1, "TABLE", "a"), item(2, "TABLE", "ab"), item(3, "SEQUENCE", "a_id_seq"),
            item(4, "SEQUENCE OWNED BY", "a_id_seq", 1, 3), item(5, "DEFAULT", "a id", 1, 3),
            item(6, "TABLE DATA", "a", 1), item(7, "TABLE DATA", "ab", 2), item(8, "SEQUENCE SET", "a_id_seq", 3),
            item(9, "CONSTRAINT", "a a_pkey", 1), item(10, "INDEX", "by_x", 1),
            item(11, "FK CONSTRAINT", "ab ab_fkey", 2, 9, 1), item(12, "FK CONSTRAINT", "a a_fkey", 1, 2),
            item(13, "VIEW", "v", 1), item(14, "TRIGGER", "ab t", 2, 1), item(15, "ACL", "TABLE a", 1),
            item(16, "COMMENT", "INDEX by_x", 10), item(17, "ACL", "TABLE ab", 2), item(18, "SCHEMA", "public"),
        ]
        let selection = try DumpSelection(tables: ["public.a"], of: items) { _ in false }
        #expect(selection.ids == [1, 3, 4, 5, 6, 8, 9, 10, 15, 16])
        #expect(selection.leftOut == ["a a_fkey"])
        #expect(String(decoding: selection.list, as: UTF8.self).hasPrefix("1;\n3;\n"))
        #expect(try DumpSelection(tables: ["public.a"], of: items) { _ in true }.ids.last == 18)
        #expect(throws: HoldfastError.self) { try DumpSelection(tables: ["public.c"], of: items) { _ in false } }
    }

    @Test("errors that pg_restore went on after are counted, and the first are told")
    func reports() {
        let text = """
            pg_restore: while PROCESSING TOC:
            pg_restore: error: could not execute query: ERROR:  role "x" does not exist
            Command was: ALTER TABLE …
            pg_restore: warning: errors ignored on restore: 1234

            """
        let report = PostgresRestoreReport(head: Array(text.utf8), tail: Array(text.utf8))
        #expect(report.errors == 1234 && report.isComplete)
        #expect(report.messages == [#"could not execute query: ERROR:  role "x" does not exist"#])
        let broken = PostgresRestoreReport(head: Array("pg_restore: error: no\n".utf8), tail: [])
        #expect(broken.errors == 1 && !broken.isComplete)
        #expect(PostgresRestoreReport(head: [], tail: []).errors == 0)
    }
}

/// Numbers from a seed.
private final class Draw {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    func next(_ bound: UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (state >> 11) % bound
    }
}
