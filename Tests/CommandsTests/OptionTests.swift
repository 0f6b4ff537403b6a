// What the command line takes and refuses.

import ArgumentParser
import Logging
import Primitives
import Repository
import Testing

@testable import Commands

/// Variables from a table.
func variables(_ values: [String: String]) -> Variables { Variables { values[$0] } }

/// The code of the failure that `body` throws.
func code(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch {
        return (error as? HoldfastError)?.code
    }
}

@Suite("Options")
struct OptionTests {
    private func snapshots(_ arguments: String...) throws -> Snapshots {
        try #require(try Holdfast.parseAsRoot(arguments) as? Snapshots)
    }

    private func context(_ arguments: [String], _ values: [String: String] = [:]) throws -> CommandContext {
        CommandContext(
            options: try GlobalOptions.parse(arguments), output: Output(isJSON: false, isQuiet: true),
            environment: Environment(logger: Logger(label: "test")), variables: variables(values),
            runner: SystemProcessRunner(),
            inheritedPassword: nil)
    }

    @Test("global options mean the same before and after the verb")
    func places() throws {
        for verb in [
            try snapshots("--repo", "/a", "--json", "snapshots"), try snapshots("snapshots", "--json", "--repo", "/a"),
            try snapshots("--json", "snapshots", "--repo", "/a"),
        ] {
            #expect(verb.global.repo == "/a")
            #expect(verb.global.json)
            #expect(!verb.global.quiet)
        }
        let nested = try #require(try Holdfast.parseAsRoot(["-q", "keys", "list", "--repo", "/b"]) as? KeysList)
        #expect(nested.global.repo == "/b")
        #expect(nested.global.quiet)
    }

