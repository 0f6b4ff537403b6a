// An embedded vault's places, passwords and clock.

import Foundation
import Glibc
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders

@Suite("An embedded vault", .waiting)
struct EmbeddedVaultTests {
    private let stage = EmbeddedStage()

    @Test("is its user's alone, and refused when others may read it")
    func modes() throws {
        let vault = try stage.create()
        try vault.put("a", "one")
        for ending in ["", "-wal", "-shm"] {
            let found = try FileManager.default.attributesOfItem(atPath: stage.path + ending)[.posixPermissions] as? Int
            #expect(found == 0o600, "\(ending)")
        }
        for mode in [0o640, 0o604, 0o620] as [mode_t] {
            chmod(stage.path, mode)
            let found = failure { _ = try stage.open() }
            #expect(found?.code == .accessDenied && found?.hint.contains("chmod 600") == true)
        }
        chmod(stage.path, 0o600)
        #expect(stage.openingFails() == nil)
    }

    @Test("is not made or opened through a symbolic link")
    func links() throws {
        let elsewhere = stage.directory.path + "/elsewhere"
        symlink(elsewhere, stage.path)
        #expect(failure { _ = try stage.create() }?.code == .unsafePath)
        #expect(stage.openingFails() == .unsafePath)
        #expect(access(elsewhere, F_OK) != 0)
        unlink(stage.path)
        _ = try stage.create()
        for ending in ["-wal", "-shm"] { unlink(stage.path + ending) }
        symlink(elsewhere, stage.path + "-wal")
        #expect(stage.openingFails() == .unsafePath && access(elsewhere, F_OK) != 0)
    }

