// What can go wrong in a drill, each thing done to the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A drill in which something goes wrong", .waiting)
struct DrillFaultTests {
    /// A repository with snapshots of a directory of some size.
    private func prepared(_ bytes: Int = 2_000_000) throws -> DrillRun {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/first", bytes, seed: 1)
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        return drill
    }

    @Test("with too little room does not begin, and says how much it needs")
    func room() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'dir:source'}}\n"
                + "drills: {small: {systems: {web: {}}, scratch: {disk: 1M}}}\n")
        let (result, records) = try drill("small")
        #expect(result.status == 4, "\(result.errors)")
        #expect(DrillRun.findings(records[0]).contains("of scratch space, and its limit is"))
        #expect(DrillRun.phases(records[0], "web").isEmpty && drill.leftovers.isEmpty)
    }

    @Test("whose check fills the scratch disk over the limit is stopped, and cleaned up")
    func filled() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {web: {url: 'dir:source'}}
            drills:
              fills:
                systems:
                  web:
                    checks:
                      fill:
                        command: [sh, -c, 'head -c 60000000 /dev/zero > "$HOLDFAST_DRILL_DIRECTORY/more"; sleep 60']
                scratch: {disk: 20M}

            """)
        let (result, records) = try drill("fills")
        #expect(result.status == 4, "\(result.errors)")
        #expect(DrillRun.findings(records[0]).contains("over its limit of 20.0 MiB"), "\(records)")
        #expect(drill.leftovers.isEmpty)
    }

    @Test(
        "whose scratch disk is full in the middle fails with evidence, and leaves nothing",
        .enabled(if: CrashTests.mayMount, "mounting a file system is refused here; run the tests as root"))
    func fullDisk() throws {
        let drill = try prepared(3_000_000)
        // In a mount namespace of its own, so that nobody else sees the small file system.
        let mount = "mount -t tmpfs -o size=5m none \(drill.scratch)"
        var run = drill.run
        run.wrapper = ["/usr/bin/unshare", "-m", "sh", "-c", "\(mount) 2>/dev/null || exit 77; exec \"$@\"", "sh"]
        try #require(try run("--version").status == 0)
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {web: {url: 'dir:source'}}
            drills:
              full:
                systems:
                  web:
                    checks:
                      fill: {command: [sh, -c, 'cat /dev/zero > "$HOLDFAST_DRILL_DIRECTORY/more"']}

            """)
        let full = try run("drill", "full", "--scratch", drill.scratch, "--json")
        #expect(full.status == 4 && full.output.contains("No space left"), "\(full.output)")
        run.wrapper[4] = run.wrapper[4].replacingOccurrences(of: "size=5m", with: "size=1m")
        let small = try run("drill", "web", "--scratch", drill.scratch, "--json")
        #expect(small.status == 4 && small.output.contains("are free"), "\(small.output)")
    }

    @Test(
        "whose disk is filled by others while it restores fails with evidence",
        .enabled(if: CrashTests.mayMount, "mounting a file system is refused here; run the tests as root"))
    func filledByOthers() throws {
        let drill = try prepared(6_000_000)
        let mount = "mount -t tmpfs -o size=12m none \(drill.scratch)"
        // What somebody else writes as soon as the copy is there, in the same namespace of mounts.
        let other =
            "(until ls \(drill.scratch)/holdfast-drill-*/web/data >/dev/null 2>&1; do sleep 0.02; done; "
            + "cat /dev/zero > \(drill.scratch)/other 2>/dev/null) &"
        var run = drill.run
        run.wrapper = [
            "/usr/bin/unshare", "-m", "sh", "-c", "\(mount) 2>/dev/null || exit 77; \(other) exec \"$@\"", "sh",
        ]
        let result = try run.start(
            ["drill", "web", "--scratch", drill.scratch, "--limit-read", "2M", "--json"]
        ).finish()
        try #require(result.status != 77)
        #expect(result.status == 4, "\(result.errors)")
        let record = try #require((try result.json()["drills"] as? [[String: Any]])?.first)
        #expect(record["verdict"] as? String == "failed")
        #expect(DrillRun.findings(record).contains("No space left"), "\(DrillRun.findings(record))")
        let member = try #require((record["members"] as? [[String: Any]])?.first)
        #expect((member["facts"] as? [String: String])?["damage"] == nil, "a full disk says nothing of the point")
        #expect(drill.journals.isEmpty)
    }

    @Test(
        "over its time or its memory is stopped",
        arguments: [
            ("time: 2s", "sleep 60", "after its limit of 2s"),
            (
                "memory: 30M", "python3 -c 'x = chr(120) * 200000000; import time; time.sleep(60)'",
                "of memory, over the limit"
            ),
        ])
    func limits(limit: String, command: String, text: String) throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            sources: {web: {url: 'dir:source'}}
            drills:
              limited:
                systems: {web: {checks: {long: {command: [sh, -c, "\(command)"]}, never: {command: ['true']}}}}
                scratch: {\(limit)}

            """)
        let (result, records) = try drill("limited")
        #expect(result.status == 4, "\(result.errors)")
        #expect(DrillRun.findings(records[0]).contains(text), "\(records)")
        #expect(DrillRun.verdicts(records[0])["web/never"] == "notRun")
        #expect(drill.leftovers.isEmpty)
    }

    @Test("of a damaged snapshot names the object")
    func damaged() throws {
        let drill = try prepared(8_000_000)
        var names: [String] = []
        let files = try #require(FileManager.default.enumerator(atPath: drill.run.repository + "/packs"))
        for case let name as String in files {
            let path = drill.run.repository + "/packs/" + name
            let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
            guard size > 1 << 20 else { continue }
            chmod(path, 0o600)
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            try file.seek(toOffset: UInt64(size / 2))
            try file.write(contentsOf: Data(repeating: 7, count: 4096))
            try file.close()
            names.append("packs/" + name)
        }
        let (result, records) = try drill("web")
        #expect(result.status == 4, "\(result.errors)")
        let findings = DrillRun.findings(records[0])
        #expect(names.contains { findings.contains($0) }, "\(findings)")
        #expect(drill.leftovers.isEmpty)
        // And a snapshot that cannot be read at all.
        let snapshots = drill.run.repository + "/snapshots"
        let objects = try #require(FileManager.default.enumerator(atPath: snapshots))
        for case let name as String in objects {
            let path = snapshots + "/" + name
            guard (try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType) == .typeRegular
            else { continue }
            chmod(path, 0o600)
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            try file.seek(toOffset: 200)
            try file.write(contentsOf: Data(repeating: 7, count: 16))
            try file.close()
            names = [name]
        }
        _ = try drill.run.file(
            "holdfast.yaml", "sources: {web: {url: 'dir:source'}}\ndrills: {d: {systems: {web: {}}}}\n")
        let gone = try drill("d")
        #expect(gone.result.status == 4, "\(gone.result.errors)")
        #expect(DrillRun.findings(gone.records[0]).contains(names[0]), "\(DrillRun.findings(gone.records[0]))")
    }

    @Test("whose directory the programs' user cannot reach says so", .enabled(if: geteuid() == 0))
    func closedParent() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'dir:source'}}\n"
                + "drills: {d: {systems: {web: {checks: {look: {command: ['true']}}}}}}\n")
        #expect(try drill("d").result.status == 0)
        chmod(drill.run.directory.path, 0o700)
        let (result, records) = try drill("d")
        #expect(result.status == 4 && result.output.contains("cannot get to"), "\(result.output)")
        #expect(DrillRun.verdicts(records[0])["web/look"] == "failed")
    }

    @Test("two at once both pass, and neither disturbs the other")
    func twoAtOnce() throws {
        let drill = try prepared()
        let words = ["drill", "web", "--scratch", drill.scratch, "--json"]
        let both = try (1...3).map { _ in try drill.run.start(words) }
        for one in both {
            let result = try one.finish()
            #expect(result.status == 0, "\(result.errors)")
        }
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        let list = try #require(try drill.run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]])
        #expect(list.count == 3 && list.allSatisfy { $0["verdict"] as? String == "passed" })
        #expect(try drill.run("evidence", "verify", "latest").status == 0)
    }

    @Test("while the source is backed up, forgotten and pruned passes")
    func besideCollection() throws {
        let drill = try prepared()
        for number in 0..<4 {
            try drill.run.randomFile("source/other", 1_500_000, seed: UInt64(10 + number))
            let running = try drill.run.start(
                ["drill", "web", "--scratch", drill.scratch, "--limit-read", "1M", "--json"])
            // Once a file is there it has chosen its snapshot; it stands in the middle of it while the others work.
            while running.process.isRunning, !drill.holdsFiles { pause(.milliseconds(5)) }
            running.send(SIGSTOP)
            #expect(running.process.isRunning)
            #expect(try drill.run("backup", "dir:source", "--source", "web").status == 0)
            #expect(try drill.run("forget", "--source", "web", "--keep-last", "1").status == 0)
            #expect(try drill.run("prune").status == 0)
            running.send(SIGCONT)
            let result = try running.finish()
            #expect(result.status == 0, "\(result.errors) \(result.output)")
        }
        #expect(drill.leftovers.isEmpty)
    }

    @Test("that is asked to stop cleans up, and its evidence says that it was interrupted")
    func stopped() throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'dir:source'}}\n"
                + "drills: {long: {systems: {web: {checks: {wait: {command: [sleep, '60']}}}}}}\n")
        let running = try drill.run.start(["drill", "long", "--scratch", drill.scratch])
        running.waitUntilItCatches(SIGINT)
        while running.process.isRunning, !commandRuns(of: running) { pause(.milliseconds(5)) }
        running.send(SIGINT)
        let result = try running.finish()
        #expect(result.status == 130, "\(result.errors)")
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        let shown = try drill.run("evidence", "show", "latest", "--json").json()
        #expect(shown["verdict"] as? String == "interrupted")
        #expect(DrillRun.verdicts(shown)["web/wait"] == "notRun")
    }

    private func commandRuns(of program: StartedProgram) -> Bool {
        let own = Int(program.process.processIdentifier)
        return DrillRun.processes(like: "sleep\u{0}60").contains { process in
            var at = process
            // What keeps the program apart stands between.
            for _ in 0..<8 {
                guard let parent = DrillRun.parent(of: at) else { return false }
                if parent == own { return true }
                at = parent
            }
            return false
        }
    }

    @Test(
        "that is killed while it restores or checks leaves nothing after the next", arguments: ["restore", "command"])
    func killed(moment: String) throws {
        let drill = try prepared()
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'dir:source'}}\n"
                + "drills: {long: {systems: {web: {checks: {wait: {command: [sleep, '60']}}}}}}\n")
        let limit = moment == "restore" ? ["--limit-read", "1M"] : []
        let running = try drill.run.start(["drill", "long", "--scratch", drill.scratch] + limit)
        if moment == "restore" {
            while running.process.isRunning, drill.leftovers.isEmpty { pause(.milliseconds(2)) }
            pause(.milliseconds(300))
        } else {
            while running.process.isRunning, !commandRuns(of: running) { pause(.milliseconds(5)) }
        }
        running.send(SIGKILL)
        #expect(try running.finish().status == SIGKILL)
        #expect(drill.leftovers.count == 1 && drill.journals.count == 2)
        // One that looks at another scratch directory finds it all the same.
        let elsewhere = drill.run.directory.path + "/elsewhere"
        #expect(mkdir(elsewhere, 0o755) == 0)
        let next = try drill.run("drill", "web", "--scratch", elsewhere)
        #expect(next.status == 0 && next.errors.contains("was interrupted and left no evidence"), "\(next.errors)")
        #expect(drill.leftovers.isEmpty && drill.journals.isEmpty)
        let list = try #require(try drill.run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]])
        #expect(list.compactMap { $0["verdict"] as? String } == ["interrupted", "passed"])
    }
}