    @Test(
        "what cannot be meant is a usage error",
        arguments: [
            ["nope"], ["snapshots", "--nope"], ["snapshots", "--latest", "0"], ["snapshots", "-q", "-v"],
            ["snapshots", "--no-cache", "--cache-dir", "/a"], ["init", "--compression", "zstd:20"],
            ["init", "--compression", "zlib:0"], ["init", "--compression", "lz4"], ["init", "--label", ""],
            ["keys", "add", "--label", "a"], ["keys", "add", "--role", "revoked", "--label", "a"],
            ["keys", "add", "--role", "restorer", "--label", "a", "--readback"],
            ["keys", "add", "--role", "maintainer", "--label", "a", "--source", "b"],
            ["keys", "add", "--role", "writer", "--label", "a", "--new-key-file", "k", "--new-password-file", "p"],
            ["keys", "rotate", "--new-key-file", "k"], ["keys", "remove"],
            ["backup", "stdin:a", "--exclude", "b"], ["backup", "stdin:a", "--exclude-caches"],
            ["backup", "stdin:a", "--one-file-system"], ["backup", "stdin:a", "--reread"],
            ["backup", "dir:a", "--min-size", "1K"], ["backup", "dir:a", "dir:./b/../a/"], ["backup"],
            ["backup", "/srv/data"], ["config", "check", "a", "--config", "b"],
            ["forget", "01kb", "--source", "web"], ["forget", "01kb", "--hold", "--reason", "r", "--tag", "a=b"],
        ])
    func refused(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try Holdfast.parseAsRoot(arguments) }
        #expect(error.map { Holdfast.exitCode(for: $0).rawValue } == 64)
    }

    @Test("the place of the memory is the option's, else the first that the environment gives, and below no cache")
    func stateDirectory() throws {
        var places = [
            ("HOLDFAST_STATE_DIR", "/own", "/own"), ("STATE_DIRECTORY", "/unit:/second", "/unit"),
            ("XDG_STATE_HOME", "/shared", "/shared/holdfast"), ("HOME", "/home/a", "/home/a/.local/state/holdfast"),
        ]
        let given = try GlobalOptions.parse(["--state-dir", "/given"])
        let plain = try GlobalOptions.parse([])
        var values = Dictionary(uniqueKeysWithValues: places.map { ($0.0, $0.1) })
        values["XDG_CACHE_HOME"] = "/cache"
        #expect(given.stateDirectory(variables(values), isRoot: false) == "/given")
        while let (name, _, expected) = places.first {
            for isRoot in [false, true] {
                #expect(plain.stateDirectory(variables(values), isRoot: isRoot) == expected, "\(name)")
            }
            // An empty value counts as not set, and a relative one of XDG is passed over.
            values[name] = name == "XDG_STATE_HOME" ? "relative" : ""
            places.removeFirst()
        }
        #expect(plain.stateDirectory(variables(values), isRoot: false) == nil)
        #expect(plain.stateDirectory(variables(values), isRoot: true) == "/var/lib/holdfast")
    }

    @Test("the place of the state is the service's for root where there is one and nothing names another")
    func systemState() throws {
        let plain = try GlobalOptions.parse([])
        let home = ["HOME": "/superuser"]
        for (isRoot, isThere, expected) in [
            (true, true, "/var/lib/holdfast"), (true, false, "/superuser/.local/state/holdfast"),
            (false, true, "/superuser/.local/state/holdfast"),
        ] {
            let found = plain.stateDirectory(variables(home), isRoot: isRoot) { path in
                isThere && path == "/var/lib/holdfast/runs.sqlite"
            }
            #expect(found == expected)
        }
        let shared = home.merging(["XDG_STATE_HOME": "/shared"]) { own, _ in own }
        #expect(plain.stateDirectory(variables(shared), isRoot: true) { _ in true } == "/shared/holdfast")
    }

    @Test("verbs take what their help says")
    func accepted() throws {
        let add = try #require(
            try Holdfast.parseAsRoot([
                "keys", "add", "--role", "writer", "--label", "web", "--readback", "--source", "a", "--source", "b",
            ]) as? KeysAdd)
        #expect(add.role == .writer)
        #expect(add.sources == ["a", "b"])
        #expect(add.readback)
        let initial = try #require(try Holdfast.parseAsRoot(["init", "--compression", "auto"]) as? Init)
        #expect("\(initial.compression)" == "auto:3")
        let tagged = try snapshots("snapshots", "--tag", "a=b=c", "--tag", "d")
        #expect(tagged.tags.map(\.key) == ["a", "d"])
        #expect(tagged.tags.map(\.value) == ["b=c", nil])
    }

    @Test("the repository is the option, else the variable, else an error")
    func repository() throws {
        let none = try context([], ["HOLDFAST_REPO": "/b"])
        #expect(try none.place().location == "/b")
        #expect(try context([], ["HOLDFAST_REPO": ""]).namedPlace() == nil)
        #expect(try context(["--repo", "/a"], ["HOLDFAST_REPO": "/b"]).place().location == "/a")
    }

    @Test(
        "a password inside a URL is refused and not repeated",
        arguments: [
            "sftp://user:hunter2@host/path", "https://:hunter2@host", "s3://a:hunter2@b@c/d", "x://u:hunter2@h?q",
        ])
    func passwordInURL(text: String) throws {
        let context = try context(["--repo", text])
        let error = #expect(throws: HoldfastError.self) { try context.place() }
        #expect(error?.code == .usage)
        #expect(error.map { ErrorText.lines($0, verbose: true).joined().contains("hunter2") } == false)
    }

    @Test(
        "other locations pass",
        arguments: ["/a:b@c", "dir:/a://x", "file:///a:b@c", "ssh://user@host/a:b@c", "x://host:22/a@b", "a@b:c"])
    func withoutPassword(text: String) throws { try LocationText.refusePassword(in: text) }

    @Test("the cache is where the nearest word says")
    func cache() throws {
        let none = try GlobalOptions.parse([])
        let all = [
            "HOLDFAST_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/a",
        ]
        #expect(none.cacheDirectory(variables(all)) == "/own")
        #expect(none.cacheDirectory(variables(["XDG_CACHE_HOME": "/xdg", "HOME": "/h"])) == "/xdg/holdfast")
        #expect(none.cacheDirectory(variables(["XDG_CACHE_HOME": "xdg", "HOME": "/h"])) == "/h/.cache/holdfast")
        #expect(none.cacheDirectory(variables([:])) == nil)
        #expect(try GlobalOptions.parse(["--cache-dir", "/o"]).cacheDirectory(variables(all)) == "/o")
        #expect(try GlobalOptions.parse(["--no-cache"]).cacheDirectory(variables(all)) == nil)
    }

    @Test("limits are sizes, threads a number in bounds")
    func transfer() throws {
        let options = try TransferOptions.parse(["--limit-read", "10M", "--limit-write", "1.5K", "--threads", "3"])
        #expect(options.limitRead == .mebi(10))
        #expect(options.limitWrite == ByteCount(1536))
        #expect(options.threads == 3)
        for wrong in [["--limit-read", "0"], ["--limit-write", "ten"], ["--threads", "0"], ["--threads", "257"]] {
            #expect(throws: (any Error).self) { try TransferOptions.parse(wrong) }
        }
    }

    @Test("the identity of a source has whole tags, each once")
    func identity() throws {
        let identity = try SourceIdentity.parse(["--source", "web", "--host", "h", "--tag", "a=1", "--tag", "b="])
        #expect(identity.source == "web")
        #expect(identity.tagsByKey == ["a": "1", "b": ""])
        for wrong in [["--tag", "a"], ["--tag", "=a"], ["--tag", "a=1", "--tag", "a=2"], ["--source", ""]] {
            #expect(throws: (any Error).self, "\(wrong)") { try SourceIdentity.parse(wrong) }
        }
    }
}
