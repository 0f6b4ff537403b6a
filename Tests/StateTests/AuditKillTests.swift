// Several processes that append at once, and some that are killed.

import Foundation
import Glibc
import Primitives
import State
import TestSupport
import Testing

@Suite("An audit log of several processes", .serialized)
struct AuditKillTests {
    private let stage = AuditStage()

    private struct Writer {
        let process = Process()
        let output = Pipe()
        let errors = Pipe()

        init(_ state: String, _ name: String, groups: Int, segment: Int) throws {
            process.executableURL = URL(fileURLWithPath: ProductBinary.directory + "/AuditWriter")
            process.arguments = [state, name, "\(groups)", "\(segment)"]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            // It has begun when it says so; a kill before that is none in the middle of anything.
            _ = output.fileHandleForReading.readData(ofLength: 1)
        }

        /// The first number and the count of each group that it was told of.
        func finish() -> [(first: UInt64, count: UInt64)] {
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            #expect(complaint.isEmpty, "\(complaint)")
            return text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                guard words.count == 3, let first = UInt64(words[1]), let count = UInt64(words[2]) else { return nil }
                return (first, count)
            }
        }
    }

    @Test("has one chain with all records, and no two of them have a number in common")
    func atOnce() throws {
        let writers = try (0..<4).map { try Writer(stage.state, "writer\($0)", groups: 30, segment: 20_000) }
        let told = writers.map { $0.finish() }
        let numbers = told.joined().flatMap { Array($0.first..<($0.first + $0.count)) }
        #expect(told.allSatisfy { $0.count == 30 } && Set(numbers).count == numbers.count)
        let verdict = try stage.verify()
        #expect(verdict.isWhole && verdict.records == UInt64(numbers.count))
        #expect(numbers.max() == verdict.records)
        #expect(try stage.segments().count > 3)
    }

    @Test("is whole after kills at any moment, with all that was told to be in it")
    func killed() throws {
        let seed = try SystemEntropy().bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let random = SeededEntropy(seed: seed)
        var (known, killed, torn): (UInt64, Int, Int) = (0, 0, 0)
        for round in 0..<40 {
            let writers = try (0..<2).map { try Writer(stage.state, "w\(round).\($0)", groups: 0, segment: 30_000) }
            SystemClock().sleep(for: .milliseconds(Int64(20 + random.next() % 130)), unless: Cancellation())
            for writer in writers { kill(writer.process.processIdentifier, SIGKILL) }
            for writer in writers {
                for group in writer.finish() { known = max(known, group.first + group.count - 1) }
                killed += writer.process.terminationReason == .uncaughtSignal ? 1 : 0
            }
            guard known > 0 else { continue }
            let verdict = try stage.verify()
            #expect(verdict.isWhole, "seed \(seed), round \(round): \(verdict.problems)")
            #expect(verdict.records >= known, "seed \(seed), round \(round): \(verdict.records) of \(known)")
            torn += verdict.torn == nil ? 0 : 1
        }
        #expect(known > 50 && killed > 40, "seed \(seed): nothing was written, or nobody was killed")
        #expect(torn > 0, "seed \(seed): nobody was killed in the middle of a record")
        _ = try stage.log().append([stage.entry(0)])
        let verdict = try stage.verify()
        #expect(verdict.isWhole && verdict.torn == nil, "seed \(seed)")
    }
}
