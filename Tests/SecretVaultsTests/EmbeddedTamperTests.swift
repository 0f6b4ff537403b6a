// What somebody finds in the file of an embedded vault, and what they can do to it.

import Foundation
import Glibc
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders

@Suite("The file of an embedded vault", .waiting)
struct EmbeddedTamperTests {
    private let stage = EmbeddedStage()

    @Test("holds no name, label, attribute or value in clear")
    func sealed() throws {
        let vault = try stage.create()
        let name = try SecretName("clearname")
        let attributes = SecretVersionAttributes(contentType: "cleartype", tags: SecretTags([("clearkey", "cleartag")]))
        let put = SecretPut(
            name, SecretValue(.text, secret("clearvalue")), expected: .absent,
            staging: .labels([try StagingLabel("clearlabel")]), id: try SecretVersionID("clearid"),
            attributes: attributes)
        _ = try vault.put(put)
        try vault.change(name, .attributes(SecretAttributes(description: "cleardescription")))
        let found = stage.bytes()
        #expect(found.count > 4096)
        #expect(found.range(of: Data("secret_values".utf8)) != nil && found.range(of: Data("clear".utf8)) == nil)
    }

    @Test("that was changed in any row is refused by name, and nothing else is")
    func changed() throws {
        let vault = try stage.create()
        let first = try vault.put("a", "one")
        try vault.put("b", "two")
        let harms = [
            "UPDATE secrets SET record = record || x'00' WHERE tag = (SELECT min(tag) FROM secrets);",
            "UPDATE secrets SET record = (SELECT record FROM secrets ORDER BY tag LIMIT 1);",
            "UPDATE secrets SET record = CAST(record || x'00' AS BLOB);",
            "DELETE FROM secrets WHERE tag = (SELECT min(tag) FROM secrets);",
            "INSERT INTO secrets SELECT randomblob(32), record FROM secrets LIMIT 1;",
            "UPDATE secrets SET tag = randomblob(32) WHERE tag = (SELECT min(tag) FROM secrets);",
            "UPDATE secrets SET record = 7;", "UPDATE vault SET root = substr(root, 1, 40);",
            "UPDATE vault SET root = (SELECT record FROM secrets LIMIT 1);", "DELETE FROM vault;",
            "UPDATE slots SET slot = substr(slot, 2);",
        ]
        try vault.change(try SecretName("a"), .remove(.recoverable))
        try vault.change(try SecretName("a"), .recover)
        // Brings the log into the file, which is copied alone.
        _ = try stage.open()
        let good = try Data(contentsOf: URL(fileURLWithPath: stage.path))
        for harm in harms {
            let copy = EmbeddedStage()
            try good.write(to: URL(fileURLWithPath: copy.path))
            chmod(copy.path, 0o600)
            #expect(copy.openingFails() == nil)
            try copy.sqlite(harm)
            #expect(copy.openingFails() == .corruptObject, "\(harm)")
        }
        let isHeld = try stage.open().holds("a", "one", first)
        #expect(isHeld)
    }

    @Test("whose values were exchanged, removed or added gives none of them out")
    func values() throws {
        let vault = try stage.create()
        let ids = [try vault.put("a", "one"), try vault.put("a", "two")]
        try vault.put("b", "three")
        try stage.sqlite(
            """
            UPDATE secret_values SET sealed = (SELECT sealed FROM secret_values WHERE place = 2)
            WHERE tag = (SELECT tag FROM secret_values WHERE place = 2);
            """)
        let again = try stage.open()
        #expect(failure { _ = try again.holds("a", "one", ids[0]) }?.code == .corruptObject)
        let isHeld = try again.holds("a", "two", ids[1])
        #expect(isHeld)
        let found = failure { try again.verify(values: true) }
        #expect(found?.code == .corruptObject && found?.message.contains("version 1 of a") == true)
        try stage.sqlite("DELETE FROM secret_values;")
        #expect(failure { _ = try again.holds("b", "three") }?.code == .corruptObject)
    }

    @Test("in which one row was put back as it once was is refused")
    func rolledBack() throws {
        let vault = try stage.create()
        try vault.put("a", "old password")
        try vault.put("b", "x")
        try stage.sqlite("CREATE TABLE kept AS SELECT * FROM secrets;")
        try vault.put("a", "new password")
        try stage.sqlite(
            "UPDATE secrets SET record = (SELECT record FROM kept WHERE kept.tag = secrets.tag);")
        #expect(stage.openingFails() == .corruptObject)
    }

    @Test("that was put back as a whole has fewer writes than somebody remembers")
    func generations() throws {
        let vault = try stage.create()
        var last = try vault.generation()
        for index in 0..<3 {
            try vault.put("a", "\(index)")
            let next = try stage.open().generation()
            #expect(next == last + 1)
            last = next
        }
        // What changes nothing is no write.
        try vault.change(try SecretName("a"), .recover)
        #expect(try vault.generation() == last)
    }

    @Test("keeps nothing of a value that was destroyed, pushed out or removed")
    func overwritten() throws {
        let vault = try stage.create()
        let name = try SecretName("a")
        func sealed() throws -> Data {
            // Long enough to be found as it is: random bytes that stand on the disk in one piece.
            let copy = stage.directory.path + "/value"
            try stage.sqlite("SELECT writefile('\(copy)', sealed) FROM secret_values ORDER BY place DESC LIMIT 1;")
            return try Data(contentsOf: URL(fileURLWithPath: copy)).prefix(200)
        }
        for harm in ["destroy", "prune", "remove"] {
            let id = try vault.put("a", harm)
            let found = try sealed()
            #expect(stage.bytes().range(of: found) != nil)
            switch harm {
            case "destroy": try vault.change(name, .state(.destroy, of: id))
            case "prune":
                let limits = SecretLimits(maximumVersions: 1)
                try vault.change(name, .attributes(SecretAttributes(limits: limits)))
                // Current and previous ones stay.
                for _ in 0..<2 { try vault.put("a", "next") }
            default: try vault.change(name, .remove(.permanent))
            }
            #expect(stage.bytes().range(of: found) == nil, "\(harm)")
            try vault.verify(values: true)
        }
    }

    @Test("with a slot that asks for more than a password may cost costs nothing")
    func hostileSlot() throws {
        _ = try stage.create()
        try stage.sqlite("UPDATE slots SET slot = CAST(substr(slot, 1, 9) || x'1E' || substr(slot, 11) AS BLOB);")
        #expect(stage.openingFails() == .limitExceeded)
    }
}
