// A rotation whose process is killed before and after each write of its journal, and after each act.

import Foundation
import Glibc
import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import TestSupport
import TestThreads
import Testing
import VaultProviders

@Suite("After a kill at any boundary", .waiting, .serialized)
struct RotationKillTests {
    private struct Place {
        let directory = TemporaryDirectory()

        init() throws {
            let vault = try EmbeddedVault.create(
                at: directory.path + "/vault", password: secret("first"), cost: PasswordCost(logN: 10, p: 1),
                clock: SystemClock(), entropy: SystemEntropy())
            _ = try vault.put(
                SecretPut(try SecretName("app"), SecretValue(.text, secret("old")), expected: .anything))
            try FileManager.default.createDirectory(
                atPath: directory.path + "/state", withIntermediateDirectories: true)
            try Data("old\n".utf8).write(to: URL(fileURLWithPath: directory.path + "/accepted"))
        }

        /// - Parameter boundary: Where it is killed; 0 for nowhere.
        func run(_ boundary: Int, back: Bool = false) throws -> (output: String, isKilled: Bool) {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: ProductBinary.directory + "/RotationWriter")
            process.arguments = [directory.path, "\(boundary)", back ? "back" : "on"]
            process.standardInput = FileHandle.nullDevice
            let (output, errors) = (Pipe(), Pipe())
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            let told = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(complaint.isEmpty, "\(complaint) at \(boundary)")
            return (told, process.terminationReason == .uncaughtSignal)
        }

        var accepted: [String] {
            let text = (try? String(contentsOfFile: directory.path + "/accepted", encoding: .utf8)) ?? ""
            return text.split(separator: "\n").map(String.init)
        }

        func record() throws -> (current: String, record: SecretRecord) {
            let vault = try EmbeddedVault.open(
                at: directory.path + "/vault", password: secret("first"), clock: SystemClock(),
                entropy: SystemEntropy())
            let name = try SecretName("app")
            return (text(try vault.read(name, nil).value), try vault.describe(name))
        }
    }

    @Test("readers have what the target accepts, and the next run ends it with one new version")
    func forward() throws {
        var boundary = 1
        var names: [String] = []
        while true {
            let place = try Place()
            let killed = try place.run(boundary)
            guard killed.isKilled else { break }
            names.append(killed.output.trimmingCharacters(in: .newlines))
            #expect(try place.accepted.contains(place.record().current), "killed at \(names.last ?? "")")
            let again = try place.run(0)
            #expect(again.output == "done\n", "killed at \(names.last ?? ""): \(again.output)")
            let (current, record) = try place.record()
            #expect(place.accepted == [current] && current != "old", "killed at \(names.last ?? "")")
            #expect(record.versions.count == 2, "killed at \(names.last ?? "")")
            #expect(record.versions.allSatisfy { !$0.labels.contains { $0.text == "pending" } })
            boundary += 1
        }
        #expect(names.count > 20 && Set(names).isSuperset(of: ["applied", "done promoted", "before promoted.done"]))
    }

    @Test("and again at the same place in the next run, it still ends well")
    func twice() throws {
        for boundary in stride(from: 2, to: 30, by: 3) {
            let place = try Place()
            _ = try place.run(boundary)
            _ = try place.run(boundary / 2)
            let ended = try place.run(0)
            #expect(ended.output.hasSuffix("done\n"))
            #expect(try place.accepted == [place.record().current])
        }
    }

    @Test("an operator who gives it up has the old value, or a new one that works")
    func back() throws {
        for boundary in stride(from: 4, to: 26, by: 3) {
            let place = try Place()
            guard try place.run(boundary).isKilled else { continue }
            let back = try place.run(0, back: true)
            #expect(back.output == "rolled-back\n", "\(back.output)")
            let (current, record) = try place.record()
            #expect(current == "old" && place.accepted.contains("old"))
            #expect(record.versions.allSatisfy { !$0.labels.contains { $0.text == "pending" } })
        }
    }
}
