// A report file, and everything that somebody may do to it.

import Compliance
import FoundationEssentials
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("A report file")
struct VerificationTests {
    private let story: Story
    private let bytes: [UInt8]
    private let file: ReportFile

    init() throws {
        story = try Story()
        try story.exception(
            0,
            [
                "exception.finding": "rpo/app", "exception.owner": "ada", "exception.due": "2026-03-01",
                "exception.reason": "r",
            ])
        for day in Int64(0)..<8 { try story.quietDay(day, [Story.source("app")]) }
        try story.seal(4, [], facts: ["audit": "0f 12 \(String(repeating: "a", count: 64))"])
        try story.drill(3, "app")
        try story.drill(5, "app", .failed)
        try story.seal(8, [Story.run("nightly", Story.at(8, 1))])
        bytes = try story.file(2, 6)
        file = try ReportFile(bytes, name: "file")
    }

    private var adminKey: Bytes32 { story.test.repository.keyring.adminKey }

    private func verify(
        _ bytes: [UInt8], anchors: [EvidenceAnchor] = [], trusted: Bytes32? = nil
    ) throws -> ReportVerification {
        try ReportVerification(bytes, trusted: trusted ?? adminKey, anchors: anchors, name: "file")
    }

    private func holds(_ bytes: [UInt8]) -> Bool {
        do {
            return try verify(bytes).problems.isEmpty
        } catch {
            return false
        }
    }

    /// What is wrong with `file`, signed by somebody who may sign: an insider with a key.
    private func problems(_ change: (inout ReportFile) -> Void, by repository: Repository? = nil) throws -> [String] {
        var changed = file
        change(&changed)
        let repository = repository ?? story.test.repository
        var writer = ReportWriter(MemorySink())
        try writer.begin()
        for chain in changed.evidence.chains {
            try writer.chain(chain.slot)
            for link in chain.links { try writer.link(link) }
            try writer.endChain(chain.slot)
        }
        let digest = try writer.finish(
            format: changed.evidence.format, grants: changed.evidence.grants, origin: changed.origin,
            report: try CanonicalJSON.encode(changed.report), schema: changed.schema)
        try writer.sign(
            ReportFile.Signature(
                slot: repository.keyring.slot.description, value: Hex.encode(try repository.sign(digest))))
        return try verify(writer.sink.bytes).problems
    }

    @Test("that nobody touched holds, is canonical, and has the records of its period and no others")
    func good() throws {
        let found = try verify(bytes)
        #expect(found.problems.isEmpty && found.signer == "test")
        // The exception, the inventory before, four days of two records, two tests, and a head of an audit log.
        #expect(found.records == 13 && found.links == file.evidence.chains[0].links.count)
        #expect(file.evidence.chains[0].links.filter { $0.seed == nil }.allSatisfy { $0.number > 1 })
        #expect(try problems { _ in } == [])
        #expect(found.document.sha256 == (try story.document(try story.report(2, 6).report)).sha256)
        #expect(bytes.starts(with: Array("{\"evidence\":".utf8)))
    }

    @Test("that was changed in any byte of its text does not hold")
    func bytewise() throws {
        // Every place would take a minute; these are spread over all of it, and the ends.
        let places =
            Array(stride(from: 0, to: bytes.count, by: max(1, bytes.count / 60))) + [bytes.count - 2, bytes.count - 1]
        for place in places {
            var changed = bytes
            changed[place] ^= 1
            #expect(!holds(changed), "byte \(place)")
        }
        for cut in [bytes.count - 1, bytes.count / 2, 0] {
            #expect(!holds(Array(bytes[..<cut])))
        }
        // The same parts in another text.
        #expect(try !verify(Array(" ".utf8) + bytes).problems.isEmpty)
        #expect(try !verify(bytes + Array("\n".utf8)).problems.isEmpty)
    }

    @Test("in which a number or a word of the report was changed does not follow from its records, whoever signed it")
    func figures() throws {
        let changes: [(String, (inout Report) -> Void)] = [
            ("totals", { $0.totals.done += 1 }), ("jobs", { $0.jobs[0].population.missed -= 1 }),
            ("sources", { $0.sources[0].rpo?.worstSeconds = 1 }), ("sources", { $0.sources[0].owner = "eve" }),
            ("tests", { $0.drills[1].verdict = "passed" }), ("tests", { $0.drills[0].checks[0].actual = "x" }),
            ("exceptions", { $0.exceptions[0].due = "2027-01-01" }), ("exceptions", { $0.exceptions = [] }),
            ("isolation", { $0.isolation.drills = 9 }), ("rotation", { $0.rotation.records = 1 }),
            ("copies", { $0.copies.immutable = 1 }), ("trends", { $0.trends[0].points = 0 }),
            ("findings", { $0.findings.removeLast() }), ("controls", { $0.controls[0].status = .met }),
            ("controls", { $0.controls[0].isTextChecked.toggle() }), ("chains", { $0.chains[0].last += 1 }),
            ("coverage", { $0.coverage.segments += 1 }), ("repository", { $0.repository = "other" }),
            ("admin key", { $0.adminKey = "00" }), ("framework", { $0.frameworkName = "x" }),
            ("audit heads", { $0.auditHeads[0].records = 1 }),
        ]
        for (part, change) in changes {
            let found = try problems { change(&$0.report) }
            #expect(found == ["the report is not what its records come to, in: \(part)"], "\(part)")
        }
        // Another period or framework is another report.
        #expect(try problems { $0.report.from = Story.at(1).description }.count > 0)
        #expect(try problems { $0.report.framework = "dora" }.count > 0)
        #expect(try problems { $0.report.framework = "none" } == ["this version knows no framework none"])
    }

