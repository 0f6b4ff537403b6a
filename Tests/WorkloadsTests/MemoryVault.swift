// A vault in memory for the tests of restores whose calls fail.

import Primitives
import SecretVaults
import Synchronization

@testable import VaultProviders

/// Does as the embedded vault does, and fails at one of its calls or from it on.
final class MemoryVault: SecretVault {
    struct Contents {
        var secrets: [SecretName: StoredSecret] = [:]
        var values: [SecretName: [UInt64: SecretValue]] = [:]
    }

    struct Fault {
        var code: ErrorCode
        /// The first call that fails, from 1.
        var call: Int
        /// All that come after it fail as well.
        var isLasting = false
    }

    private struct State {
        var contents: Contents
        var calls = 0
        var fault: Fault?
    }

    let capabilities: VaultCapabilities
    let location = "memory"
    private let clock: any Clock
    private let state: Mutex<State>

    init(_ contents: Contents, _ capabilities: VaultCapabilities, _ clock: any Clock, _ fault: Fault? = nil) {
        self.capabilities = capabilities
        self.clock = clock
        state = Mutex(State(contents: contents, fault: fault))
    }

    var contents: Contents { state.withLock { $0.contents } }
    var calls: Int { state.withLock { $0.calls } }

    /// What is not known to be done is done.
    private func call<R>(
        isWrite: Bool = false, _ body: (inout Contents) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        let result: Result<R, HoldfastError> = state.withLock { state in
            state.calls += 1
            let isDue = state.fault.map { state.calls == $0.call || $0.isLasting && state.calls > $0.call } ?? false
            do throws(HoldfastError) {
                guard isDue, let fault = state.fault else { return .success(try body(&state.contents)) }
                if isWrite, fault.code == .writeUnknown { _ = try body(&state.contents) }
                return .failure(HoldfastError(fault.code, "call \(state.calls) failed", hint: "It is a test."))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func secret(_ name: SecretName, in contents: Contents) throws(HoldfastError) -> StoredSecret {
        guard let secret = contents.secrets[name] else { throw HoldfastError.secretNotFound(name) }
        return secret
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        VaultPreflight()
    }

    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage { SecretPage() }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        let now = clock.now()
        return try call { (contents) throws(HoldfastError) in try Self.secret(name, in: contents).record(at: now) }
    }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        let now = clock.now()
        return try call { (contents) throws(HoldfastError) in
            let record = try Self.secret(name, in: contents).record(at: now)
            guard record.removal == nil else { throw HoldfastError.secretDeleted(name, nil) }
            guard let found = (version ?? record.current).flatMap({ record[$0] }), found.state == .live,
                let value = contents.values[name]?[found.order]
            else { throw HoldfastError.secretNotFound(name, version) }
            return SecretReading(version: found.id, value: value)
        }
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        let now = clock.now()
        return try call(isWrite: true) { (contents) throws(HoldfastError) in
            var secret = contents.secrets[put.name] ?? StoredSecret(name: put.name, created: now)
            try secret.expect(put)
            let stored = try secret.append(put, salt: Bytes32(), at: now)
            contents.secrets[put.name] = secret
            contents.values[put.name, default: [:]][stored.order] = put.value
            return stored.version(at: now)
        }
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        let now = clock.now()
        try call(isWrite: true) { (contents) throws(HoldfastError) in
            var secret = try Self.secret(name, in: contents)
            for order in try secret.apply(change, at: now) { contents.values[name]?[order] = nil }
            contents.secrets[name] = secret
        }
    }
}
