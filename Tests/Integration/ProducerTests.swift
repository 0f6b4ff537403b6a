// Producers behind stdin:NAME, and keys with few rights, by the real program.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("A backup", .waiting)
struct ProducerTests {
    @Test("of a producer that fails, is killed or prints too little commits nothing")
    func failingProducer() throws {
        let run = ProgramRun()
        try run.makeRepository()
        let failures = [
            ["--", "sh", "-c", "echo data; exit 1"], ["--", "sh", "-c", "echo data; kill -9 $$"], ["--", "true"],
            ["--", "/nonexistent/program"], ["--min-size", "1K", "--", "echo", "data"], [],
        ]
        for words in failures {
            let result = try run.start(["backup", "stdin:x", "--json"] + words).finish()
            #expect(result.status == 1, "\(words): \(result.errors)")
            #expect(try result.json()["schema"] as? String == "holdfast.error/1")
        }
        for name in ["stdin:.", "stdin:..", "stdin:" + String(repeating: "n", count: 256)] {
            #expect(try run("backup", name, "--", "echo", "data").status == 64, "\(name)")
        }
        #expect(try run.snapshotIDs().isEmpty)
        #expect(try run("backup", "stdin:x", "--", "echo", "data").status == 0)
        #expect(try run("dump", "latest", "x").output == "data\n")
    }

    @Test("starts its producer without the password")
    func environment() throws {
        let run = ProgramRun()
        try run.makeRepository()
        let script = "env; cat /proc/$PPID/environ; tr '\\0' ' ' < /proc/$PPID/cmdline"
        let result = try run("backup", "stdin:x", "--", "sh", "-c", script)
        #expect(result.status == 0, "\(result.errors)")
        let seen = try run("dump", "latest", "x").output
        #expect(seen.contains("HOLDFAST_REPO"))
        #expect(!seen.contains("integration"), "the password is in the environment")
    }

    @Test("by a writer's key is restored by the admin's, and by no one with less")
    func writerKey() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/a", 200_000, seed: 4)
        try run.makeRepository()
        let added = try run(
            "keys", "add", "--role", "writer", "--label", "web", "--source", "web", "--new-password-file",
            try run.file("writer.password", "writer's\n"))
        #expect(added.status == 0, "\(added.errors)")
        var writer = run
        writer.password = "writer's"
        #expect(try writer("backup", "dir:source", "--source", "web").status == 0)
        let again = try writer("backup", "dir:source", "--source", "web", "--reread", "--json").json()
        #expect(again["bytesNew"] as? Int == 0)
        #expect(try writer("backup", "dir:source", "--source", "mail").status == 12)
        #expect(try writer("restore", "latest", "--to", "dir:out").status == 12)
        #expect(try writer("dump", "latest", "a").status == 12)
        #expect(try writer("forget", "--keep-last", "1").status == 12)
        #expect(try writer("prune").status == 12)
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/out"))
        #expect(try run.restoresLatest(as: "source", into: "admin"))
    }
}
