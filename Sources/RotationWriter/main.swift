// Rotates one secret of an embedded vault and ends itself by SIGKILL where it is told. Tests start it; it ships with
// nothing.

import Foundation
import Glibc
import Primitives
import Rotation
import Scheduling
import SecretVaults
import State
import Synchronization
import VaultProviders
import Workloads

/// A target that is a file: the values that it accepts, one a line. Each change is one rename.
struct FileTarget: RotationTarget {
    let path: String
    let tell: @Sendable (String) -> Void

    var name: String { "the file" }
    var keepsOld: Bool { true }
    var effects: TargetEffects { TargetEffects() }

    private var accepted: [String] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    private func text(_ value: SecretValue) -> String { value.bytes.withBytes { String(decoding: $0, as: UTF8.self) } }

    private func write(_ values: [String]) throws(HoldfastError) {
        do {
            try Data(values.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw HoldfastError(.targetFailed, "the file can't be written", retry: .later)
        }
    }

    func preflight(_ current: SecretValue) throws(HoldfastError) -> [String: String] { [:] }

    func compose(
        _ current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>, notes: inout [String: String]
    ) throws(HoldfastError) -> SecretValue { SecretValue(.text, fresh.bytes) }

    func accepts(_ value: SecretValue) throws(HoldfastError) -> TargetAnswer {
        accepted.contains(text(value)) ? .accepted : .refused
    }

    func apply(_ value: SecretValue, over current: SecretValue) throws(HoldfastError) {
        try write(accepted + [text(value)])
        tell("applied")
    }

    func verify(_ value: SecretValue, notes: inout [String: String]) throws(HoldfastError) {
        guard accepted.contains(text(value)) else { throw HoldfastError(.usage, "the file refuses it") }
    }

    func retire(
        _ old: SecretValue, keeping new: SecretValue, urgent: Bool, notes: inout [String: String]
    ) throws(HoldfastError) {
        try write(accepted.filter { $0 != text(old) })
    }
}

/// Keeps nothing: what a snapshot does is tested with the program.
struct NoKeeper: VersionKeeper {
    func keep(_ versions: [VersionToKeep]) throws(HoldfastError) -> [Result<RotationRecord.Kept, HoldfastError>] {
        versions.map { _ in .success(RotationRecord.Kept(snapshot: "none", isCompared: false)) }
    }
}

func secret(_ text: String) -> SecretBytes {
    var bytes = Array(text.utf8)
    return SecretBytes(wiping: &bytes)
}

/// Makes a vault with so many secrets, for measurements.
func fill(_ path: String, _ count: Int) throws(HoldfastError) {
    let vault = try EmbeddedVault.create(
        at: path, password: secret("opens the vault"), clock: SystemClock(), entropy: SystemEntropy())
    for number in 0..<count {
        let value = SecretValue(.text, secret("old value \(number)"))
        _ = try vault.put(SecretPut(try SecretName("app/\(number)"), value, expected: .absent))
    }
}

func run(_ arguments: [String]) throws(HoldfastError) {
    if arguments.count == 3, arguments[0] == "fill", let count = Int(arguments[2]) {
        return try fill(arguments[1], count)
    }
    guard arguments.count >= 3, let fatal = Int(arguments[1]) else {
        throw HoldfastError(.usage, "RotationWriter DIRECTORY BOUNDARY back|on [SERVER]", hint: "A test calls it.")
    }
    let directory = arguments[0]
    let (clock, entropy) = (SystemClock(), SystemEntropy())
    let vault = try EmbeddedVault.open(
        at: directory + "/vault", password: secret("first"), clock: clock, entropy: entropy)
    let store = try SQLiteRunStore(
        path: directory + "/state/runs.sqlite", clock: SQLiteRunStore.systemClock(clock), entropy: entropy)
    let audit = AuditLog(
        state: directory + "/state", actor: AuditActor(user: "test", uid: getuid(), host: "test"), clock: clock,
        entropy: entropy)
    let tools = RotationTools(
        vault: vault, journal: store, audit: audit, keeper: NoKeeper(),
        key: try RotationKey.open(inState: directory + "/state", entropy: entropy),
        programs: SecretPrograms(SystemProcessRunner(), cancellation: Cancellation()), clock: clock, entropy: entropy,
        cancellation: Cancellation(), holder: RunHolder(host: "test", process: getpid()),
        isGone: { kill($0.process, 0) != 0 })
    let passed = Mutex(0)
    let boundary: @Sendable (String) -> Void = { name in
        let number = passed.withLock { passed -> Int in
            passed += 1
            return passed
        }
        if number == fatal {
            FileHandle.standardOutput.write(Data((name + "\n").utf8))
            kill(getpid(), SIGKILL)
        }
    }
    var policy = RotationPolicy(
        name: "test", source: "test", secrets: [try SecretName("app")], period: .seconds(3600),
        opening: Opening(windows: [], blackouts: [], zone: try TimeZoneRules(named: "UTC")))
    let target: any RotationTarget
    if arguments.count > 3 {
        policy.grace = .milliseconds(300)
        let plan = PostgresTargetPlan(
            admin: try PostgresAddress(arguments[3]), adminPassword: { () throws(HoldfastError) in nil },
            users: ["shop_a", "shop_b"], role: "shop")
        target = PostgresRotationTarget(plan, clock: clock, entropy: entropy, cancellation: Cancellation())
    } else {
        target = FileTarget(path: directory + "/accepted") { boundary($0) }
    }
    let record = RotationRecord(
        id: RotationID(try entropy.bytes16()), secret: RotatedSecret(vault: vault.location, name: "app"),
        policy: "test", strategy: "command", trigger: .manual, reason: nil, actor: "test", began: clock.now())
    var task = RotationTask(record: record, policy: policy, target: target)
    task.isOrdered = true
    task.goesBack = arguments[2] == "back"
    let outcomes = try RotationEngine(tools, boundary: boundary).run([task])
    for outcome in outcomes {
        if let error = outcome.error { throw error }
        FileHandle.standardOutput.write(Data((outcome.record.state.rawValue + "\n").utf8))
    }
}

do throws(HoldfastError) {
    try run(Array(CommandLine.arguments.dropFirst()))
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
