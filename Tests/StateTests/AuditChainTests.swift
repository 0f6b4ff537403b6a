// What is done to an audit log is found, and named.

import Foundation
import Glibc
import Primitives
import State
import TestSupport
import Testing

@Suite("Of an audit log")
struct AuditChainTests {
    private let stage = AuditStage()

    @Test("that nobody touched the chain is whole, over several segments, with its head")
    func whole() throws {
        try stage.fill(40, segment: 3000)
        #expect(try stage.segments().count > 3)
        let head = try #require(try stage.log().head())
        let verdict = try stage.verify([head])
        #expect(verdict.isWhole && verdict.records == 40 && verdict.head == head && verdict.head?.count == 40)
        #expect(verdict.heads == 1 && verdict.knownCount == 40 && verdict.torn == nil)
    }

    @Test("each field of each record that is changed is found, at its record and its place")
    func everyField() throws {
        try stage.fill(4)
        let lines = try stage.lines()
        let other = String(repeating: "ab", count: 32)
        let changes: [(from: String, to: String)] = [
            ("\"value.read\"", "\"value.seen\""), ("\"here\"", "\"there\""), ("\"nightly@2026\"", "\"nightly@2025\""),
            ("\"uid\":1000", "\"uid\":0"), ("\"ann\"", "\"bob\""), ("\"format\":1", "\"format\":0"),
            ("\"allowed\"", "\"denied\""), ("\"reason\":\"ticket ", "\"reason\":\"tacket "),
            ("\"secret\":\"app/", "\"secret\":\"apq/"), ("\"sequence\":", "\"sequence\":1"),
            ("\"time\":\"2026", "\"time\":\"2025"), ("\"embedded:/vault\"", "\"embedded:/walls\""),
            ("\"version\":\"1\"", "\"version\":\"2\""), ("\"run\":", "\"ran\":"), ("{\"action\"", "{ \"action\""),
            ("\"log\":\"" + (try field("log", of: lines[0])), "\"log\":\"" + other.prefix(32)),
        ]
        for place in lines.indices {
            let own = try [
                ("sha256", field("sha256", of: lines[place])), ("previous", field("previous", of: lines[place])),
            ].map { (from: "\"\($0.0)\":\"\($0.1)", to: "\"\($0.0)\":\"\(other)") }
            for change in changes + own {
                var damaged = lines
                #expect(lines[place].contains(change.from), "\(change.from)")
                damaged[place] = lines[place].replacingOccurrences(of: change.from, with: change.to)
                try stage.write(damaged)
                let verdict = try stage.verify()
                let found = verdict.problems.map { "\($0.kind.rawValue) \($0.sequence ?? 0) \($0.place ?? "")" }
                let name = try #require(try stage.segments().first)
                #expect(found == ["altered \(place + 1) \(name):\(place + 1)"], "\(change.to) in \(place): \(found)")
            }
        }
    }

    @Test("each byte of a record that is changed is found")
    func everyByte() throws {
        try stage.fill(3)
        let lines = try stage.lines()
        for place in lines[1].utf8.indices {
            var bytes = Array(lines[1].utf8)
            let offset = lines[1].utf8.distance(from: lines[1].utf8.startIndex, to: place)
            bytes[offset] = bytes[offset] == UInt8(ascii: "x") ? UInt8(ascii: "y") : UInt8(ascii: "x")
            try stage.write([lines[0], String(decoding: bytes, as: UTF8.self), lines[2]])
            #expect(try stage.problems() == ["altered 2"], "byte \(offset)")
        }
    }

