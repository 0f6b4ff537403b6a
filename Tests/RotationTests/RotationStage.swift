// A vault, a journal and an audit log for one engine, and a target that does what a test says.

import Foundation
import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import StateSupport
import Synchronization
import TestSupport
import Testing
import VaultProviders

func secret(_ text: String) -> SecretBytes {
    let bytes = Array(text.utf8)
    return SecretBytes(copying: bytes.span.bytes)
}

func text(_ value: SecretValue) -> String { value.bytes.withBytes { String(decoding: $0, as: UTF8.self) } }

func failure(_ body: () throws -> Void) -> HoldfastError? {
    do {
        try body()
        return nil
    } catch {
        return error as? HoldfastError
    }
}

/// A vault that fails when a test says so, and counts.
final class WatchedVault: SecretVault {
    private let vault: any SecretVault
    private let hook = Mutex<(@Sendable (String, SecretName) throws(HoldfastError) -> Void)?>(nil)
    private let calls = Mutex<[String]>([])
    let capabilities: VaultCapabilities

    init(_ vault: any SecretVault, comparison: VaultComparison? = nil) {
        self.vault = vault
        var own = vault.capabilities
        if let comparison { own.comparison = comparison }
        capabilities = own
    }

    var location: String { vault.location }
    var log: [String] { calls.withLock { $0 } }

    /// `body` is called before each put and change, and after it with `did ` before the name.
    func on(_ body: (@Sendable (String, SecretName) throws(HoldfastError) -> Void)?) { hook.withLock { $0 = body } }

    private func call(_ what: String, _ name: SecretName) throws(HoldfastError) {
        calls.withLock { $0.append("\(what) \(name)") }
        if let hook = hook.withLock({ $0 }) { try hook(what, name) }
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try vault.preflight(rights, under: prefix)
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage { try vault.list(under: prefix, after: mark, limit: limit) }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord { try vault.describe(name) }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try call("read", name)
        return try vault.read(name, version)
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try call("put", put.name)
        let made = try vault.put(put)
        try call("did put", put.name)
        return made
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        try call("change", name)
        try vault.change(name, change)
        try call("did change", name)
    }
}

/// A target that accepts what it was given.
final class SetTarget: RotationTarget {
    struct State: Sendable {
        var accepted: Set<String> = []
        var asked: [String] = []
        /// Values that are refused by the target's rules, whatever comes.
        var refusals = 0
        var applyFailure: HoldfastError?
        var retireFailure: HoldfastError?
    }

    let state = Mutex(State())
    let keepsOld: Bool

    init(_ accepted: Set<String> = [], keepsOld: Bool = true) {
        self.keepsOld = keepsOld
        state.withLock { $0.accepted = accepted }
    }

    var name: String { "the set" }
    var effects: TargetEffects { TargetEffects(apply: ["set it"], verify: ["ask it"], retire: ["drop the old one"]) }
    var accepted: Set<String> { state.withLock { $0.accepted } }
    var asked: [String] { state.withLock { $0.asked } }

    func preflight(_ current: SecretValue) throws(HoldfastError) -> [String: String] { [:] }

    func compose(
        _ current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>, notes: inout [String: String]
    ) throws(HoldfastError) -> SecretValue { SecretValue(.text, fresh.bytes) }

    func accepts(_ value: SecretValue) throws(HoldfastError) -> TargetAnswer {
        state.withLock { state in
            state.asked.append("accepts")
            return state.accepted.contains(text(value)) ? .accepted : .refused
        }
    }

    func apply(_ value: SecretValue, over current: SecretValue) throws(HoldfastError) {
        try state.withLock { (state) throws(HoldfastError) in
            state.asked.append("apply")
            if let failure = state.applyFailure { throw failure }
            if state.refusals > 0 {
                state.refusals -= 1
                throw HoldfastError(.usage, "its rules refuse the value")
            }
            state.accepted.insert(text(value))
            if !keepsOld { state.accepted.remove(text(current)) }
        }
    }

