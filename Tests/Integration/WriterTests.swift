// Writers beside each other, with forget and prune beside them, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("Beside each other", .waiting)
struct WriterTests {
    /// One writer's next backup: the directory that it reads, and whether others write to the same source.
    private struct Round {
        let directory: String
        let source: String
    }

    @Test("writers on one source and on others lose nothing while it is pruned", arguments: [2, 4])
    func writers(count: Int) throws {
        let run = ProgramRun()
        try run.makeRepository()
        let seed = UInt64(time(nil))
        let rounds = try (0..<count).map { try prepare(run, writer: $0, seed: seed) }
        var expected: [String: Round] = [:]
        var running = [StartedProgram?](repeating: nil, count: count)
        var next = [Int](repeating: 0, count: count)
        var upkeep: (words: [String], program: StartedProgram)?
        var turn = 0
        let turns = [["prune"], ["forget", "--keep-last", "2"], ["prune", "--exclusive"]]
        while running.contains(where: { $0 != nil }) || next.contains(where: { $0 < rounds[0].count }) {
            for writer in 0..<count {
                if let program = running[writer] {
                    guard !program.process.isRunning else { continue }
                    let result = try program.finish()
                    #expect(result.status == 0, "seed \(seed), writer \(writer): \(result.errors)")
                    let id = try #require(try result.json()["snapshot"] as? String, "seed \(seed)")
                    expected[id] = rounds[writer][next[writer] - 1]
                    running[writer] = nil
                }
                guard next[writer] < rounds[writer].count else { continue }
                let round = rounds[writer][next[writer]]
                running[writer] = try run.start(
                    ["backup", "dir:" + round.directory, "--source", round.source, "--limit-read", "1M", "--json"])
                next[writer] += 1
            }
            if let (words, program) = upkeep, !program.process.isRunning {
                let result = try program.finish()
                // Busy is the answer to an exclusive prune beside a writer.
                let allowed: Set<Int32> = words.contains("--exclusive") ? [0, 11] : [0]
                #expect(allowed.contains(result.status), "seed \(seed), \(words): \(result.status) \(result.errors)")
                upkeep = nil
            }
            if upkeep == nil {
                let words = turns[turn % turns.count]
                upkeep = (words, try run.start(words))
                turn += 1
            }
            pause(.milliseconds(5))
        }
        _ = try upkeep?.program.finish()
        #expect(turn > 3, "the upkeep ran beside the writers")
        try judge(run, expected, "seed \(seed)")
        let freed = try run("prune", "--exclusive")
        #expect(freed.status == 0, "seed \(seed): \(freed.errors)")
        try judge(run, expected, "seed \(seed), after the last prune")
    }

    /// Directories for the rounds of a writer: every other one writes to the source of all.
    private func prepare(_ run: ProgramRun, writer: Int, seed: UInt64) throws -> [Round] {
        try (0..<6).map { number in
            let directory = "w\(writer)-\(number)"
            try run.makeDirectory(directory + "/sub")
            // The same bytes in all writers' rounds of one number, which come again after they were forgotten; some
            // from round to round, and some of its own.
            try run.randomFile(directory + "/common", 300_000, seed: seed &+ UInt64(number % 3))
            try run.randomFile(directory + "/sub/kept", 200_000, seed: seed &+ 100 &+ UInt64(writer))
            try run.randomFile(directory + "/own", 150_000, seed: seed &+ 1000 &+ UInt64(writer * 10 + number))
            return Round(directory: directory, source: writer < 2 && number < 5 ? "shared" : "own\(writer)")
        }
    }

    /// Checks every byte, and that all listed snapshots are what was backed up, and the last of each source is there.
    private func judge(_ run: ProgramRun, _ expected: [String: Round], _ note: String) throws {
        let check = try run("check", "--read-data")
        #expect(check.status == 0, "\(note): \(check.output)")
        let ids = try run.snapshotIDs()
        #expect(Set(ids).isSubset(of: expected.keys), "\(note)")
        let sources = Set(expected.values.map(\.source))
        #expect(Set(ids.compactMap { expected[$0]?.source }) == sources, "\(note)")
        for id in ids {
            let target = "out-\(UUID().uuidString)"
            let restored = try run("restore", id, "--to", "dir:" + target)
            #expect(restored.status == 0, "\(note), \(id): \(restored.errors)")
            let source = run.directory.path + "/" + (expected[id]?.directory ?? "")
            #expect(
                FileManager.default.contentsEqual(atPath: source, andPath: run.directory.path + "/" + target),
                "\(note), \(id)")
        }
    }
}
