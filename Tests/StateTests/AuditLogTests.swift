// Appending to the audit log: what is durable when, what is refused, and what is left by who died.

import CLinux
import Foundation
import Glibc
import Primitives
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

@Suite("The audit log")
struct AuditLogTests {
    private let stage = AuditStage()

    /// All records, oldest first.
    private func records() throws -> [AuditRecord] {
        var found: [AuditRecord] = []
        try AuditReader(state: stage.state, clock: stage.clock).visit { line in
            if case .record(let record, _) = AuditLineContent(line.bytes) { found.append(record) }
            return true
        }
        return found
    }

    @Test("says who did what to which version and why, and is the user's alone")
    func fields() throws {
        var entry = stage.entry(7)
        entry.outcome = .failed
        entry.code = "vault-sealed"
        entry.about = 1
        entry.secret = "a \"b\" \\ \u{1}\u{1F}\t\n\r\u{8}\u{C} é \u{1F511} \u{2028}"
        #expect(try stage.log().append([stage.entry(1), entry]) == 1)
        let record = try #require(try records().last)
        #expect(record.entry == entry && record.sequence == 2 && record.time == stage.clock.now())
        #expect(record.actor == AuditActor(user: "ann", uid: 1000, host: "here", run: "nightly@2026"))
        for name in ["", "/lock", "/" + (try stage.segments()[0])] {
            let attributes = try FileManager.default.attributesOfItem(atPath: stage.audit + name)
            #expect(attributes[.posixPermissions] as? Int == (name.isEmpty ? 0o700 : 0o600), "\(name)")
        }
    }

    @Test("is synced before an append returns, in one go for a group of any size")
    func syncs() throws {
        let synced = SharedSizes([])
        let state = stage.state
        let log = stage.log(sync: { number in
            var status = stat()
            fstat(number, &status)
            synced.value.withLock { $0.append(UInt64(status.st_size)) }
            return fsync(number)
        })
        _ = try log.append([stage.entry(0)])
        _ = try log.append((1...AuditLimits.group).map { stage.entry($0) })
        let sizes = synced.value.withLock { $0 }
        let size = try FileManager.default.attributesOfItem(atPath: state + "/audit/" + stage.segments()[0])[.size]
        #expect(sizes.count == 2 && sizes.last == size as? UInt64)
        #expect(try stage.verify().records == UInt64(AuditLimits.group) + 1)
    }

    @Test("refuses the access when a record cannot be made durable, and goes on without it afterwards")
    func syncFails() throws {
        try stage.fill(2)
        let error = auditFailure {
            _ = try stage.log(sync: { _ in
                errno = EIO; return -1
            }).append([stage.entry(9)])
        }
        #expect(error?.code == .inputOutput && error?.message.contains("no access to a secret") == true)
        #expect(try stage.verify().records == 2)
        #expect(try stage.log().append([stage.entry(3)]) == 3)
        #expect(try stage.problems() == [])
    }

    @Test("waits for others within a bound, and says then who to look for")
    func locked() throws {
        try stage.fill(1)
        let lock = open(stage.audit + "/lock", O_RDWR)
        defer { close(lock) }
        #expect(flock(lock, LOCK_EX) == 0)
        let error = auditFailure { _ = try stage.log(patience: .zero).append([stage.entry(1)]) }
        #expect(error?.code == .busy && error?.retry == .later && error?.hint.contains("fuser") == true)
        flock(lock, LOCK_UN)
        #expect(try stage.log(patience: .zero).append([stage.entry(1)]) == 2)
    }

    @Test("keeps a record that was not finished in a file, and says so in the chain and at once")
    func torn() throws {
        try stage.fill(3)
        let lines = try stage.lines()
        for cut in [1, lines[2].utf8.count / 2, lines[2].utf8.count] {
            let part = String(lines[2].prefix(cut))
            try stage.write(lines[..<2] + [part], end: "")
            #expect(try stage.verify().torn?.hasSuffix(":3") == true)
            let remarks = SharedSizes([])
            let log = stage.log(remark: { _ in remarks.value.withLock { $0.append(1) } })
            // The access has its own number behind that of what is told of the log.
            #expect(try log.append([stage.entry(3)]) == 4)
            #expect(remarks.value.withLock { $0.count } == 1)
            let found = try records()
            #expect(found.map(\.sequence) == [1, 2, 3, 4] && found[2].entry.action == .recovered)
            let name = try #require(found[2].entry.reason?.split(separator: " ").last)
            #expect(try String(contentsOfFile: stage.audit + "/" + name, encoding: .utf8) == part)
            #expect(try stage.problems() == [] && stage.verify().torn == nil)
        }
    }

    @Test("goes on behind a segment of which nothing was written, or half of its first record")
    func tornSegment() throws {
        try stage.fill(8, segment: 2000)
        let next = stage.audit + "/00000000000000000009.audit"
        for text in ["", "{\"action\":"] {
            try text.write(toFile: next, atomically: false, encoding: .utf8)
            #expect(try stage.log(segment: 2000).append([stage.entry(8)]) == (text.isEmpty ? 9 : 10))
            #expect(try stage.problems() == [])
            try FileManager.default.removeItem(atPath: next)
        }
    }

