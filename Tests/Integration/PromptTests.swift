// Passwords that are typed.

import TestSupport
import TestThreads
import Testing

@Suite("The question for a password", .waiting)
struct PromptTests {
    private let run = ProgramRun()

    private func start(_ arguments: String...) throws -> PseudoTerminal {
        try PseudoTerminal(
            [ProductBinary.path] + arguments,
            environment: ["HOLDFAST_REPO": run.repository, "HOME": run.directory.path, "TERM": "dumb"])
    }

    @Test("is asked twice for a new repository, once for an old one, and what is typed is not shown")
    func asked() throws {
        let first = try start("init")
        #expect(first.waits(for: "password of the repository: "))
        first.type("hunter2\n")
        #expect(first.waits(for: "again: "))
        first.type("hunter2\n")
        #expect(first.finish() == 0, "\(first.shown)")
        #expect(!first.shown.contains("hunter2"))
        let second = try start("snapshots")
        #expect(second.waits(for: "password of the repository: "))
        second.type("hunter2\n")
        #expect(second.finish() == 0, "\(second.shown)")
        #expect(second.shown.contains("SOURCE"))
        #expect(!second.shown.contains("hunter2"))
    }

    @Test("takes no two different answers and no empty one")
    func different() throws {
        let first = try start("init")
        #expect(first.waits(for: "password of the repository: "))
        first.type("one\n")
        #expect(first.waits(for: "again: "))
        first.type("two\n")
        #expect(first.finish() == 64)
        #expect(first.shown.contains("differ"))
        let second = try start("init")
        #expect(second.waits(for: "password of the repository: "))
        second.type("\n")
        #expect(second.finish() == 64)
    }

    @Test("ends with the status of an interruption when it is interrupted, and with a usage error at its end")
    func interrupted() throws {
        let first = try start("init")
        #expect(first.waits(for: "password of the repository: "))
        first.type("\u{3}")
        #expect(first.finish() == 130, "\(first.shown)")
        let second = try start("init")
        #expect(second.waits(for: "password of the repository: "))
        second.type("\u{4}")
        #expect(second.finish() == 64, "\(second.shown)")
    }
}
