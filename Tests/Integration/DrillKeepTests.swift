// Copies that a drill leaves to be looked at, and their removal.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill with --keep", .waiting)
struct DrillKeepTests {
    private func prepared() throws -> DrillRun {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/first", 20_000, seed: 1)
        try drill.run.sqlite("app.db", "CREATE TABLE t(a); INSERT INTO t VALUES (7);")
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        try #require(try drill.run("backup", "sqlite:app.db", "--source", "app").status == 0)
        return drill
    }

    @Test("leaves the copies, says where, and has it in its evidence; later drills leave them alone until --clean")
    func kept() throws {
        let drill = try prepared()
        let text = try drill.run("drill", "web", "--scratch", drill.scratch, "--keep")
        #expect(text.status == 0, "\(text.errors)")
        let (result, records) = try drill("web", "app", "--keep")
        #expect(result.status == 0, "\(result.errors)")
        let record = try #require(records.first)
        let place = try #require((record["facts"] as? [String: String])?["scratch.kept"])
        #expect(text.output.contains("kept      \(drill.scratch)/holdfast-drill-"), "\(text.output)")
        #expect(place.hasPrefix(drill.scratch) && DrillRun.findings(record).contains("holdfast drill --clean"))
        #expect((record["environment"] as? [String: Any])?["teardownAt"] == nil)
        let source = FileManager.default.contents(atPath: drill.run.directory.path + "/source/first")
        #expect(FileManager.default.contents(atPath: place + "/web/data/first") == source && source != nil)
        #expect(try drill("web").result.status == 0)
        #expect(drill.leftovers.count == 2)

        // From anywhere, since the state directory knows where they are; nothing of the repository is needed.
        var stranger = drill.run
        stranger.password = nil
        let elsewhere = drill.run.directory.path + "/elsewhere"
        #expect(mkdir(elsewhere, 0o755) == 0)
        let words = ["drill", "--clean", "--json", "--scratch", elsewhere]
        let cleaned = try stranger.start(words, naming: false).finish()
        #expect(cleaned.status == 0, "\(cleaned.errors)")
        #expect(try (cleaned.json()["removed"] as? [String])?.contains(place) == true)
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        let again = try stranger.start(words, naming: false).finish()
        let removed = try again.json()["removed"] as? [String]
        #expect(again.status == 0 && removed == [])
    }

    @Test("--clean takes nothing away that was not kept, and goes with nothing else")
    func careful() throws {
        let drill = try prepared()
        #expect(try drill.run("drill", "web", "--scratch", drill.scratch, "--keep").status == 0)
        // Of somebody else, or of nobody: without the mark it is no kept copy.
        let foreign = drill.scratch + "/holdfast-drill-foreign"
        #expect(mkdir(foreign, 0o755) == 0)
        for (name, mode) in [("owner", "x"), ("precious", "y")] {
            try Data(mode.utf8).write(to: URL(fileURLWithPath: foreign + "/" + name))
        }
        #expect(try drill.run("drill", "--clean", "--scratch", drill.scratch).status == 0)
        #expect(drill.leftovers == ["holdfast-drill-foreign"])
        for words in [["web"], ["--keep"], ["--point", "latest"], ["--sabotage", "page"], ["--evidence", "x"]] {
            #expect(try drill.run.start(["drill", "--clean"] + words).finish().status == 64, "\(words)")
        }
    }

    @Test("that fails leaves them too, and one that is interrupted does not")
    func ended() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {web: {url: 'dir:source'}}
            drills:
              bad: {systems: {web: {checks: {no: {command: ['false']}}}}}
              long: {systems: {web: {checks: {wait: {command: [sleep, '61']}}}}}

            """)
        let (result, records) = try drill("bad", "--keep")
        #expect(result.status == 4 && drill.leftovers.count == 1, "\(result.errors)")
        #expect((records.first?["facts"] as? [String: String])?["scratch.kept"] != nil)
        let running = try drill.run.start(["drill", "long", "--keep", "--scratch", drill.scratch])
        running.waitUntilItCatches(SIGINT)
        while running.process.isRunning, !drill.journalText.contains("validate of web") { pause(.milliseconds(5)) }
        running.send(SIGINT)
        #expect(try running.finish().status == 130)
        #expect(drill.leftovers.count == 1)
    }
}
