// The audit log by the program: what each access leaves, and what `audit` says of it.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("The audit log of the program", .waiting)
struct AuditProgramTests {
    private let vault: VaultRun
    private var run: ProgramRun { vault.run }
    private var audit: String { run.directory.path + "/.local/state/holdfast/audit" }

    init() throws {
        vault = try VaultRun()
        try vault.put("app/db", "first-value")
        try vault.put("app/db", "second-value")
        try vault.put("app/key", "key-value")
    }

    /// `action outcome secret version` of each record.
    private func records(_ words: String...) throws -> [String] {
        let result = try run.start(["audit", "list", "--json"] + words).finish()
        let found = try #require(try result.json()["records"] as? [[String: Any]])
        return found.map { record in
            ["action", "outcome", "secret", "version"].map { record[$0] as? String ?? "-" }.joined(separator: " ")
        }
    }

    private func verify(_ words: String...) throws -> (status: Int32, kinds: [String], object: [String: Any]) {
        let result = try run.start(["audit", "verify", "--json"] + words).finish()
        let object = try result.json()
        let problems = object["problems"] as? [[String: Any]] ?? []
        return (result.status, problems.compactMap { $0["kind"] as? String }, object)
    }

    private var segment: String { audit + "/00000000000000000001.audit" }

    private func lines() throws -> [String] {
        try String(contentsOfFile: segment, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    private func write(_ lines: [String]) throws {
        try (lines.joined(separator: "\n") + "\n").write(toFile: segment, atomically: false, encoding: .utf8)
    }

    @Test("has changes, readings by a backup, what was revealed with its reason, and restores; and never a value")
    func accesses() throws {
        #expect(
            try records() == [
                "vault.changed allowed app/db -", "vault.changed allowed app/db -",
                "vault.changed allowed app/key -",
            ])
        #expect(try run("backup", VaultRun.url).status == 0)
        let read = try records().dropFirst(3)
        #expect(
            read.map { $0.prefix(26) }.sorted() == [
                "value.read allowed app/db ", "value.read allowed app/db ",
                "value.read allowed app/key",
            ])
        // Nothing is new: nothing is read.
        #expect(try run("backup", VaultRun.url).status == 0)
        #expect(try records().count == 6)

        #expect(try run("vault", "get", VaultRun.url, "app/db", "--reveal", "--reason", "ticket 4711").status == 0)
        let path = "app/key/@" + (try #require(read.first { $0.contains("app/key") }?.split(separator: " ").last))
        let dump = try run("dump", "latest", path, "--reveal", "--reason", "ticket 4712")
        #expect(dump.status == 0 && dump.output == "key-value", "\(dump.errors)")
        #expect(
            try records().suffix(2).map { $0.prefix(30) } == [
                "value.revealed allowed app/db ", "value.revealed allowed app/key",
            ])
        let shown = try run("audit", "show", "8", "--json").json()
        let record = try #require(shown["record"] as? [String: Any])
        #expect(record["reason"] as? String == "ticket 4712")
        #expect((record["vault"] as? String)?.hasPrefix("snapshot:") == true && record["uid"] as? UInt32 == getuid())

        try vault.make("vault:embedded:other.vault")
        let restored = try run("restore", "latest", "--to", "vault:embedded:other.vault", "--reason", "fire")
        #expect(restored.status == 0, "\(restored.errors)")
        let restores = try records().filter { $0.hasPrefix("value.restored allowed") }
        #expect(restores.count == 3 && Set(restores).count == 3)
        #expect(try records("--secret", "app/key").count == 4)
        #expect(try records("--since", "now").isEmpty && records("--count", "2").count == 2)
        let text = try String(contentsOfFile: segment, encoding: .utf8)
        for value in ["first-value", "second-value", "key-value", "opens the vault"] { #expect(!text.contains(value)) }
        #expect(try verify("--local").status == 0)
    }

    @Test("says of an access that failed that it did, and why")
    func failures() throws {
        #expect(try run("vault", "get", VaultRun.url, "app/none", "--reveal").status == 1)
        #expect(try records().suffix(2) == ["value.revealed allowed app/none -", "value.revealed failed app/none -"])
        let record = try #require(try run("audit", "show", "5", "--json").json()["record"] as? [String: Any])
        #expect(record["code"] as? String == "secret-not-found" && record["about"] as? Int == 4)
    }

    @Test("that cannot be written to refuses every access, and a look at names goes on")
    func unwritable() throws {
        try FileManager.default.removeItem(atPath: audit)
        try Data().write(to: URL(fileURLWithPath: audit))
        for verb in [
            ["vault", "get", VaultRun.url, "app/db", "--reveal"], ["backup", VaultRun.url],
            ["vault", "put", VaultRun.url, "app/new"], ["vault", "remove", VaultRun.url, "app/db"],
        ] {
            let result = try run.start(verb).finish()
            #expect(result.status != 0 && result.output.isEmpty, "\(verb): \(result.output)")
            #expect(result.errors.contains("no access to a secret without a record"), "\(verb): \(result.errors)")
        }
        #expect(try run("vault", "list", VaultRun.url).status == 0)
        #expect(try run("snapshots").status == 0)
        try FileManager.default.removeItem(atPath: audit)
        #expect(try vault.value("app/db") == "second-value")
    }

    @Test("is found damaged with status 4, with the record, its place, and what to look at")
    func damaged() throws {
        let lines = try lines()
        #expect(try verify("--local").status == 0)
        try write([lines[0].replacingOccurrences(of: "app/db", with: "app/dc"), lines[1], lines[2]])
        let found = try verify("--local")
        #expect(found.status == 4 && found.kinds == ["altered"] && found.object["isWhole"] as? Bool == false)
        let text = try run("audit", "verify", "--local")
        #expect(text.output.contains("altered: record 1 at 00000000000000000001.audit:1:"), "\(text.output)")
        #expect(try run("audit", "list").status == 4)
        try write([lines[0], lines[2]])
        #expect(try verify("--local").kinds == ["removed"])
        #expect(try run("audit", "show", "2").status == 1)
    }

    @Test("whose end was cut off, or which began anew, is found by the heads that are sealed in the repository")
    func heads() throws {
        let without = try run("audit", "verify")
        #expect(without.output.contains("no head of this log") && without.status == 0, "\(without.output)")
        #expect(try run("audit", "verify", "--local").output.contains("no repository was asked"))

        // A day that is over, so that there is something to seal.
        try sealYesterday()
        let compared = try verify()
        #expect(compared.status == 0 && compared.object["knownCount"] as? Int == 3)
        let lines = try lines()
        try write(Array(lines[..<2]))
        #expect(try verify("--local").status == 0)
        let cut = try verify()
        #expect(cut.status == 4 && cut.kinds == ["cut-off"])

        try FileManager.default.removeItem(atPath: audit)
        #expect(try verify().kinds == ["missing-log"])
        #expect(try run("vault", "get", VaultRun.url, "app/db", "--reveal").status == 0)
        let anew = try verify()
        #expect(anew.status == 4 && anew.kinds == ["missing-log"])
        let log = try #require(try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])["log"]
        #expect(try verify("--retired", try #require(log as? String)).status == 0)
    }

    @Test("is compared with the heads in snapshots of vaults, whatever host somebody names for them")
    func snapshotHeads() throws {
        #expect(try run("backup", VaultRun.url, "--host", "elsewhere").status == 0)
        let compared = try verify()
        #expect(compared.status == 0 && compared.object["knownCount"] as? Int == 6, "\(compared)")
        try vault.put("app/key", "another-value")
        let lines = try lines()
        // Behind the newest head nothing vouches; up to it everything is found.
        try write(Array(lines[..<6]))
        #expect(try verify().status == 0)
        try write(Array(lines[..<5]))
        #expect(try verify("--local").status == 0)
        let cut = try verify()
        #expect(cut.status == 4 && cut.kinds == ["cut-off"])
        // Reading nothing new is a head as well.
        try write(lines)
        #expect(try run("backup", VaultRun.url, "--source", "other").status == 0)
        let count = try self.lines().count
        #expect(try run("backup", VaultRun.url, "--source", "other").status == 0)
        #expect(try self.lines().count == count)
        #expect(try verify().object["knownCount"] as? Int == count)

        try FileManager.default.removeItem(atPath: audit)
        let gone = try verify()
        #expect(gone.status == 4 && gone.kinds == ["missing-log"])
        let text = try run("audit", "verify")
        #expect(text.output.contains("the snapshot"), "\(text.output)")
    }

    /// Writes a line of yesterday into the history of runs, and seals it.
    private func sealYesterday() throws {
        try run.makeDirectory("data")
        try run.makeDirectory("schedules")
        _ = try run.file("holdfast.yaml", "sources:\n  data:\n    url: dir:\(run.directory.path)/data\n")
        _ = try run.file("schedules/good.yaml", "command: [/bin/true]\nwhen: {every: 1d}\n")
        let ran = try run("schedule", "run", "good")
        try #require(ran.status == 0, "\(ran.errors)")
        try run.sqlite(
            run.directory.path + "/.local/state/holdfast/runs.sqlite",
            "UPDATE runs SET noted = noted - 2 * 86400000000000;")
        let sealed = try run("schedule", "seal")
        try #require(sealed.status == 0 && sealed.output.contains("sealed 1 lines"), "\(sealed)")
    }
}