    @Test("a record that was changed with a digest that fits is found by the one behind it")
    func forgedRecord() throws {
        try stage.fill(4)
        let lines = try stage.lines()
        for place in 0..<3 {
            var damaged = lines
            damaged[place] = try forged(lines[place], ["secret": "other"])
            try stage.write(damaged)
            #expect(try stage.problems() == ["altered \(place + 1)"], "record \(place + 1)")
        }
        // The newest has none behind it; a head tells.
        let heads = [try #require(try stage.log().head())]
        var damaged = lines
        damaged[3] = try forged(lines[3], ["secret": "other"])
        try stage.write(damaged)
        #expect(try stage.problems() == [])
        #expect(try stage.problems(heads) == ["rewritten 4"])
    }

    @Test("a removed record is named, whichever it is, and several of them by their range")
    func removed() throws {
        try stage.fill(6)
        let lines = try stage.lines()
        for place in 0..<5 {
            var damaged = lines
            damaged.remove(at: place)
            try stage.write(damaged)
            #expect(try stage.problems() == ["removed \(place + 1)"])
        }
        try stage.write([lines[0], lines[3], lines[5]])
        let verdict = try stage.verify()
        #expect(verdict.problems.map(\.message) == ["records 2 to 3 are not there", "record 5 is not there"])
    }

    @Test("a segment that was removed is named by its records")
    func removedSegment() throws {
        try stage.fill(30, segment: 3000)
        let segments = try stage.segments()
        try FileManager.default.removeItem(atPath: stage.audit + "/" + segments[1])
        let first = try #require(UInt64(segments[1].prefix(20)))
        #expect(try stage.problems() == ["removed \(first)"])
    }

    @Test("records that changed places, are there twice, or were put in between are named as such")
    func moved() throws {
        try stage.fill(6)
        let lines = try stage.lines()
        try stage.write([lines[0], lines[1], lines[3], lines[2], lines[4], lines[5]])
        #expect(try stage.problems() == ["reordered 3"])
        try stage.write([lines[5]] + lines[..<5])
        #expect(try stage.problems() == (1...5).map { "reordered \($0)" })
        for place in lines.indices {
            try stage.write(Array(lines[...place]) + lines[place...])
            #expect(try stage.problems() == ["duplicated \(place + 1)"])
        }
        try stage.write(lines + [lines[1]])
        #expect(try stage.problems() == ["duplicated 2"])
        for place in lines.indices {
            try stage.write(Array(lines[..<place]) + ["nothing of the kind"] + lines[place...])
            #expect(try stage.problems() == ["inserted -"], "before record \(place + 1)")
        }
    }

    @Test("a record with a number and a digest that fit is named where it was put in between")
    func insertedForgery() throws {
        try stage.fill(4)
        let lines = try stage.lines()
        let name = try #require(try stage.segments().first)
        let fake = try forged(lines[1], ["secret": "fake"])
        try stage.write([lines[0], fake] + lines[1...])
        #expect(try stage.verify().problems.map { "\($0.kind) \($0.place ?? "")" } == ["inserted \(name):2"])
        try stage.write(Array(lines[..<2]) + [fake] + lines[2...])
        #expect(try stage.verify().problems.map { "\($0.kind) \($0.place ?? "")" } == ["inserted \(name):3"])
    }

    @Test("a record of another log is named, and a whole other log by a head")
    func otherLog() throws {
        try stage.fill(4)
        let other = AuditStage()
        try other.fill(4)
        let (lines, foreign) = (try stage.lines(), try other.lines())
        try stage.write(Array(lines[..<2]) + [foreign[2]] + lines[2...])
        #expect(try stage.problems() == ["inserted 3"])
        try stage.write(Array(lines[..<2]) + [foreign[2]] + lines[3...])
        #expect(Set(try stage.problems()) == ["inserted 3", "removed 3"])
    }

    @Test("an end that was cut off is found by a head alone, whole or in the middle of a record")
    func cutOff() throws {
        try stage.fill(6)
        let (lines, head) = (try stage.lines(), try #require(try stage.log().head()))
        for count in 1..<6 {
            try stage.write(Array(lines[..<count]))
            #expect(try stage.problems() == [])
            #expect(try stage.problems([head]) == ["cut-off \(count + 1)"])
        }
        try stage.write(lines, end: "")
        let verdict = try stage.verify([head])
        #expect(verdict.torn != nil && verdict.problems.map(\.kind) == [.cutOff])
        // Heads of other logs say nothing of this one.
        try stage.write(Array(lines[..<3]))
        #expect(try stage.problems([AuditHead(log: Bytes16(w0: 1, w1: 2), count: 9, digest: head.digest)]) == [])
    }

    @Test("a chain that was made anew from some record on is found by a head of what it was")
    func rewritten() throws {
        try stage.fill(6)
        let (lines, head) = (try stage.lines(), try #require(try stage.log().head()))
        var made = Array(lines[..<3])
        for place in 3..<6 {
            let previous = try field("sha256", of: made[place - 1])
            made.append(try forged(lines[place], ["previous": previous, "secret": "other"]))
        }
        try stage.write(made)
        #expect(try stage.problems() == [])
        #expect(try stage.problems([head]) == ["rewritten 6"])
    }

    @Test("no more problems are told one by one than the limit, and the others are counted")
    func manyProblems() throws {
        try stage.fill(4)
        let lines = try stage.lines()
        try stage.write(Array(lines[..<2]) + (0..<250).map { "junk \($0)" } + lines[2...])
        let verdict = try stage.verify()
        #expect(verdict.problems.count == AuditLimits.problems && verdict.problemCount == 250)
        try stage.write(Array(lines[..<2]) + Array(repeating: lines[1], count: 250) + lines[2...])
        #expect(try stage.verify().problemCount == 250)
    }
}
