// Readers of a login that is rotated while the rotating process is killed: new connections and a pool, all the time.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import Workloads

@Suite("Nobody notices", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct RotationProbeTests {
    private struct Counts: Sendable {
        var probes = 0
        var queries = 0
        var failures: [String] = []
    }

    private final class Readers: Sendable {
        let vault: EmbeddedVault
        let address: PostgresAddress
        let counts = Mutex(Counts())
        let isOver = Cancellation()

        init(_ vault: EmbeddedVault, _ address: PostgresAddress) {
            self.vault = vault
            self.address = address
        }

        /// A connection with what the vault says now.
        func connect() throws -> PostgresConnection {
            let value = try vault.read(SecretName(validated: Array("app".utf8)), nil).value
            let data = value.bytes.withBytes { Data($0) }
            let object = try JSONSerialization.jsonObject(with: data) as? [String: String] ?? [:]
            var password = Array((object["password"] ?? "").utf8)
            return try PostgresConnection(
                address, for: .database(nil), user: object["username"], password: SecretBytes(wiping: &password),
                cancellation: Cancellation(), timeout: .seconds(20))
        }

        private func note(_ error: any Error) { counts.withLock { $0.failures.append("\(error)") } }

        /// A new connection every 20 ms.
        func probe() {
            while !isOver.isRaised {
                do {
                    _ = try connect().rows("SELECT 1", for: "a probe")
                    counts.withLock { $0.probes += 1 }
                } catch {
                    note(error)
                }
                isOver.wait(for: .milliseconds(20))
            }
        }

        /// A connection that lives for 400 ms, and is asked all the time.
        func pool() {
            while !isOver.isRaised {
                do {
                    let connection = try connect()
                    for _ in 0..<20 where !isOver.isRaised {
                        _ = try connection.rows("SELECT current_user", for: "a query")
                        counts.withLock { $0.queries += 1 }
                        isOver.wait(for: .milliseconds(20))
                    }
                } catch {
                    note(error)
                }
            }
        }
    }

    private func rotate(
        _ directory: String, _ server: PostgresServer, _ boundary: Int
    ) throws -> (output: String, isKilled: Bool) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: ProductBinary.directory + "/RotationWriter")
        process.arguments = [
            directory, "\(boundary)", "on", "postgres:///postgres?host=\(server.sockets)&user=postgres",
        ]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let told = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (told, process.terminationReason == .uncaughtSignal)
    }

    private func stage() throws -> (directory: TemporaryDirectory, server: PostgresServer, vault: EmbeddedVault) {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make()
        try Data("local all postgres trust\nlocal all all scram-sha-256\n".utf8)
            .write(to: URL(fileURLWithPath: server.data + "/pg_hba.conf"))
        try server.start()
        for statement in [
            "CREATE ROLE shop NOLOGIN", "CREATE ROLE shop_a LOGIN PASSWORD 'first'", "CREATE ROLE shop_b LOGIN",
            "GRANT shop TO shop_a, shop_b",
            "ALTER ROLE shop_a SET role = 'shop'",
        ] { try server.sql(statement) }
        var password = Array("first".utf8)
        let vault = try EmbeddedVault.create(
            at: run.directory.path + "/vault", password: SecretBytes(wiping: &password),
            cost: PasswordCost(logN: 10, p: 1), clock: SystemClock(), entropy: SystemEntropy())
        var value = Array(#"{"username":"shop_a","password":"first"}"#.utf8)
        _ = try vault.put(
            SecretPut(try SecretName("app"), SecretValue(.fields, SecretBytes(wiping: &value)), expected: .anything))
        try FileManager.default.createDirectory(
            atPath: run.directory.path + "/state", withIntermediateDirectories: true)
        return (run.directory, server, vault)
    }

    /// With ROTATION_BOUNDARIES=all the process is killed at each of them, else at some.
    @Test("of readers and of a pool, while the rotating process is killed and started again")
    func probes() throws {
        let (directory, server, vault) = try stage()
        let readers = Readers(
            vault, try PostgresAddress("postgres:///postgres?host=\(server.sockets)&connect_timeout=20"))
        let threads = [
            JoinableThread { readers.probe() }, JoinableThread { readers.pool() }, JoinableThread { readers.pool() },
        ].compactMap { $0 }
        #expect(threads.count == 3)
        let isWhole = ProcessInfo.processInfo.environment["ROTATION_BOUNDARIES"] == "all"
        var (boundary, kills, rotations) = (1, 0, 0)
        while boundary < 200 {
            let killed = try rotate(directory.path, server, boundary)
            if killed.isKilled { kills += 1 }
            var last = killed.output
            for _ in 0..<100 where !last.hasSuffix("done\n") {
                pause(.milliseconds(100))
                last = try rotate(directory.path, server, 0).output
            }
            #expect(last.hasSuffix("done\n"), "after a kill at \(boundary)")
            rotations += 1
            guard killed.isKilled else { break }
            boundary += isWhole ? 1 : 7
        }
        readers.isOver.raise()
        for thread in threads { thread.join() }
        let counts = readers.counts.withLock { $0 }
        #expect(counts.failures.isEmpty, "\(counts.failures.prefix(5))")
        #expect(counts.probes > 50 && counts.queries > 50 && kills > 3)
        print("probes: \(counts.probes), queries: \(counts.queries), kills: \(kills), rotations: \(rotations)")
        #expect(try vault.describe(try SecretName("app")).versions.count == rotations + 1)
        server.stop()
    }
}
