// What is remembered of packs between checks.

import Foundation
import Primitives
import Repository
import Synchronization
import TestSupport
import Testing

@testable import Commands

@Suite("The memory of checks")
struct CheckMemoryTests {
    private let state = TemporaryDirectory()
    private let clock = ManualClock()
    private let repository = RepositoryID(Bytes16())

    private func pack(_ letter: Character) throws -> PackID {
        try #require(PackID(hex: String(repeating: letter, count: 64)))
    }

    private func memory(_ place: String = "/one") throws -> CheckMemory {
        try CheckMemory(of: repository, at: place, in: state.path)
    }

    @Test("is of one copy, and says nothing of another one of the same repository")
    func copies() throws {
        let (a, now) = (try pack("a"), clock.now())
        try memory().remembering(at: clock) { note in note(a, true) }
        #expect(try memory().lastRead == [a: Timestamp(seconds: now.seconds)])
        #expect(try memory("/two").lastRead.isEmpty)
    }

    @Test("holds what was read before a check broke off")
    func brokenOff() throws {
        let a = try pack("a")
        let error = #expect(throws: HoldfastError.self) {
            try memory().remembering(at: clock) { (note) throws(HoldfastError) in
                note(a, true)
                throw HoldfastError(.interrupted, "interrupted", hint: "")
            }
        }
        #expect(error?.code == .interrupted)
        #expect(try memory().lastRead.keys.map { $0 } == [a])
    }

    @Test("that cannot be written takes nothing from what the check found")
    func unsaved() throws {
        let (a, memory) = (try pack("a"), try memory())
        try FileManager.default.removeItem(atPath: state.path + "/checks")
        let told = Mutex<[String]>([])
        let found = try memory.remembering(
            at: clock, unsaved: { error in told.withLock { $0.append(error.message) } },
            { note in
                note(a, false)
                return "damage"
            })
        #expect(found == "damage" && told.withLock { $0.count } == 1)
    }

    @Test("has damaged packs before those that were never read, until they are good")
    func damaged() throws {
        let (a, b, c) = (try pack("a"), try pack("b"), try pack("c"))
        try memory().remembering(at: clock) { note in
            note(b, true)
            note(c, false)
        }
        func order() throws -> [PackID] {
            let oldest = OldestFirst(lastRead: try memory().lastRead)
            return [a, b, c].sorted { oldest.comes($0, before: $1) }
        }
        #expect(try order() == [c, a, b])
        clock.advance(by: .seconds(400 * 86_400))
        try memory().remembering(at: clock) { note in note(a, true) }
        #expect(try order() == [c, b, a], "the damaged one is not forgotten, however long ago")
        try memory().remembering(at: clock) { note in note(c, true) }
        #expect(try memory().lastRead[c] == Timestamp(seconds: clock.now().seconds))
    }
}
