// A configuration file and the verbs that use it, by the real program.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("The configuration file", .waiting)
struct ConfigurationProgramTests {
    /// A configuration with two sources of directories and a command, its repository made.
    private func prepared(_ more: String = "") throws -> ProgramRun {
        var run = ProgramRun()
        run.password = nil
        try run.makeDirectory("site/cache")
        try run.makeDirectory("conf")
        try run.randomFile("site/first", 100_000, seed: 1)
        try run.randomFile("site/cache/second", 1000, seed: 2)
        try run.randomFile("conf/third", 1000, seed: 3)
        _ = try run.file("password", "integration\n")
        _ = try run.file("holdfast.yaml", Self.text + more)
        let made = try run("init", naming: false)
        try #require(made.status == 0, "\(made.errors)")
        return run
    }

    private static let text = """
        repositories:
          main:
            location: repository
            password: file:password
            mirrors: [second, dir:third]
        defaults:
          owner: team@example.com
          tags: {env: test}
        sources:
          site:
            url: dir:site
            excludes: [cache/]
            rpo: 24h
            opensWith: [env:SITE]
            retention: {last: 1}
          conf:
            url: dir:conf
          shop:
            command: {dump: [echo, content], file: shop.txt}

        """

    private func snapshots(_ run: ProgramRun) throws -> [[String: Any]] {
        try #require(try run("snapshots", "--json", naming: false).json()["snapshots"] as? [[String: Any]])
    }

    @Test("all sources are backed up with what the file says of them")
    func backup() throws {
        let run = try prepared()
        let result = try run("backup", "--all", "--tag", "run=1", "--json", naming: false)
        #expect(result.status == 0, "\(result.errors)")
        let runs = try #require(try result.json()["runs"] as? [[String: Any]])
        #expect(runs.compactMap { $0["source"] as? String } == ["site", "conf", "shop"])
        let snapshots = try snapshots(run)
        #expect(Set(snapshots.compactMap { $0["source"] as? String }) == ["site", "conf", "shop"])
        let site = try #require(snapshots.first { $0["source"] as? String == "site" })
        #expect(site["tags"] as? [String: String] == ["env": "test", "run": "1"])
        #expect(site["facts"] as? [String: String] == ["declared.owner": "team@example.com", "declared.rpo": "1d"])
        #expect(site["opensWith"] as? [String] == ["env:SITE"])
        let listed = try run("ls", "latest:site", "-r", naming: false)
        let plain = listed.status == 0 ? listed : try run("ls", "latest:site", naming: false)
        #expect(plain.output.contains("first") && !plain.output.contains("second"), "\(plain.output)\(plain.errors)")
        #expect(try run("dump", "latest:shop", "shop.txt", naming: false).output == "content\n")
    }

    @Test("a source that fails makes the status 3, and the others are committed")
    func partial() throws {
        let run = try prepared("  broken:\n    command: {dump: ['false']}\n")
        let result = try run("backup", "broken", "conf", "--json", naming: false)
        #expect(result.status == 3, "\(result.errors)")
        #expect(result.errors.contains("source: broken"), "\(result.errors)")
        let runs = try #require(try result.json()["runs"] as? [[String: Any]])
        #expect((runs[0]["error"] as? [String: Any])?["code"] as? String == "source-failed")
        #expect((runs[1]["backup"] as? [String: Any])?["snapshot"] is String)
        #expect(try snapshots(run).count == 1)
        #expect(try run("backup", "broken", naming: false).status == 1)
    }

    @Test("forget without rules goes by the file, and leaves sources without rules alone")
    func forget() throws {
        let run = try prepared()
        for _ in 0..<3 { #expect(try run("backup", "site", "conf", naming: false).status == 0) }
        let result = try run("forget", "--json", naming: false)
        #expect(result.status == 0, "\(result.errors)")
        let names = try snapshots(run).compactMap { $0["source"] as? String }
        #expect(names.filter { $0 == "site" }.count == 1)
        #expect(names.filter { $0 == "conf" }.count == 3)
        #expect(try run("forget", "--source", "conf", naming: false).status == 64)
    }

    @Test("mirror without --to brings every mirror of the file up to date; one that fails makes the status 3")
    func mirror() throws {
        let run = try prepared()
        #expect(try run("backup", "conf", naming: false).status == 0)
        #expect(
            try run("mirror", "--repo", "main", "--json", naming: false).json()["schema"] as? String
                == "holdfast.mirrors/1")
        for place in ["./second", "./third"] {
            var there = run
            there.password = "integration"
            #expect(try there("check", "--repo", place, naming: false).status == 0)
        }
        try FileManager.default.removeItem(atPath: run.directory.path + "/second")
        _ = try run.file("second", "not a directory")
        let broken = try run("mirror", naming: false)
        #expect(broken.status == 3, "\(broken.output)\(broken.errors)")
    }

