// What the watcher of a vault hears before a value is opened.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

/// A vault that takes down what it hears, and whether each value that is opened was announced.
private final class HeardVault: SecretVault {
    private struct State: Sendable {
        var heard: [String] = []
        var open: [SecretUse: Set<SecretAccess>] = [:]
        var failures: [String] = []
    }

    private let vault: EmbeddedVault
    private let state = Mutex(State())

    init(_ vault: EmbeddedVault) { self.vault = vault }

    var heard: [String] { state.withLock { $0.heard } }
    var failures: [String] { state.withLock { $0.failures } }

    /// Whether a value of the snapshot may be opened now.
    func mayOpen(_ access: SecretAccess) -> Bool {
        state.withLock { state in
            [SecretUse.restore, .compare].contains { state.open[$0, default: []].contains(access) }
        }
    }

    var capabilities: VaultCapabilities { vault.capabilities }
    var location: String { vault.location }

    func announce(_ use: SecretUse, _ accesses: [SecretAccess]) throws(HoldfastError) {
        state.withLock { state in
            state.heard.append("\(use) " + accesses.map { $0.version?.text ?? "-" }.joined(separator: ","))
            state.open[use, default: []].formUnion(accesses)
        }
    }

    func failed(_ access: SecretAccess, _ error: HoldfastError) {
        state.withLock { $0.failures.append("\(access.version?.text ?? "-") \(error.code.rawValue)") }
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage { try vault.list(under: prefix, after: mark, limit: limit) }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord { try vault.describe(name) }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        state.withLock { state in
            let wasHeard = state.open.values.contains { $0.contains(SecretAccess(name, version)) }
            state.heard.append("opens \(version?.text ?? "-")\(wasHeard ? "" : " unannounced")")
        }
        return try vault.read(name, version)
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion { try vault.put(put) }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) { try vault.change(name, change) }
}

@Suite("What is heard of values before they are opened")
struct VaultAnnouncementTests {
    private let vaults: VaultPair
    private let clock: HandClock
    private let source: EmbeddedVault
    private let target: EmbeddedVault
    private let heard: HeardVault
    private let name: SecretName

    init() throws {
        let vaults = try VaultPair()
        (self.vaults, clock, source, target) = (vaults, vaults.clock, vaults.source, vaults.target)
        heard = HeardVault(target)
        name = try SecretName("app")
        for text in ["one", "two", "three"] {
            clock.advance(by: .seconds(1))
            try Self.put(text, name, in: source)
        }
    }

    private static func put(_ text: String, _ name: SecretName, in vault: any SecretVault) throws {
        var bytes = Array(text.utf8)
        _ = try vault.put(SecretPut(name, SecretValue(.text, SecretBytes(wiping: &bytes)), expected: .anything))
    }

    private func id(_ text: String) throws -> SecretVersionID { try SecretVersionID(text) }

    /// Restores the source's secret, of which nothing may be opened that was not announced.
    private func restore(
        _ newer: SecretSelection.Newer = .refuse, version: SecretVersionID? = nil, damaged: SecretVersionID? = nil
    ) throws {
        var selection = SecretSelection()
        selection.newer = newer
        if let version {
            selection.names = [name]
            selection.version = version
        }
        let context = WorkloadContext(clock: clock, entropy: SystemEntropy(), cancellation: Cancellation())
        let restore = VaultRestore(heard, selection, context)
        let secret = try source.describe(name)
        func value(_ version: SecretVersion) throws(HoldfastError) -> SecretValue? {
            #expect(heard.mayOpen(SecretAccess(name, version.id)), "\(version.id)")
            if version.id == damaged { throw HoldfastError(.corruptObject, "it is damaged", hint: "Look.") }
            return try source.read(name, version.id).value
        }
        try restore.consider(secret) { (version) throws(HoldfastError) in try value(version) }
        try restore.begin()
        try restore.receive(secret) { (version) throws(HoldfastError) in try value(version) }
    }

    @Test("all versions of a secret together, where it is not there yet")
    func absent() throws {
        try restore()
        #expect(heard.heard == ["restore 1,2,3"])
    }

    @Test("those that are compared together, and then those that are missing")
    func partly() throws {
        let fresh = try source.describe(name)
        var bytes = Array("one".utf8)
        var put = SecretPut(name, SecretValue(.text, SecretBytes(wiping: &bytes)), expected: .absent)
        put.created = fresh.versions[0].created
        _ = try target.put(put)
        try restore()
        #expect(heard.heard == ["compare 1", "opens 1", "compare 1", "opens 1", "restore 2,3"])
        try restore()
        let again = ["compare 1,2,3", "opens 1", "opens 2", "opens 3"]
        #expect(Array(heard.heard.dropFirst(5)) == again + again)
    }

    @Test("the one that is put on top, and the one of the vault that it is held against is an access of its own")
    func onTop() throws {
        try restore()
        clock.advance(by: .seconds(1))
        try Self.put("four", name, in: target)
        let before = heard.heard.count
        try restore(.append)
        #expect(Array(heard.heard.dropFirst(before)) == ["restore 3", "opens 4 unannounced"])
        let after = heard.heard.count
        try restore(version: try id("2"))
        #expect(Array(heard.heard.dropFirst(after)) == ["restore 2", "opens 5 unannounced"])
    }

    @Test("and that it could not be had")
    func failed() throws {
        #expect(throws: HoldfastError.self) { try restore(damaged: try id("2")) }
        #expect(heard.failures == ["2 corrupt-object"])
    }
}