    @Test("whose records were taken out, put elsewhere, changed, sealed or doubled is found out, whoever signed it")
    func records() throws {
        let links = file.evidence.chains[0].links
        #expect(try !problems { $0.evidence.chains[0].links.remove(at: 1) }.isEmpty)
        for place in links.indices.dropFirst(2) where place < links.count - 1 {
            let found = try problems { $0.evidence.chains[0].links.remove(at: place) }
            #expect(found.contains { $0.contains("/\(links[place].number): it is missing or damaged") }, "\(place)")
        }
        // One that was opened long ago stands alone; what it says is missing from the report then.
        #expect(try problems { $0.evidence.chains[0].links.removeFirst() }.contains { $0.contains("exceptions") })
        #expect(try problems { $0.evidence.chains[0].links.swapAt(2, 3) }.contains { $0.contains("out of order") })
        #expect(
            try problems { (file: inout ReportFile) in
                let one = file.evidence.chains[0].links[3].object
                file.evidence.chains[0].links[3].object = file.evidence.chains[0].links[4].object
                file.evidence.chains[0].links[4].object = one
            }.contains { $0.contains("not the link that its place says") })
        #expect(try problems { $0.evidence.chains[0].links[2].seed = nil }.contains { $0.contains("in: ") })
        #expect(
            try problems { $0.evidence.chains[0].links[2].seed = String(repeating: "0", count: 64) }
                .contains { $0.contains("its seed is another one") })
        #expect(
            try problems { $0.evidence.chains[0].links.append(links[links.count - 1]) }.contains {
                $0.contains("out of order")
            })
        #expect(
            try problems { $0.evidence.chains.append($0.evidence.chains[0]) }.contains { $0.contains("out of order") })
        var object = Array(try #require(Data(base64Encoded: links[3].object)))
        for place in stride(from: 16, to: object.count, by: object.count / 12) {
            object[place] ^= 1
            let text = Data(object).base64EncodedString()
            #expect(
                try problems { $0.evidence.chains[0].links[3].object = text }.contains { $0.contains("does not hold") })
            object[place] ^= 1
        }
    }

    @Test("with records or a signature of another repository, or of a key that nobody granted, does not hold")
    func foreign() throws {
        let other = try Story()
        for day in Int64(0)..<8 { try other.quietDay(day, [Story.source("app")]) }
        let foreign = try ReportFile(try other.file(2, 6), name: "other")
        #expect(
            try problems { $0.evidence.chains[0].links[3] = foreign.evidence.chains[0].links[3] }.contains {
                $0.contains("another repository")
            })
        #expect(throws: HoldfastError.self) { try problems { $0.evidence.grants = foreign.evidence.grants } }
        #expect(
            try problems({ _ in }, by: other.test.repository).contains {
                $0.contains("the signature over the whole file")
            })
        // All of another repository is good in itself, and not the one that was meant.
        let theirs = try other.file(2, 6)
        #expect(throws: HoldfastError.self) { try verify(theirs) }
        #expect(try ReportVerification(theirs, trusted: nil, name: "f").problems.isEmpty)
        // Without its grant nobody knows the signer.
        #expect(try problems { $0.evidence.grants = [] }.contains { $0.contains("the signature over the whole file") })
    }

    @Test("whose end was cut off is found by a later head, and by nothing else")
    func tail() throws {
        let slot = file.evidence.chains[0].slot
        let last = try #require(file.report.chains.first)
        let head = try #require(EvidenceAnchor("\(slot)/\(last.last)/\(last.lastSha256)"))
        #expect(try verify(bytes, anchors: [head]).anchored == [head])
        // As if the records that came since had been cut off.
        let later = try story.drill(7, "app", .failed)
        let newer = try #require(EvidenceAnchor("\(slot)/\(later.number)/\(Hex.encode(later.digest.array))"))
        #expect(try verify(bytes).problems.isEmpty)
        #expect(try verify(bytes, anchors: [newer]).problems.contains { $0.contains("its end was cut off") })
        let other = try #require(EvidenceAnchor("\(slot)/\(last.last)/" + String(repeating: "0", count: 64)))
        #expect(
            try verify(bytes, anchors: [other]).problems.contains { $0.contains("another one than the anchor says") })
        let before = try #require(EvidenceAnchor("\(slot)/2/" + String(repeating: "0", count: 64)))
        #expect(try verify(bytes, anchors: [before]).problems.contains { $0.contains("does not reach back") })
        let unknown = try #require(
            EvidenceAnchor(String(repeating: "0", count: 32) + "/2/" + String(repeating: "0", count: 64)))
        #expect(try verify(bytes, anchors: [unknown]).problems.contains { $0.contains("has no chain") })
        for text in ["", "x/1/y", "\(slot)/0/\(last.lastSha256)", "\(slot)/01/\(last.lastSha256)", "\(slot)/1"] {
            #expect(EvidenceAnchor(text) == nil)
        }
    }

    @Test("names a chain of another key that was left out, by what the others know of it")
    func chains() throws {
        let second = try story.test.adding(.restorer, rights: .attest, password: "second")
        var record = try #require(story.records.last)
        record.id = ULID(Bytes16(w0: 0x019C_0000_0000_0000, w1: 1))
        record.finished = Story.at(4, 2)
        try second.attest(record)
        try story.quietDay(9, [Story.source("app")])
        let both = try ReportFile(try story.file(2, 12), name: "file")
        #expect(both.evidence.chains.count == 2)
        #expect(try verify(try story.file(2, 12)).problems.isEmpty)
        let dropped = try #require(both.evidence.chains.firstIndex { $0.slot == second.keyring.slot.description })
        let found = try problems {
            $0 = both
            $0.evidence.chains.remove(at: dropped)
        }
        #expect(found.contains { $0.contains(second.keyring.slot.description) && $0.contains("it is missing") })
    }
}
