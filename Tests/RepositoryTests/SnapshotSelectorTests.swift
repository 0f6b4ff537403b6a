// Names for snapshots, and which one they mean.

import Primitives
import TestSupport
import Testing

@testable import Repository

@Suite("Snapshot selectors")
struct SnapshotSelectorTests {
    private let test: TestRepository
    private let web: SourceTag
    private let db: SourceTag

    init() throws {
        test = try TestRepository()
        web = try test.repository.tag(ofSource: "web")
        db = try test.repository.tag(ofSource: "db")
    }

    /// A snapshot with an id of this text; without a record it stands for one that the key may not read.
    private func snapshot(_ id: String, _ tag: SourceTag, _ sequence: UInt64, source: String? = nil) throws -> Snapshot
    {
        let id = try #require(ULID(id))
        let record = source.map {
            SnapshotRecord(source: $0, workload: "dir", host: "h", toolVersion: "t", runID: id, started: id.time)
        }
        return Snapshot(
            tag: tag, id: id, sequence: sequence, digest: Bytes32(), previousDigest: Bytes32(), epoch: 1,
            slot: test.repository.keyring.slot, runs: [], stored: id.time, record: record)
    }

    private func listing() throws -> SnapshotListing {
        var listing = SnapshotListing()
        listing.snapshots = [
            try snapshot("01aaaaaaaa0000000000000001", web, 1, source: "web"),
            try snapshot("01aaaaaaaa0000000000000002", web, 2, source: "web"),
            try snapshot("01bbbbbbbb0000000000000001", db, 9, source: "db"),
            // An older sequence with a later id, as a clock that ran ahead makes it.
            try snapshot("01cccccccc0000000000000001", web, 0, source: "web"),
        ]
        return listing
    }

    private func found(_ text: String) throws -> String {
        try test.repository.find(SnapshotSelector(text), in: listing()).id.description
    }

    private func failure(_ text: String) -> HoldfastError? {
        #expect(throws: HoldfastError.self) { try found(text) }
    }

    @Test("the beginning of an id names its snapshot, in either case")
    func prefix() throws {
        #expect(try found("01bb") == "01bbbbbbbb0000000000000001")
        #expect(try found("01BBBBBBBB0000000000000001") == "01bbbbbbbb0000000000000001")
        #expect(try found("01aaaaaaaa0000000000000002") == "01aaaaaaaa0000000000000002")
    }

    @Test("an ambiguous beginning names all that match")
    func ambiguous() {
        let error = failure("01aa")
        #expect(error?.code == .usage)
        #expect(error?.message.contains("01aaaaaaaa0000000000000001, 01aaaaaaaa0000000000000002") == true)
    }

    @Test("what is not there is not found", arguments: ["01dd", "latest:none"])
    func missing(text: String) { #expect(failure(text)?.code == .snapshotNotFound) }

    @Test("what can be no name is a usage error", arguments: ["", "01a", "latest:", "01al", "01a/", "01äöü"])
    func refused(text: String) { #expect(failure(text)?.code == .usage) }

    @Test("an id that is too long is a usage error")
    func long() { #expect(failure(String(repeating: "0", count: 27))?.code == .usage) }

    @Test("the latest of a source has its highest sequence, the latest of all the latest id among those")
    func latest() throws {
        #expect(try found("latest:web") == "01aaaaaaaa0000000000000002")
        #expect(try found("latest:db") == "01bbbbbbbb0000000000000001")
        #expect(try found("latest") == "01bbbbbbbb0000000000000001")
        let error = #expect(throws: HoldfastError.self) {
            try test.repository.find(.latest, in: SnapshotListing())
        }
        #expect(error?.code == .snapshotNotFound)
    }

    @Test("a source is found by its tag where the records cannot be read, and by the records without the key for tags")
    func roles() throws {
        var sealed = SnapshotListing()
        sealed.snapshots = [try snapshot("01aaaaaaaa0000000000000001", web, 1)]
        let writer = try test.adding(.writer, password: "w")
        #expect(try writer.find(.latestOf(source: "web"), in: sealed).sequence == 1)
        let maintainer = try test.adding(.maintainer, password: "m")
        #expect(try maintainer.find(.latestOf(source: "web"), in: listing()).sequence == 2)
        let error = #expect(throws: HoldfastError.self) {
            try maintainer.find(.latestOf(source: "web"), in: sealed)
        }
        #expect(error?.code == .snapshotNotFound)
    }

    @Test("a listing with damage says so where a name is not found")
    func damage() throws {
        var listing = SnapshotListing()
        listing.damaged = [
            (ObjectNames.snapshot(web, try #require(ULID("01aaaaaaaa0000000000000001"))), failure("01dd"))
        ]
        .compactMap { key, error in error.map { (key, $0) } }
        let error = #expect(throws: HoldfastError.self) { try test.repository.find(.latest, in: listing) }
        #expect(error?.hint.contains("check") == true)
    }
}
