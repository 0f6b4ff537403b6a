// Asks a vault again where that can help; the one place that does.

import Primitives
import SecretVaults

/// How often, and after which waits, a vault is asked again after failures that pass by themselves: throttling,
/// unavailability, and nobody who answers where credentials come from.
///
/// The wait before attempt n is a random part of the least of `longest` and `first` · 2ⁿ ("full jitter"), and never
/// less than what the vault asked for; a vault that asks for more than `longest` is not waited for. Writes are asked
/// again after the same two, of which the protocol says that nothing was changed; `.writeUnknown` never is.
package struct VaultPatience: Sendable {
    private let attempts: Int
    private let first: Duration
    private let longest: Duration
    private let clock: any Clock
    private let entropy: any Entropy
    private let cancellation: Cancellation

    package init(
        attempts: Int = 5, first: Duration = .milliseconds(200), longest: Duration = .seconds(30), clock: any Clock,
        entropy: any Entropy, cancellation: Cancellation
    ) {
        precondition((1...20).contains(attempts), "between one attempt and twenty")
        self.attempts = attempts
        self.first = first
        self.longest = longest
        self.clock = clock
        self.entropy = entropy
        self.cancellation = cancellation
    }

    /// Runs `body` until it succeeds, fails for good, or was tried often enough.
    ///
    /// - Throws: the last failure; `.interrupted` when it was cancelled in between.
    func again<R>(_ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        var attempt = 1
        while true {
            do throws(HoldfastError) {
                return try body()
            } catch {
                guard Self.passes(error), attempt < attempts, let wait = try wait(after: attempt, error.retryAfter)
                else {
                    throw error
                }
                clock.sleep(for: wait, unless: cancellation)
                try cancellation.check()
                attempt += 1
            }
        }
    }

    private static func passes(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .vaultThrottled, .vaultUnavailable: error.retry != .never
        case .vaultLoginFailed: error.retry == .later
        default: false
        }
    }

    /// Nil when the vault asks for more patience than there is.
    private func wait(after attempt: Int, _ asked: Duration?) throws(HoldfastError) -> Duration? {
        if let asked, asked > longest { return nil }
        let most = min(longest, first * (1 << min(attempt - 1, 20)))
        let random = try entropy.bytes(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return max(most * (Double(random) / Double(UInt32.max)), asked ?? .zero)
    }
}

/// A vault that is asked again as ``VaultPatience`` has it.
package struct RetryingVault: SecretVault {
    private let vault: any SecretVault
    private let patience: VaultPatience

    package init(_ vault: any SecretVault, _ patience: VaultPatience) {
        self.vault = vault
        self.patience = patience
    }

    package var capabilities: VaultCapabilities { vault.capabilities }
    package var location: String { vault.location }

    package func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        try patience.again { () throws(HoldfastError) in try vault.preflight(rights, under: prefix) }
    }

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        try patience.again { () throws(HoldfastError) in try vault.list(under: prefix, after: mark, limit: limit) }
    }

    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        try patience.again { () throws(HoldfastError) in try vault.describe(name) }
    }

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try patience.again { () throws(HoldfastError) in try vault.read(name, version) }
    }

    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try patience.again { () throws(HoldfastError) in try vault.put(put) }
    }

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        try patience.again { () throws(HoldfastError) in try vault.change(name, change) }
    }
}
