// What the program tells of secrets in snapshots, and what it does not.

import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders

@Suite("Looks into snapshots of a vault", .waiting)
struct VaultLookTests {
    @Test("tell which states, labels and attributes changed between two of them, and no value")
    func changes() throws {
        let run = try VaultRun()
        for value in ["hunter2one", "hunter2two"] { try run.put("app/db", value) }
        try run.put("gone", "hunter2gone")
        try run.put("same", "hunter2same")
        _ = try run.backUp()
        let vault = try run.open()
        let (name, first, second) = (try SecretName("app/db"), try SecretVersionID("1"), try SecretVersionID("2"))
        try vault.change(name, .state(.disable, of: first))
        let tags = SecretTags([(key: "owner", value: "hunter2owner")])
        try vault.change(
            name,
            .versionAttributes(
                SecretVersionAttributes(expires: Timestamp(seconds: 2_000_000_000), tags: tags), of: second))
        try vault.change(
            name, .attributes(SecretAttributes(description: "hunter2text", limits: SecretLimits(maximumVersions: 9))))
        try vault.change(try SecretName("gone"), .remove(.recoverable))
        try run.put("app/db", "hunter2three")
        _ = try run.backUp()
        let list = try run.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]] ?? []
        let ids = list.compactMap { $0["id"] as? String }
        try #require(ids.count == 2)

        let text = try run.run("diff", ids[0], ids[1])
        #expect(text.status == 0, "\(text.errors)")
        let lines = text.output.split(separator: "\n").map(String.init)
        #expect(
            lines.map { $0.replacing(/\(\d+\)/, with: "(N)") }.dropLast() == [
                "U app/db/  current 2 -> 3; description added; maximumVersions added",
                "U app/db/@1  state live -> disabled; labels -previous",
                "U app/db/@2  labels +previous -current; expires added; tag owner added",
                "+ app/db/@3  (N)  labels +current", "U gone/  state live -> removed",
            ], "\(text.output)")
        #expect(lines.last?.hasPrefix("added 1, removed 0, content 0, type 0, metadata 4;") == true)

        let json = try run.run("diff", ids[1], ids[0], "--json")
        let changes = try #require(try json.json()["changes"] as? [[String: Any]])
        #expect(
            changes.compactMap { $0["path"] as? String } == ["app/db", "app/db/@1", "app/db/@2", "app/db/@3", "gone"])
        #expect(changes[0]["currentBefore"] as? String == "3" && changes[0]["currentAfter"] as? String == "2")
        #expect(changes[1]["stateBefore"] as? String == "disabled" && changes[1]["stateAfter"] as? String == "live")
        #expect(changes[2]["labelsAdded"] as? [String] == ["current"])
        #expect(
            changes[2]["attributes"] as? [[String: String]] == [
                ["name": "expires", "change": "removed"], ["name": "tag", "key": "owner", "change": "removed"],
            ])
        #expect(changes[3]["change"] as? String == "removed" && changes[3]["stateAfter"] == nil)

        let listed = try run.run("ls", "latest:secrets", "--recursive")
        #expect(
            listed.output.split(separator: "\n") == [
                "app/", "app/db/", "app/db/@1 (disabled)", "app/db/@2", "app/db/@3", "gone/ (removed)", "gone/@1",
                "same/", "same/@1",
            ])
        let entries = try run.run("ls", "latest:secrets", "--recursive", "--json")
        let items = try #require(try entries.json()["entries"] as? [[String: Any]])
        #expect(items.map { $0["state"] as? String ?? "-" }.prefix(3) == ["-", "live", "disabled"])
        #expect(items[4]["labels"] as? [String] == ["current"] && items[1]["labels"] == nil)
        for output in [text.output, json.output, listed.output, entries.output] {
            #expect(!output.contains("hunter2"))
        }
    }
}
