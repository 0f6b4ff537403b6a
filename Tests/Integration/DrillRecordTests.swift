// What a drill's record holds when what it tells of is larger than it can hold, or was left by another process.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("The record of a drill", .waiting)
struct DrillRecordTests {
    @Test("is left with its verdict, whatever a row of the database holds")
    func longCharacters() throws {
        let drill = try DrillRun()
        // One character of 40,000 accents, which are 80,000 bytes.
        let text = "a" + String(repeating: "\u{301}", count: 40_000)
        try drill.run.sqlite("app.db", "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('\(text)');")
        #expect(try drill.run("backup", "sqlite:app.db", "--source", "app").status == 0)
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources:
              app:
                url: sqlite:app.db
            drills:
              long:
                systems:
                  app:
                    source: app
                    checks:
                      text: {sql: SELECT a FROM t, expect: b}
            """)
        let failed = try drill("--config", drill.run.directory.path + "/holdfast.yaml", "long")
        #expect(failed.result.status == 4, "\(failed.result.errors)")
        #expect(failed.records.first?["verdict"] as? String == "failed")
        #expect(drill.journals.isEmpty && drill.leftovers.isEmpty)
        let next = try drill("app")
        #expect(next.result.status == 0 && next.records.count == 1, "\(next.result.output)")
    }

    @Test("is not taken from a directory that others may write to")
    func foreignJournal() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/first", 3000, seed: 1)
        #expect(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        let state = drill.run.directory.path + "/.local/state/holdfast/drills"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        chmod(state, 0o777)
        let refused = try drill("web")
        #expect(refused.result.status == 1, "\(refused.result.output)")
        #expect(refused.result.output.contains("others may write there"), "\(refused.result.output)")
        chmod(state, 0o700)
        #expect(try drill("web").result.status == 0)
    }
}