    @Test("is not taken for another file, nor another file for it")
    func strangers() throws {
        #expect(stage.openingFails() == .vaultNotFound)
        try stage.sqlite("CREATE TABLE other (a);")
        chmod(stage.path, 0o600)
        #expect(stage.openingFails() == .vaultNotFound)
        #expect(failure { _ = try stage.create() }?.code == .vaultExists)
        try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: stage.path))
        chmod(stage.path, 0o600)
        #expect(stage.openingFails() == .corruptObject)
    }

    @Test("is made once, and that of a newer version is left alone")
    func versions() throws {
        let vault = try stage.create()
        try vault.put("a", "one")
        #expect(failure { _ = try stage.create("other") }?.code == .vaultExists)
        let isHeld = try stage.open().holds("a", "one")
        #expect(isHeld)
        try stage.sqlite("PRAGMA user_version=2;")
        #expect(stage.openingFails() == .unsupportedFormat)
    }

    @Test("opens by its password alone, which can be changed")
    func passwords() throws {
        let vault = try stage.create("first")
        try vault.put("a", "one")
        #expect(failure { _ = try stage.open("other") }?.code == .wrongKey)
        #expect(failure { try vault.changePassword(from: secret("x"), to: secret("y")) }?.code == .wrongKey)
        #expect(failure { try vault.changePassword(from: secret("first"), to: secret("first")) }?.code == .usage)
        #expect(failure { try vault.changePassword(from: secret("first"), to: secret("")) }?.code == .usage)
        try vault.changePassword(from: secret("first"), to: secret("second"), cost: EmbeddedStage.cheap)
        #expect(failure { _ = try stage.open("first") }?.code == .wrongKey)
        let again = try stage.open("second")
        let isHeld = try again.holds("a", "one")
        #expect(try isHeld && again.slots().count == 1)
        // As after a kill between the two steps.
        _ = try again.addPassword(secret("third"), cost: EmbeddedStage.cheap)
        try again.changePassword(from: secret("second"), to: secret("third"), cost: EmbeddedStage.cheap)
        let last = try again.slots()[0].id
        #expect(try again.slots().count == 1 && failure { _ = try stage.open("second") }?.code == .wrongKey)
        #expect(failure { try again.removeSlot(last) }?.code == .usage)
        for index in 0..<7 { _ = try again.addPassword(secret("p\(index)"), cost: EmbeddedStage.cheap) }
        #expect(failure { _ = try again.addPassword(secret("q"), cost: EmbeddedStage.cheap) }?.code == .limitExceeded)
        let isHeldByAll = try stage.open("p6").holds("a", "one")
        #expect(isHeldByAll)
    }

    /// Runs `body` while another process is inside the transaction that `statement` began.
    private func whileHeld(by statement: String, _ body: () throws -> Void) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", stage.path]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data("\(statement); SELECT 'held';\n".utf8))
        #expect(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self) == "held\n")
        try body()
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    @Test("that another process holds is busy, which passes")
    func locked() throws {
        let vault = try stage.create()
        try whileHeld(by: "BEGIN IMMEDIATE") {
            let found = failure { try vault.put("a", "hunter2") }
            #expect(found?.code == .busy && found?.retry == .later && "\(found as Any)".contains("hunter2") == false)
        }
        try vault.put("a", "hunter2")
    }

    @Test("that another process reads destroys a value, and empties its log when it is opened next")
    func read() throws {
        let vault = try stage.create()
        let id = try vault.put("a", "one")
        let log = stage.path + "-wal"
        func length() throws -> Int? { try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int }
        try whileHeld(by: "BEGIN; SELECT 0 FROM secrets WHERE tag IS NULL") {
            try vault.change(try SecretName("a"), .state(.destroy, of: id))
            #expect(failure { _ = try vault.holds("a", "one") }?.code == .secretDestroyed)
            #expect(try length() != 0)
        }
        let again = try stage.open()
        #expect(try length() == 0)
        try again.verify(values: true)
    }

    @Test("that cannot grow says that there is no space, and keeps what it has")
    func full() throws {
        let vault = try stage.create()
        try vault.put("a", "one")
        let confined = try stage.open(maximumPages: 1)
        let found = failure { try confined.put("a", String(repeating: "hunter2", count: 9000)) }
        #expect(found?.code == .noSpace && found?.retry == .later && "\(found as Any)".contains("hunter2") == false)
        try stage.open().verify(values: true)
        let isHeld = try vault.holds("a", "one")
        #expect(isHeld)
    }

    @Test("soft-deletes a version when its time is over, until that is undone")
    func due() throws {
        let vault = try stage.create()
        let name = try SecretName("a")
        let limits = SecretLimits(deletesAfter: .seconds(60))
        try vault.change(name, .attributes(SecretAttributes(limits: limits)))
        let id = try vault.put("a", "one")
        let due = stage.clock.now() + .seconds(60)
        stage.clock.advance(by: .seconds(59))
        #expect(try vault.describe(name)[id]?.deletionDue == due)
        #expect(try vault.holds("a", "one"))
        stage.clock.advance(by: .seconds(1))
        #expect(try vault.describe(name)[id]?.state == .softDeleted(at: due))
        #expect(failure { _ = try vault.holds("a", "one") }?.code == .secretDeleted)
        try vault.change(name, .state(.undelete, of: id))
        stage.clock.advance(by: .seconds(86_400))
        #expect(try vault.describe(name)[id]?.state == .live)
    }

    @Test("keeps the numbers and dates of versions that are put again in their order")
    func again() throws {
        let vault = try stage.create()
        let name = try SecretName("a")
        for number in [3, 4, 9] {
            let put = SecretPut(
                name, SecretValue(.text, secret("\(number)")), expected: .anything,
                id: try SecretVersionID("\(number)"), created: Timestamp(seconds: Int64(number)))
            #expect(try vault.put(put).order == UInt64(number))
        }
        #expect(try vault.put("a", "next").text == "10")
        let created = try vault.describe(name).versions.prefix(3).map { $0.created?.seconds }
        #expect(created == [3, 4, 9])
        #expect(failure { _ = try vault.read(name, try SecretVersionID("1")) }?.code == .secretNotFound)
    }

    @Test("goes on behind the last secret of a page, and knows the last page")
    func pages() throws {
        let vault = try stage.create()
        for index in 0..<30 { try vault.put("secret \(index)", "x") }
        let first = try vault.list(under: "", after: nil, limit: 10)
        #expect(first.secrets.count == 10)
        let rest = try vault.list(under: "", after: first.next, limit: 20)
        #expect(rest.secrets.count == 20 && rest.next == nil)
        #expect(Set((first.secrets + rest.secrets).map(\.name)).count == 30)
    }
}
