// What is told of secrets that differ between two snapshots, and what is not.

import Primitives
import Recovery
import Repository
import Testing

@Suite("What differs of a secret")
struct SecretDifferenceTests {
    private func metadata(_ facts: SecretVersionFacts) -> EntryMetadata {
        var metadata = EntryMetadata(name: bytes("@1"), kind: .file)
        metadata.put(facts.encoded, under: SecretVersionFacts.attribute)
        return metadata
    }

    private func metadata(_ facts: SecretFacts) -> EntryMetadata {
        var metadata = EntryMetadata(name: bytes("db"), kind: .directory)
        metadata.put(facts.encoded, under: SecretFacts.attribute)
        return metadata
    }

    private func words(_ difference: SecretDifference) -> [String] {
        difference.attributes.map { "\($0.name) \($0.key ?? "-") \($0.act.rawValue)" }
    }

    @Test("is its state, its labels, and the names of attributes and tags, by bytes and without what they hold")
    func version() throws {
        var old = SecretVersionFacts(id: "1", order: 1, state: .live)
        old.labels = ["AWSCURRENT", "pin"]
        old.contentType = "text/plain"
        old.expires = Timestamp(seconds: 1)
        old.tags = [.init(key: "a", value: "hunter2a"), .init(key: "e\u{301}", value: "hunter2e")]
        old.changed = Timestamp(seconds: 5)
        var new = old
        #expect(try SecretDifference(metadata(old), metadata(new))?.isEmpty == true)
        // When it was changed, and which place it has among those that are left, is no change of its own.
        new.changed = Timestamp(seconds: 6)
        new.order = 7
        #expect(try SecretDifference(metadata(old), metadata(new))?.isEmpty == true)
        new.state = .softDeleted
        new.stateSince = Timestamp(seconds: 7)
        new.labels = ["AWSPREVIOUS", "pin"]
        new.contentType = nil
        new.expires = Timestamp(seconds: 2)
        new.notBefore = Timestamp(seconds: 3)
        new.tags = [.init(key: "a", value: "hunter2b"), .init(key: "\u{E9}", value: "hunter2e")]
        new.extras = [.init(key: "managed", value: "true")]
        let found = try #require(try SecretDifference(metadata(old), metadata(new)))
        #expect(found.standingBefore == .live && found.standingAfter == .deleted)
        #expect(found.labelsAdded == ["AWSPREVIOUS"] && found.labelsRemoved == ["AWSCURRENT"])
        let wanted = [
            "contentType - removed", "expires - changed", "extra managed added", "notBefore - added", "tag a changed",
            "tag e\u{301} removed", "tag \u{E9} added",
        ]
        #expect(words(found).map { Array($0.utf8) } == wanted.map { Array($0.utf8) })
        #expect(!"\(found)".contains("hunter2"))
        // Deleted once more, or put anew, after the first time.
        var again = new
        again.stateSince = Timestamp(seconds: 8)
        again.created = Timestamp(seconds: 9)
        let anew = try #require(try SecretDifference(metadata(new), metadata(again)))
        #expect(words(anew) == ["created - added", "stateSince - changed"])
    }

    @Test("is of a secret as a whole its removal, its current version, and its rules")
    func secret() throws {
        var old = SecretFacts(name: "app/db")
        old.current = "1"
        old.description = "hunter2text"
        old.maximumVersions = 10
        var new = old
        new.prunedThrough = 3
        new.changed = Timestamp(seconds: 6)
        #expect(try SecretDifference(metadata(old), metadata(new))?.isEmpty == true)
        new.current = "2"
        new.isRemoved = true
        new.removed = Timestamp(seconds: 1)
        new.purge = Timestamp(seconds: 2)
        new.maximumVersions = 20
        new.requiresComparison = true
        new.deletesAfter = .seconds(3600)
        new.description = "hunter2other"
        new.tags = [.init(key: "owner", value: "hunter2owner")]
        let found = try #require(try SecretDifference(metadata(old), metadata(new)))
        #expect(found.standingBefore == .live && found.standingAfter == .removed)
        #expect(found.currentBefore == "1" && found.currentAfter == "2")
        #expect(
            words(found) == [
                "deletesAfter - added", "description - changed", "maximumVersions - changed",
                "requiresComparison - added", "tag owner added",
            ])
        #expect(!"\(found)".contains("hunter2"))
    }

    @Test("is where one is missing how the other stands, and nothing where neither is a secret")
    func missing() throws {
        var facts = SecretVersionFacts(id: "1", order: 1, state: .destroyed)
        facts.labels = ["current"]
        let folder = EntryMetadata(name: bytes("app"), kind: .directory)
        let added = try #require(try SecretDifference(nil, metadata(facts)))
        #expect(added.standingBefore == nil && added.standingAfter == .destroyed && added.labelsAdded == ["current"])
        let gone = try #require(try SecretDifference(metadata(SecretFacts(name: "app")), folder))
        #expect(gone.standingBefore == .live && gone.standingAfter == nil && !gone.isEmpty && gone.attributes.isEmpty)
        #expect(try SecretDifference(folder, nil) == nil)
    }
}
