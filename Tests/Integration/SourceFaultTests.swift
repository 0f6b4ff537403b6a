// Sources that cannot be read or do not hold still, and keys without the right, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("With a source", .waiting)
struct SourceFaultTests {
    @Test("of which parts cannot be read, those are named, the status is 3, and the rest is committed")
    func unreadable() throws {
        var run = ProgramRun()
        try run.makeDirectory("source/closed")
        try run.randomFile("source/first", 300_000, seed: 31)
        try run.randomFile("source/locked", 1000, seed: 32)
        try run.randomFile("source/closed/inside", 1000, seed: 33)
        try run.makeRepository()
        let place = run.directory.path
        if geteuid() == 0 {
            // To root all files are readable, so another user runs the program.
            run.wrapper = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            try #require(FileManager.default.isExecutableFile(atPath: run.wrapper[0]))
            chmod(place, 0o755)
            for path in [run.repository] + objectsAndDirectories(run.repository) { chown(path, 65534, 65534) }
        }
        chmod(place + "/source/locked", 0)
        chmod(place + "/source/closed", 0)
        defer { chmod(place + "/source/closed", 0o755) }
        let partial = try run("backup", "dir:source", "--source", "web", "--json")
        #expect(partial.status == 3, "\(partial.errors)")
        let named = try #require(try partial.json()["unreadable"] as? [[String: Any]])
        #expect(
            Set(named.compactMap { $0["path"] as? String }) == [place + "/source/locked", place + "/source/closed"])
        #expect(partial.errors.contains("source/locked: ") && partial.errors.contains("source/closed: "))
        let listed = try run("snapshots", "--json")
        #expect(listed.output.contains("\"flags\":[\"partial\"]"), "\(listed.output)")
        run.wrapper = []
        let restored = try run("restore", "latest", "--to", "dir:out")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(FileManager.default.contentsEqual(atPath: place + "/source/first", andPath: place + "/out/first"))
        #expect(!FileManager.default.fileExists(atPath: place + "/out/locked"))
    }

    private func objectsAndDirectories(_ place: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
        return names.map { place + "/" + $0 }
    }

    @Test("file that shrinks while it is read, it is named, and the others are committed")
    func shrinking() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/log", 4 << 20, seed: 34)
        try run.randomFile("source/whole", 100_000, seed: 35)
        try run.makeRepository()
        let backup = try run.start(["backup", "dir:source", "--limit-read", "2M", "--json"])
        #expect(backup.waitUntilItOpens(run.directory.path + "/source/log"))
        truncate(run.directory.path + "/source/log", 1000)
        let result = try backup.finish()
        #expect(result.status == 3, "\(result.errors)")
        let named = try #require(try result.json()["unreadable"] as? [[String: Any]])
        #expect(named.map { $0["reason"] as? String } == ["the file shrank while it was read"])
        #expect(try run("ls", "latest").output == "whole\n")
        #expect(try run("backup", "dir:source").status == 0)
        #expect(try run.restoresLatest(as: "source", into: "out"))
    }

    @Test("file that grows while it is read, it is kept as long as it was, and read again by the next run")
    func growing() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/log", 4 << 20, seed: 36)
        let log = URL(fileURLWithPath: run.directory.path + "/source/log")
        let before = try Data(contentsOf: log)
        try run.makeRepository()
        let backup = try run.start(["backup", "dir:source", "--limit-read", "2M", "--json"])
        #expect(backup.waitUntilItOpens(log.path))
        let file = try FileHandle(forWritingTo: log)
        try file.seekToEnd()
        try file.write(contentsOf: Data(repeating: 7, count: 1 << 20))
        try file.close()
        let result = try backup.finish()
        #expect(result.status == 0, "\(result.errors)")
        #expect(try run("restore", "latest", "--to", "dir:first").status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: run.directory.path + "/first/log")) == before)
        #expect(try run("backup", "dir:source").status == 0)
        #expect(try run.restoresLatest(as: "source", into: "second"))
    }

    @Test("and a key of each role without the right, every refusal is status 12 and changes nothing")
    func rights() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/a", 100_000, seed: 37)
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let refused: [String: [[String]]] = [
            "maintainer": [
                ["backup", "dir:source", "--source", "web"], ["restore", "latest", "--to", "dir:out"],
                ["dump", "latest", "a", "--output", "dumped"], ["keys", "rotate"],
            ],
            "restorer": [
                ["backup", "dir:source", "--source", "web"], ["prune"], ["forget", "--keep-last", "1"],
                ["keys", "rotate"],
            ],
        ]
        for (role, verbs) in refused {
            let file = try run.file(role + ".password", role)
            #expect(
                try run("keys", "add", "--role", role, "--label", role, "--new-password-file", file).status == 0)
            var other = run
            other.password = role
            let before = objectsAndDirectories(run.repository).sorted()
            for verb in verbs {
                let result = try other.start(verb + ["--json"]).finish()
                #expect(result.status == 12, "\(role) \(verb): \(result.status) \(result.errors)")
                #expect(try result.json()["code"] as? String == "not-permitted", "\(role) \(verb)")
            }
            #expect(objectsAndDirectories(run.repository).sorted() == before, "\(role)")
        }
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/out"))
    }
}
