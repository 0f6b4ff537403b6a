// Streams given back to programs, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A stream that is given back to a command", .waiting)
struct CommandRestoreTests {
    private static let content = (UInt32(0)..<300_000).map { "\($0 &* 2_654_435_761)\n" }.joined()

    /// A run with a source whose dump is `dump` and whose restore is the script `restore`.
    private func prepared(_ restore: String) throws -> ProgramRun {
        var run = ProgramRun()
        let data = try run.file("live", Self.content)
        let file = """
            repositories: {main: {location: '\(run.repository)'}}
            sources:
              shop:
                command: {dump: [cat, '\(data)'], restore: [sh, -c, '\(restore)'], file: shop.dump}
              plain:
                command: {dump: [echo, x]}

            """
        run.variables["HOLDFAST_CONFIG"] = try run.file("holdfast.yaml", file)
        #expect(try run("init", naming: false).status == 0)
        let taken = try run("backup", "shop", naming: false)
        #expect(taken.status == 0, "\(taken.errors)")
        return run
    }

    private func text(_ run: ProgramRun, _ name: String) -> String {
        (try? String(contentsOfFile: run.directory.path + "/" + name, encoding: .utf8)) ?? ""
    }

    @Test("reaches the one of the configuration whole, and what it printed is told")
    func configured() throws {
        let run = try prepared("cat > back; echo taken; echo a word >&2")
        for target in ["command:", "command:shop"] {
            unlink(run.directory.path + "/back")
            let restored = try run("restore", "latest:shop", "--to", target, naming: false)
            #expect(restored.status == 0, "\(restored.errors)")
            #expect(text(run, "back") == text(run, "live"))
            #expect(restored.errors.contains("exited 0") && restored.errors.contains("printed: taken"))
            #expect(restored.errors.contains("warning: stderr: sh printed: a word"), "\(restored.errors)")
        }
        let other = try run(
            "restore", "latest:shop", "--to", "command:", "--", "tee", "other", "--", "--more", naming: false)
        #expect(other.status == 0, "\(other.errors)")
        #expect(text(run, "other") == text(run, "live") && text(run, "--more") == text(run, "live"))
        let report = try run("restore", "latest:shop", "--to", "command:", "--json", naming: false).json()
        #expect(report["bytesWritten"] as? Int == Self.content.utf8.count)
    }

    @Test(
        "is a failure when the command fails, does not read all, or is killed",
        arguments: [
            ("cat > back; echo why >&2; exit 5", "exit status 5", "why"),
            ("head -c 10 > back", "stopped reading", "before the end of the stream"),
            ("head -c 10 > back; echo full >&2; exit 2", "exit status 2", "full"),
            ("exec <&-; sleep 30", "stopped reading", "Let it read"),
            ("kill -9 $$", "signal 9", "target-failed"),
        ])
    func failures(script: String, reason: String, detail: String) throws {
        let run = try prepared(script)
        let failed = try run("restore", "latest:shop", "--to", "command:", "--json", naming: false)
        #expect(failed.status == 1)
        #expect(failed.errors.contains(reason), "\(failed.errors)")
        #expect((failed.errors + failed.output).contains(detail), "\(failed.errors) \(failed.output)")
    }

    @Test("does not wait for a server that the command leaves behind with its output")
    func daemon() throws {
        let run = try prepared("cat > back; echo taken; (sleep 300; touch late) & echo $! > pid")
        let restored = try run("restore", "latest:shop", "--to", "command:", naming: false)
        #expect(restored.status == 0 && restored.errors.contains("printed: taken"), "\(restored.errors)")
        #expect(text(run, "back") == text(run, "live"))
        let child = try #require(Int32(text(run, "pid").trimmingCharacters(in: .whitespacesAndNewlines)))
        // It runs still, so that nobody waited for its end.
        #expect(kill(child, SIGKILL) == 0 && text(run, "late").isEmpty)
    }

    @Test("never shows the command an end when a piece of it is damaged")
    func damaged() throws {
        let run = try prepared("cat > back; touch ended")
        let packs = run.repository + "/packs"
        for name in FileManager.default.enumerator(atPath: packs)?.compactMap({ $0 as? String }) ?? [] {
            let path = packs + "/" + name
            guard let file = FileHandle(forUpdatingAtPath: path) else { continue }
            let size = try file.seekToEnd()
            // Behind the first segment, so that the pack opens.
            guard size > 2000 else { continue }
            try file.seek(toOffset: size / 2)
            try file.write(contentsOf: Data([0, 1, 2, 3, 4, 5, 6, 7]))
            try file.close()
        }
        let failed = try run("restore", "latest:shop", "--to", "command:", naming: false)
        #expect(failed.status == 1, "\(failed.errors)")
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/ended"))
    }

    @Test("of a directory is a tar archive, and what cannot be meant is refused before anything is started")
    func uses() throws {
        let run = try prepared("cat > back")
        mkdir(run.directory.path + "/tree", 0o755)
        _ = try run.file("tree/one", "1")
        mkdir(run.directory.path + "/out", 0o755)
        #expect(try run("backup", "dir:tree", "--source", "tree").status == 0)
        let unpacked = try run("restore", "latest:tree", "--to", "command:", "--", "tar", "-xC", "out")
        #expect(unpacked.status == 0 && text(run, "out/one") == "1", "\(unpacked.errors)")
        let refusals: [([String], Int32, String)] = [
            (["restore", "latest:tree", "--to", "command:"], 64, "no source `tree`"),
            (["restore", "latest:shop", "--to", "command:plain"], 64, "no command that restores"),
            (["restore", "latest:shop", "--to", "command:shop", "--", "cat"], 64, "both a source and a command"),
            (["restore", "latest:shop", "--to", "dir:x", "--", "cat"], 64, "goes with --to command:"),
            (["restore", "latest:shop", "--to", "command:", "--", "no-such-program"], 1, "there is no program"),
            (
                ["restore", "latest:shop", "--to", "command:", "--include", "/x", "--", "cat"], 64,
                "a part of a snapshot"
            ),
        ]
        for (words, status, reason) in refusals {
            let refused = try run.start(words).finish()
            #expect(refused.status == status && refused.errors.contains(reason), "\(words): \(refused.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/back"))
    }
}
