// Signals, kills and a full disk, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("After", .waiting)
struct CrashTests {
    @Test("an interruption the status is 130, nothing is committed, and the next run reuses what was put")
    func interrupted() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        // More than a pack, at a pace that leaves time to interrupt it behind the first.
        try run.randomFile("source/a", 48 << 20, seed: 5)
        try run.makeRepository()
        let backup = try run.start(["backup", "dir:source", "--compression", "none", "--limit-read", "16M", "--json"])
        while run.objects("packs").isEmpty, backup.process.isRunning { pause(.milliseconds(20)) }
        backup.send(SIGINT)
        let result = try backup.finish()
        #expect(result.status == 130, "\(result.errors)")
        #expect(try result.json()["code"] as? String == "interrupted")
        #expect(try run.snapshotIDs().isEmpty)
        let again = try run("backup", "dir:source", "--json").json()
        #expect(again["chunksReused"] as? Int ?? 0 > 0)
        #expect(again["bytesNew"] as? Int ?? .max < 40 << 20)
        #expect(try run("check").status == 0)
    }

    @Test("an interruption of any verb that takes long the status is 130, and a restore goes on when it is run again")
    func interruptedVerbs() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        // More than the window that a dump decodes at once.
        try run.randomFile("source/a", 20 << 20, seed: 9)
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--compression", "none").status == 0)
        let verbs = [
            ["restore", "latest", "--to", "dir:out"], ["dump", "latest", "a"], ["check", "--read-data"],
            ["mirror", "--to", "copy"], ["backup", "dir:source", "--reread"],
            ["backup", "stdin:x", "--", "sleep", "60"],
        ]
        for verb in verbs {
            let words = verb.firstIndex(of: "--") ?? verb.endIndex
            let started = try run.start(verb[..<words] + ["--limit-read", "200K"] + verb[words...])
            started.waitUntilItCatches(SIGINT)
            // Opening takes a fifth of a second, reading more than a minute.
            pause(.milliseconds(500))
            started.send(SIGINT)
            let result = try started.finish()
            #expect(result.status == 130, "\(verb): \(result.status) \(result.errors)")
        }
        #expect(try run.snapshotIDs().count == 1)
        #expect(try run.restoresLatest(as: "source", into: "out"))
    }

    @Test("kills at any moment of a backup, a prune and a rotation of keys the repository is whole")
    func killed() throws {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/kept", 200_000, seed: 6)
        try run.makeRepository()
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let seed = UInt64(time(nil))
        let entropy = SeededEntropy(seed: seed)
        let verbs = [
            ["backup", "dir:source", "--source", "web"], ["keys", "rotate"], ["prune"], ["prune", "--exclusive"],
        ]
        var lengths = [Int](repeating: 0, count: verbs.count)
        var killed = 0
        for round in 0..<20 {
            try run.randomFile("source/changing", 2 << 20, seed: seed &+ UInt64(round))
            let place = round % verbs.count
            let verb = verbs[place]
            let began = ContinuousClock.now
            let started = try run.start(verb)
            // The first of each verb runs to its end, which tells how long it takes; the others are killed within that.
            if lengths[place] > 0 {
                let delay = Int(entropy.next() % UInt64(lengths[place]))
                pause(.microseconds(delay))
                started.send(SIGKILL)
            }
            _ = try started.finish()
            if lengths[place] == 0 { lengths[place] = Int((ContinuousClock.now - began) / .microseconds(1)) }
            killed += started.process.terminationReason == .uncaughtSignal ? 1 : 0
            let check = try run("check")
            #expect(check.status == 0, "seed \(seed), round \(round), \(verb): \(check.output)")
            // What the dead left is a lease of half an hour, which keeps an exclusive prune away and nothing else.
            let next = try run.start(verb).finish()
            let allowed: Set<Int32> = verb.contains("--exclusive") ? [0, 11] : [0]
            #expect(allowed.contains(next.status), "seed \(seed), round \(round), \(verb): \(next.errors)")
        }
        #expect(killed > 4, "seed \(seed): the kills came too late")
        let last = try run("backup", "dir:source", "--source", "web")
        #expect(last.status == 0, "seed \(seed): \(last.errors)")
        #expect(try run("check", "--read-data").status == 0, "seed \(seed)")
        #expect(try run.restoresLatest(as: "source", into: "out"), "seed \(seed)")
    }

    /// Whether a small file system can be mounted: only root may, and a sandbox may refuse it to root as well.
    static let mayMount: Bool = {
        let place = TemporaryDirectory()
        guard mount("tmpfs", place.path, "tmpfs", 0, "size=1m") == 0 else { return false }
        return umount2(place.path, Int32(MNT_DETACH)) == 0
    }()

    @Test(
        "a disk ran full nothing is committed, an exclusive prune works, and a smaller backup succeeds",
        .enabled(if: mayMount, "mounting a file system of 24 MiB is refused here; run the tests as root"))
    func fullDisk() throws {
        var run = ProgramRun()
        try run.makeDirectory("disk")
        let disk = run.directory.path + "/disk"
        try #require(mount("tmpfs", disk, "tmpfs", 0, "size=24m") == 0)
        defer { umount2(disk, Int32(MNT_DETACH)) }
        run.variables["HOLDFAST_REPO"] = disk + "/repository"
        try run.makeDirectory("source")
        try run.makeRepository()
        // Two snapshots, of which one is forgotten, so that there is something to free.
        for seed in [70, 71] as [UInt64] {
            try run.randomFile("source/large", 2 << 20, seed: seed)
            #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        }
        #expect(try run("forget", "--keep-last", "1").status == 0)
        try run.randomFile("source/large", 40 << 20, seed: 7)
        let failed = try run("backup", "dir:source", "--source", "web", "--compression", "none", "--json")
        #expect(failed.status == 1, "\(failed.errors)")
        #expect(try failed.json()["code"] as? String == "no-space")
        #expect(try run.snapshotIDs().count == 1)
        // Not a byte is left when the prune starts.
        fill(disk)
        #expect(try run("backup", "dir:source", "--source", "web").status == 1)
        try run.randomFile("source/large", 100_000, seed: 8)
        let pruned = try run("prune", "--exclusive", "--json")
        #expect(pruned.status == 0, "\(pruned.errors)")
        #expect(try pruned.json()["deletedPacks"] as? Int ?? 0 > 0, "\(pruned.output)")
        #expect(try run("check").status == 0)
        // Space that came back by other means is used as well.
        unlink(disk + "/filler")
        let smaller = try run("backup", "dir:source", "--source", "web")
        #expect(smaller.status == 0, "\(smaller.errors)")
        #expect(try run("check", "--read-data").status == 0)
        #expect(try run.restoresLatest(as: "source", into: "out"))
    }

    /// Takes all the space that is left at `place`.
    private func fill(_ place: String) {
        let file = open(place + "/filler", O_WRONLY | O_CREAT, 0o600)
        defer { close(file) }
        let zeros = [UInt8](repeating: 0, count: 4096)
        while write(file, zeros, zeros.count) > 0 {}
    }
}
