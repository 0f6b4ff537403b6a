// The frame of the command line: exit statuses, failures, help and key slots, by the real program.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("The program", .waiting)
struct FrameTests {
    @Test("init makes a repository once, and snapshots lists none in it")
    func initialise() throws {
        let run = ProgramRun()
        let made = try run("init", "--json")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try made.json()["schema"] as? String == "holdfast.init/1")
        let again = try run("init", "--json")
        #expect(again.status == 1)
        #expect(try again.json()["code"] as? String == "repository-exists")
        #expect(again.errors.hasPrefix("holdfast: there is a repository"))
        #expect(again.errors.contains("\nhint: "))
        let list = try run("snapshots", "--json")
        #expect(list.status == 0)
        #expect((try list.json()["snapshots"] as? [Any])?.count == 0)
        var stranger = run
        stranger.password = "wrong"
        let refused = try stranger("snapshots", "--json")
        #expect(refused.status == 12)
        #expect(try refused.json()["code"] as? String == "wrong-key")
    }

    @Test("no repository, no password and a wrong command line have statuses of their own")
    func statuses() throws {
        var run = ProgramRun()
        let missing = try run("snapshots", "--json")
        #expect(missing.status == 10)
        #expect(try missing.json()["schema"] as? String == "holdfast.error/1")
        let usage = try run("--json", "nonsense")
        #expect(usage.status == 64)
        #expect(try usage.json()["code"] as? String == "usage")
        #expect(try run("snapshots", naming: false).status == 64)
        let secret = try run("snapshots", "--repo", "sftp://user:hunter2@host/path")
        #expect(secret.status == 64)
        #expect(!(secret.errors + secret.output).contains("hunter2"))
        run.password = nil
        let silent = try run("init")
        #expect(silent.status == 64)
        #expect(silent.errors.contains("HOLDFAST_PASSWORD_FILE"))
    }

    @Test("a writer's key opens the repository, hands out no keys, and opens nothing once it is removed")
    func keys() throws {
        let run = ProgramRun()
        #expect(try run("init").status == 0)
        let passwordFile = try run.file("writer.password", "writer's\n")
        let added = try run(
            "keys", "add", "--role", "writer", "--label", "web", "--source", "web", "--new-password-file",
            passwordFile, "--json")
        #expect(added.status == 0, "\(added.errors)")
        let slot = try #require(try added.json()["slot"] as? String)
        var writer = run
        writer.password = nil
        writer.variables["HOLDFAST_PASSWORD_FILE"] = passwordFile
        let list = try writer("keys", "list", "--json")
        #expect(list.status == 0)
        let keys = try #require(try list.json()["keys"] as? [[String: Any]])
        #expect(keys.map { $0["role"] as? String } == ["admin", "writer"])
        #expect(keys.map { $0["isCurrent"] as? Bool } == [false, true])
        let refused = try writer("keys", "add", "--role", "admin", "--label", "x", "--new-key-file", "x.key", "--json")
        #expect(refused.status == 12)
        #expect(try refused.json()["code"] as? String == "not-permitted")
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/x.key"))
        #expect(try writer("keys", "rotate").status == 12)
        #expect(try writer("keys", "remove", slot).status == 12)
        let removed = try run("keys", "remove", String(slot.prefix(8)), "--json")
        #expect(removed.status == 0, "\(removed.errors)")
        #expect(try removed.json()["epoch"] as? Int == 2)
        #expect(try writer("snapshots").status == 12)
        #expect(try run("keys", "remove", slot).status == 64)
        #expect(try run("snapshots").status == 0)
    }

    @Test("a rotation starts an epoch, and a new password takes the place of the old one")
    func rotate() throws {
        let run = ProgramRun()
        let keyFile = run.directory.path + "/raw.key"
        let made = try run("init", "--raw-key-file", keyFile)
        #expect(made.status == 0, "\(made.errors)")
        var holder = run
        holder.password = nil
        holder.variables["HOLDFAST_KEY_FILE"] = keyFile
        let rotated = try holder("keys", "rotate", "--json")
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(try rotated.json()["epoch"] as? Int == 2)
        let changed = try holder(
            "keys", "rotate", "--password", "--new-password-file", try run.file("p", "integration"))
        #expect(changed.status == 0, "\(changed.errors)")
        #expect(try holder("snapshots").status == 12)
        #expect(try run("snapshots").status == 0)
        let keys = try #require(try run("keys", "list", "--json").json()["keys"] as? [[String: Any]])
        #expect(keys.map { $0["opensWith"] as? String } == ["password"])
    }

    @Test("two passwords are refused before a command for one of them is started")
    func twoPasswords() throws {
        var run = ProgramRun()
        let witness = run.directory.path + "/started"
        run.variables["HOLDFAST_PASSWORD_COMMAND"] = "touch '\(witness)'"
        #expect(try run("init").status == 64)
        #expect(!FileManager.default.fileExists(atPath: witness))
    }

    @Test("a command's first line is the password")
    func passwordCommand() throws {
        var run = ProgramRun()
        run.password = nil
        run.variables["HOLDFAST_PASSWORD_COMMAND"] = "printf 'integration\\nmore'"
        #expect(try run("init").status == 0)
        #expect(try ProgramRun(directory: run.directory)("snapshots").status == 0)
    }

    @Test("the version is one line, and the word for it is the same everywhere")
    func version() throws {
        let result = try ProgramRun()("--version")
        #expect(result.status == 0)
        #expect(result.output.wholeMatch(of: /holdfast \d+\.\d+\.\d+\n/) != nil)
    }

    @Test("every verb has help with a discussion, every option has help, and completions are made for three shells")
    func help() throws {
        let run = ProgramRun()
        let dump = try run("--experimental-dump-help")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(dump.output.utf8)) as? [String: Any])
        var verbs: [String] = []
        func visit(_ command: [String: Any], _ path: String) {
            let name = path + (command["commandName"] as? String ?? "")
            if name.hasSuffix(" help") { return }
            verbs.append(name)
            #expect((command["abstract"] as? String)?.hasSuffix(".") == true, "\(name)")
            let discussion = command["discussion"] as? String ?? ""
            #expect(!discussion.isEmpty, "\(name)")
            let children = command["subcommands"] as? [[String: Any]] ?? []
            let isGroup = children.contains { $0["commandName"] as? String != "help" }
            #expect(isGroup || discussion.contains("Example"), "\(name) has no example")
            for argument in command["arguments"] as? [[String: Any]] ?? [] {
                #expect((argument["abstract"] as? String)?.isEmpty == false, "\(name): \(argument)")
            }
            for child in children { visit(child, name + " ") }
        }
        visit(try #require(root["command"] as? [String: Any]), "")
        for verb in ["init", "snapshots", "keys list", "keys add", "keys remove", "keys rotate"] {
            #expect(verbs.contains("holdfast " + verb))
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = try run("--generate-completion-script", shell)
            #expect(script.status == 0)
            #expect(script.output.contains("new-password-file"))
        }
    }
}
