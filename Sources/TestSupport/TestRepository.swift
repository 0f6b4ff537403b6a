// A repository in memory with a cheap key derivation, for tests.

import Logging
import ObjectStore
import Primitives
import Repository

/// A store in memory, a clock turned by hand, and a repository on them.
package struct TestRepository: Sendable {
    package static let password = "correct horse battery staple"
    /// scrypt with 2^10: a millisecond instead of a fifth of a second.
    package static let derivation = KeyDerivation.scrypt(logN: 10, p: 1)

    package let clock: HandClock
    package let store: MemoryStore
    package let environment: Environment
    package var repository: Repository

    package init(clock: HandClock = HandClock()) throws(HoldfastError) {
        self.clock = clock
        store = MemoryStore(clock: clock)
        environment = Self.environment(clock: clock)
        repository = try Repository.create(
            in: store, secret: Self.secret(Self.password), derivation: Self.derivation, label: "test",
            compression: "zstd:3", environment: environment)
    }

    package static func environment(clock: any Clock) -> Environment {
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        return Environment(clock: clock, entropy: SystemEntropy(), logger: logger)
    }

    package static func secret(_ text: String) -> SecretBytes {
        var bytes = Array(text.utf8)
        return SecretBytes(wiping: &bytes)
    }

    /// Makes a repository in the directory `path` as `holdfast init` does, but with the cheap derivation.
    package static func create(at path: String, password: String) throws(HoldfastError) {
        _ = try Repository.create(
            in: StoreLocation.create(path), secret: secret(password), derivation: derivation, label: "first",
            compression: "zstd:3", environment: environment(clock: SystemClock()))
    }

    /// The record of a snapshot that is in no repository.
    package static func record(
        _ workload: String, _ facts: [String: String] = [:]
    ) throws(HoldfastError) -> SnapshotRecord {
        let now = SystemClock().now()
        var record = SnapshotRecord(
            source: "s", workload: workload, host: "h", toolVersion: "t",
            runID: try ULID(at: now, entropy: SystemEntropy()), started: now)
        record.facts = facts
        return record
    }

    /// Opens the repository with another password, on `store` or on another one.
    package func open(
        _ password: String = TestRepository.password, on other: (any ObjectStore)? = nil
    ) throws(HoldfastError) -> Repository {
        try Repository.open(other ?? store, secret: Self.secret(password), environment: environment)
    }

    /// Adds a key with a cheap derivation and opens the repository with it.
    package func adding(
        _ role: Role, rights: Rights = [], sources: [String] = [], password: String
    ) throws(HoldfastError) -> Repository {
        _ = try repository.addKey(
            Repository.NewKey(
                label: role.description, role: role, rights: rights, sources: sources, secret: Self.secret(password),
                derivation: Self.derivation))
        return try open(password)
    }
}