    func verify(_ value: SecretValue, notes: inout [String: String]) throws(HoldfastError) {
        guard try accepts(value) == .accepted else { throw HoldfastError(.targetFailed, "not yet", retry: .later) }
        notes["verified"] = "yes"
    }

    func retire(
        _ old: SecretValue, keeping new: SecretValue, urgent: Bool, notes: inout [String: String]
    ) throws(HoldfastError) {
        try state.withLock { (state) throws(HoldfastError) in
            state.asked.append("retire")
            if let failure = state.retireFailure { throw failure }
            state.accepted.remove(text(old))
        }
    }
}

/// Says of every version that a snapshot holds it, or that none does.
struct StubKeeper: VersionKeeper {
    var error: HoldfastError?

    func keep(_ versions: [VersionToKeep]) throws(HoldfastError) -> [Result<RotationRecord.Kept, HoldfastError>] {
        versions.map { version in
            if let error { return .failure(error) }
            return .success(RotationRecord.Kept(snapshot: "S", isCompared: version.value != nil))
        }
    }
}

struct RotationStage {
    let directory = TemporaryDirectory()
    let clock = ManualClock()
    let vault: WatchedVault
    let journal: SQLiteRunStore
    let audit: MemoryAuditTrail
    let key: RotationKey
    var keeper = StubKeeper()
    var policy: RotationPolicy
    var process: Int32 = 100

    init(comparison: VaultComparison? = nil) throws {
        vault = WatchedVault(
            try EmbeddedVault.create(
                at: directory.path + "/vault", password: secret("first"), cost: PasswordCost(logN: 10, p: 1),
                clock: clock, entropy: SystemEntropy()), comparison: comparison)
        let time = clock
        journal = try SQLiteRunStore(
            path: directory.path + "/state/runs.sqlite", clock: RunStoreClock(boot: "one") { time.uptime() })
        audit = MemoryAuditTrail(actor: AuditActor(user: "test", uid: 1, host: "test"), clock: clock)
        key = try RotationKey.open(inState: directory.path + "/state", entropy: SystemEntropy())
        policy = RotationPolicy(
            name: "test", source: "secrets", secrets: [try SecretName("app")], period: .seconds(30 * 86_400),
            opening: Opening(windows: [], blackouts: [], zone: try TimeZoneRules(named: "UTC")))
        _ = try put("app", "old")
    }

    @discardableResult
    func put(_ name: String, _ value: String) throws -> SecretVersion {
        try vault.put(SecretPut(try SecretName(name), SecretValue(.text, secret(value)), expected: .anything))
    }

    func current(_ name: String = "app") throws -> String { text(try vault.read(try SecretName(name), nil).value) }

    func versions(_ name: String = "app") throws -> Int { try vault.describe(try SecretName(name)).versions.count }

    func engine(gone: Bool = false, _ boundary: (@Sendable (String) -> Void)? = nil) -> RotationEngine {
        let tools = RotationTools(
            vault: vault, journal: journal, audit: audit, keeper: keeper, key: key,
            programs: SecretPrograms(SystemProcessRunner(), cancellation: Cancellation()), clock: clock,
            entropy: SystemEntropy(), cancellation: Cancellation(),
            holder: RunHolder(host: "test", process: process), isGone: { _ in gone })
        return RotationEngine(tools, boundary: boundary)
    }

    func task(
        _ name: String = "app", _ trigger: RotationTrigger = .schedule, target: (any RotationTarget)? = nil
    ) throws -> RotationTask {
        let record = RotationRecord(
            id: RotationID(try SystemEntropy().bytes16()), secret: RotatedSecret(vault: vault.location, name: name),
            policy: "test", strategy: "test", trigger: trigger, reason: "a test", actor: "tester", began: clock.now())
        return RotationTask(record: record, policy: policy, target: target)
    }

    func rotate(
        _ trigger: RotationTrigger = .schedule, target: (any RotationTarget)? = nil, ordered: Bool = false,
        back: Bool = false
    ) throws -> RotationOutcome {
        var task = try task("app", trigger, target: target)
        task.isOrdered = ordered
        task.goesBack = back
        return try #require(try engine().run([task]).first)
    }
}