    @Test("goes on from no record that is damaged, and says what to do")
    func damaged() throws {
        try stage.fill(2)
        var lines = try stage.lines()
        lines[1] = lines[1].replacingOccurrences(of: "ann", with: "bob")
        try stage.write(lines)
        let error = auditFailure { _ = try stage.log().append([stage.entry(3)]) }
        #expect(error?.code == .corruptObject && error?.hint.contains("audit verify") == true)
        lines[1] = lines[1].replacingOccurrences(of: "\"format\":1", with: "\"format\":2")
        try stage.write(lines)
        #expect(auditFailure { _ = try stage.log().append([stage.entry(3)]) }?.code == .unsupportedFormat)
        #expect(auditFailure { _ = try stage.verify() }?.code == .unsupportedFormat)
        lines[1] = String(repeating: "x", count: 2 << 20)
        try stage.write(lines, end: "")
        #expect(auditFailure { _ = try stage.log().append([stage.entry(3)]) }?.code == .corruptObject)
    }

    @Test("takes no record over its limit, and nothing of the group with it")
    func tooLong() throws {
        var long = stage.entry(0)
        long.reason = String(repeating: "x", count: AuditRecord.maximumLine)
        #expect(auditFailure { _ = try stage.log().append([stage.entry(0), long]) }?.code == .limitExceeded)
        #expect(try stage.log().head() == nil)
    }

    @Test("notices what others appended since, through one opened log and another")
    func interleaved() throws {
        let (one, other) = (stage.log("one", segment: 2000), stage.log("other", segment: 2000))
        for round in 0..<12 { _ = try (round % 3 == 0 ? other : one).append([stage.entry(round)]) }
        #expect(try stage.problems() == [] && records().count == 12)
    }

    @Test("tells its head in words that are read back, and those of no head are refused")
    func heads() throws {
        #expect(try stage.log().head() == nil)
        try stage.fill(3)
        let head = try #require(try stage.log().head())
        #expect(AuditHead(text: head.text) == head && head.count == 3)
        #expect(AuditHead.facts(of: head) == ["audit": head.text] && AuditHead.facts(of: nil).isEmpty)
        for text in ["", "x", head.text + " ", head.text.replacingOccurrences(of: " 3 ", with: " 0 ")] {
            #expect(AuditHead(text: text) == nil, "\(text)")
        }
    }

    @Test("tells its head also where the state was brought back without the empty lock")
    func headWithoutLock() throws {
        try stage.fill(2)
        try FileManager.default.removeItem(atPath: stage.audit + "/lock")
        #expect(try stage.log().head()?.count == 2)
    }

    @Test("in memory chains as on disk, and refuses when told to")
    func inMemory() throws {
        let trail = MemoryAuditTrail(actor: AuditActor(user: "ann", uid: 1, host: "here"), clock: stage.clock)
        #expect(try trail.append([stage.entry(0)]) == 1)
        #expect(try trail.append([stage.entry(1), stage.entry(2)]) == 2)
        #expect(trail.records[2].previous == trail.records[1].digest)
        #expect(try trail.head()?.count == 3)
        trail.refuse(with: HoldfastError(.noSpace, "full", hint: "Free some."))
        #expect(auditFailure { _ = try trail.append([stage.entry(3)]) }?.code == .noSpace)
        #expect(trail.records.count == 3)
    }

    /// Whether a small file system can be mounted: only root may, and a sandbox may refuse it to root as well.
    static let mayMount: Bool = {
        let place = TemporaryDirectory()
        guard mount("tmpfs", place.path, "tmpfs", 0, "size=1m") == 0 else { return false }
        return umount2(place.path, Int32(MNT_DETACH)) == 0
    }()

    @Test(
        "refuses the access on a full disk with a clear error, and goes on when there is space",
        .enabled(if: mayMount, "mounting a file system of 1 MiB is refused here; run the tests as root"))
    func fullDisk() throws {
        try FileManager.default.createDirectory(atPath: stage.state, withIntermediateDirectories: true)
        try #require(mount("tmpfs", stage.state, "tmpfs", 0, "size=1m") == 0)
        defer { umount2(stage.state, Int32(MNT_DETACH)) }
        try stage.fill(3)
        let filler = open(stage.state + "/filler", O_WRONLY | O_CREAT, 0o600)
        let zeros = [UInt8](repeating: 0, count: 4096)
        while write(filler, zeros, zeros.count) > 0 {}
        close(filler)
        // The last page of the segment has room for some.
        var error: HoldfastError?
        for number in 0..<40 where error == nil {
            error = auditFailure { _ = try stage.log().append([stage.entry(number)]) }
        }
        #expect(error?.code == .noSpace && error?.retry == .later)
        #expect(error?.message.contains("no access to a secret") == true && error?.hint.contains("--state-dir") == true)
        let verdict = try stage.verify()
        #expect(verdict.isWhole && verdict.torn == nil)
        unlink(stage.state + "/filler")
        #expect(try stage.log().append([stage.entry(99)]) == verdict.records + 1)
        #expect(try stage.problems() == [])
    }
}

/// For closures.
private final class SharedSizes: Sendable {
    let value: Mutex<[UInt64]>
    init(_ first: [UInt64]) { value = Mutex(first) }
}