    @Test("every error is told with file, line and column, once, and as one object with --json")
    func errors() throws {
        let run = try prepared()
        _ = try run.file("holdfast.yaml", Self.text + "  bad:\n    urll: dir:x\n    rpo: soon\n")
        let path = run.directory.path + "/holdfast.yaml"
        let checked = try run("config", "check", path, naming: false)
        #expect(checked.status == 64)
        #expect(
            checked.errors.contains("\(path):21:5: unknown key `urll` in source `bad`; did you mean `url`?\n"),
            "\(checked.errors)")
        #expect(checked.errors.contains("\(path):22:10: `rpo`: expected a duration"), "\(checked.errors)")
        let json = try run("config", "check", "--json", naming: false)
        #expect(json.status == 64)
        #expect((try json.json()["problems"] as? [Any])?.count == 3)
        let verb = try run("backup", "site", "--json", naming: false)
        #expect(verb.status == 64)
        #expect(try verb.json()["code"] as? String == "configuration")
        #expect(verb.errors.contains("holdfast: holdfast.yaml:21:5: unknown key"), "\(verb.errors)")
    }

    @Test("the option goes before the variable, the variable before the file beside")
    func order() throws {
        var run = try prepared()
        let named = try run.file("named.yaml", "sources: {named: {url: 'dir:/n'}}")
        let variable = try run.file("variable.yaml", "sources: {variable: {url: 'dir:/v'}}")
        #expect(try run("config", "check", naming: false).output.contains("source site"))
        run.variables["HOLDFAST_CONFIG"] = variable
        #expect(try run("config", "check", naming: false).output.contains("source variable"))
        #expect(try run("config", "check", "--config", named, naming: false).output.contains("source named"))
        run.variables["HOLDFAST_CONFIG"] = run.directory.path + "/absent.yaml"
        #expect(try run("config", "check", naming: false).status == 64)
    }

    @Test("a password out of a variable that the file names does not reach the producer")
    func variable() throws {
        var run = ProgramRun()
        run.password = nil
        run.variables["BACKUP_PASSWORD"] = "integration"
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories: {main: {location: repository, password: env:BACKUP_PASSWORD}}
            sources: {shop: {command: {dump: [sh, -c, 'echo "<$BACKUP_PASSWORD>"']}}}
            """)
        #expect(try run("init", naming: false).status == 0)
        #expect(try run("backup", "shop", naming: false).status == 0)
        #expect(try run("dump", "latest:shop", "shop", naming: false).output == "<>\n")
    }

    @Test("a word that is no source, and options that cannot be meant, are usage errors")
    func usage() throws {
        let run = try prepared()
        let unknown = try run("backup", "stie", naming: false)
        #expect(unknown.status == 64)
        #expect(unknown.errors.contains("did you mean `site`?"), "\(unknown.errors)")
        for arguments in [
            ["backup", "site", "dir:conf"], ["backup", "site", "site"], ["backup", "--all", "site"],
            ["backup", "site", "--source", "x"], ["backup", "shop", "--dry-run"],
            ["backup", "site", "--min-size", "1M"],
        ] {
            #expect(try run.start(arguments, naming: false).finish().status == 64, "\(arguments)")
        }
        #expect(try ProgramRun()("backup", "site", naming: false).status == 64)
    }

    @Test("deep nesting is an error and no crash")
    func nesting() throws {
        let run = ProgramRun()
        let path = try run.file("deep.yaml", String(repeating: "[", count: 100_000))
        #expect(try run("config", "check", path).status == 64)
        let block = try run.file("block.yaml", String(repeating: "- ", count: 900) + "x\n")
        #expect(try run("config", "check", block).status == 64)
    }

    @Test("the example configuration runs, with its paths moved below a directory of its own")
    func example() throws {
        var run = ProgramRun()
        run.password = nil
        for directory in ["home", "srv/web", "etc/web", "etc/shop", "mnt/second-disk", "var/lib/holdfast", "bin"] {
            try run.makeDirectory(directory)
        }
        try run.randomFile("home/file", 1000, seed: 1)
        try run.randomFile("srv/web/page", 1000, seed: 2)
        _ = try run.file("etc/password", "integration\n")
        let program = try run.file("bin/pg_dump", "#!/bin/sh\necho dumped \"$@\"\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        run.variables["HOLDFAST_CONFIG"] = run.directory.path + "/etc/holdfast.yaml"
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        var text = try String(contentsOf: root.appendingPathComponent("schedules/holdfast.yaml"), encoding: .utf8)
        text = text.replacingOccurrences(of: "/etc/holdfast/password", with: "/etc/password")
        for place in ["/var", "/mnt", "/home", "/srv", "/etc"] {
            text = text.replacingOccurrences(of: ":\(place)", with: ":\(run.directory.path)\(place)")
            text = text.replacingOccurrences(of: " \(place)", with: " \(run.directory.path)\(place)")
        }
        text = text.replacingOccurrences(of: "[pg_dump", with: "[\(program)")
        _ = try run.file("etc/holdfast.yaml", text)
        #expect(try run("init", naming: false).status == 0)
        let backup = try run("backup", "--all", naming: false)
        #expect(backup.status == 0, "\(backup.errors)")
        #expect(try snapshots(run).count == 3)
        #expect(try run("forget", "--prune", naming: false).status == 0)
        #expect(try run("mirror", naming: false).status == 0)
        #expect(try run("check", "--read-data", naming: false).status == 0)
        let dumped = try run("dump", "latest:shop", "shop.dump", naming: false)
        #expect(dumped.output == "dumped --format=custom --compress=0 shop\n")
    }
}
