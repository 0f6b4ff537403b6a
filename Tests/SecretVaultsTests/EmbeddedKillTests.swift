// An embedded vault whose writers are killed.

import Foundation
import Glibc
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders

@Suite("After a kill at any moment", .waiting, .serialized)
struct EmbeddedKillTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/vault" }

    /// Runs the writer until it has told `lines` lines and some more microseconds have passed, then kills it.
    private func kill(_ mode: String, _ number: Int = 0, after lines: Int, and pause: UInt32) throws -> [[String]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: ProductBinary.directory + "/VaultWriter")
        process.arguments = [mode, path, "\(number)"]
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        var told = Data()
        while told.filter({ $0 == 10 }).count < lines {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            told += more
        }
        SystemClock().sleep(for: .microseconds(Int64(pause)), unless: Cancellation())
        Glibc.kill(process.processIdentifier, SIGKILL)
        told += output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(complaint.isEmpty)
        let text = String(decoding: told, as: UTF8.self)
        return text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    private func seed() throws -> UInt64 {
        try SystemEntropy().bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func open(_ password: String) throws -> EmbeddedVault {
        try EmbeddedVault.open(
            at: path, password: secret(password), clock: SystemClock(), entropy: SystemEntropy(),
            patience: .seconds(60))
    }

    private func create() throws -> EmbeddedVault {
        try EmbeddedVault.create(
            at: path, password: secret("first"), cost: PasswordCost(logN: 10, p: 1), clock: SystemClock(),
            entropy: SystemEntropy())
    }

    @Test("of a writer every version that it told of is there, and what it destroyed is gone")
    func writers() throws {
        let seed = try self.seed()
        let random = SeededEntropy(seed: seed)
        _ = try create()
        var (put, destroyed): ([String: Int], Set<String>) = ([:], [])
        var next = 0
        for round in 0..<15 {
            let lines = Int(random.next() % 30) + 1
            let told = try kill("write", next, after: lines, and: UInt32(random.next() % 20_000))
            var begun = ""
            for words in told {
                switch (words[0], words.count) {
                case ("putting", 3): next = (Int(words[2]) ?? next) + 1
                case ("put", 4): put["\(words[1]) \(words[2])"] = Int(words[3])
                case ("destroying", 3): begun = "\(words[1]) \(words[2])"
                case ("destroyed", 3): destroyed.insert("\(words[1]) \(words[2])")
                default: Issue.record("\(words)")
                }
            }
            let vault = try open("first")
            try vault.verify(values: true)
            for (key, number) in put {
                let parts = key.split(separator: " ").map(String.init)
                let (name, id) = (try SecretName(parts[0]), try SecretVersionID(parts[1]))
                do throws(HoldfastError) {
                    let value = try vault.read(name, id).value
                    let isHeld = value.bytes.withBytes { raw in raw.starts(with: Array("value \(number) ".utf8)) }
                    #expect(isHeld && !destroyed.contains(key), "seed \(seed), round \(round): \(key)")
                } catch {
                    // A destruction whose end was not told may have taken place.
                    let isDue = destroyed.contains(key) || key == begun
                    #expect(error.code == .secretDestroyed && isDue, "seed \(seed), round \(round): \(error)")
                    destroyed.insert(key)
                }
            }
            // Beside those that were told there is one a kill at most.
            let there = try vault.list(under: "", after: nil, limit: 1000).secrets
            let count = there.reduce(0) { $0 + ($1.record?.versions.count ?? 0) }
            #expect(count >= put.count && count <= put.count + round + 1, "seed \(seed), round \(round)")
        }
        #expect(put.count > 15 && !destroyed.isEmpty, "seed \(seed): nothing was written")
    }

    @Test("of a change of passwords one of the two opens the vault, and changing goes on")
    func passwords() throws {
        let seed = try self.seed()
        let random = SeededEntropy(seed: seed)
        let value = SecretValue(.text, secret("kept"))
        _ = try create().put(SecretPut(try SecretName("a"), value, expected: .absent))
        for round in 0..<10 {
            let lines = Int(random.next() % 6) + 1
            _ = try kill("change", after: lines, and: UInt32(random.next() % 20_000))
            let vaults = ["first", "second"].compactMap { try? open($0) }
            let vault = try #require(vaults.first, "seed \(seed), round \(round): no password opens it")
            #expect(try vault.slots().count == vaults.count)
            #expect(try vault.read(try SecretName("a"), nil).value.equals(value))
        }
    }

    @Test("of the making of a vault there is a whole one, or none, and the same again makes it")
    func making() throws {
        let seed = try self.seed()
        let random = SeededEntropy(seed: seed)
        var outcomes: Set<String> = []
        for round in 0..<20 {
            for ending in ["", "-wal", "-shm"] { unlink(path + ending) }
            _ = try kill("create", after: round % 3 == 2 ? 2 : 1, and: UInt32(random.next() % 30_000))
            do {
                _ = try open("first")
                outcomes.insert("whole")
            } catch let error as HoldfastError {
                #expect(error.code == .vaultNotFound, "seed \(seed), round \(round): \(error)")
                outcomes.insert("none")
                _ = try create()
            }
            try open("first").verify(values: true)
        }
        #expect(outcomes.contains("whole"), "seed \(seed)")
    }
}
