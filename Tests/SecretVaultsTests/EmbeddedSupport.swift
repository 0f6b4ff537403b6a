// An embedded vault in a directory of its own.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import Testing
import VaultProviders

struct EmbeddedStage {
    let directory = TemporaryDirectory()
    let clock = ManualClock()
    static let cheap = PasswordCost(logN: 10, p: 1)

    var path: String { directory.path + "/vault" }

    func create(_ password: String = "first", maximumPages: Int = 1 << 20) throws -> EmbeddedVault {
        try EmbeddedVault.create(
            at: path, password: secret(password), cost: Self.cheap, clock: clock, entropy: SystemEntropy(),
            patience: .milliseconds(50), maximumPages: maximumPages)
    }

    func open(_ password: String = "first", maximumPages: Int = 1 << 20) throws -> EmbeddedVault {
        try EmbeddedVault.open(
            at: path, password: secret(password), clock: clock, entropy: SystemEntropy(), patience: .milliseconds(50),
            maximumPages: maximumPages)
    }

    /// The code of opening it.
    func openingFails() -> ErrorCode? { failure { _ = try open() }?.code }

    /// Runs statements by another program than ours.
    func sqlite(_ text: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path, text]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    /// All that stands on the disk.
    func bytes() -> Data {
        ["", "-wal", "-shm"].reduce(Data()) { $0 + (FileManager.default.contents(atPath: path + $1) ?? Data()) }
    }
}

func secret(_ text: String) -> SecretBytes {
    let bytes = Array(text.utf8)
    return SecretBytes(copying: bytes.span.bytes)
}

func failure(_ body: () throws -> Void) -> HoldfastError? {
    do {
        try body()
        return nil
    } catch {
        return error as? HoldfastError
    }
}

extension EmbeddedVault {
    @discardableResult
    func put(_ name: String, _ text: String) throws -> SecretVersionID {
        let value = SecretValue(.text, secret(text))
        return try put(SecretPut(try SecretName(name), value, expected: .anything)).id
    }

    func holds(_ name: String, _ text: String, _ id: SecretVersionID? = nil) throws -> Bool {
        try read(try SecretName(name), id).value.equals(SecretValue(.text, secret(text)))
    }
}
