// Values of many versions, read side by side within bounds.

import Primitives
import SecretVaults
import Synchronization

/// Reads values on a few threads.
///
/// Bounded: a batch of ``batch`` values is in memory, each of at most ``SecretValue/maximumCount``.
struct ValueFetcher: Sendable {
    static let batch = 64

    struct Wish: Sendable {
        var name: SecretName
        var version: SecretVersion
    }

    let vault: any SecretInventory
    let cancellation: Cancellation

    private struct State: Sendable {
        var next = 0
        var found: [SecretReading?]
        var failures: [HoldfastError?]
    }

    /// The readings of at most ``batch`` wishes, in their order, or why there is none.
    ///
    /// - Throws: `.interrupted`, and what keeps them from being read at all.
    func fetch(_ wishes: [Wish]) throws(HoldfastError) -> [Result<SecretReading, HoldfastError>] {
        precondition(wishes.count <= Self.batch, "a batch is bounded")
        let state = Mutex(
            State(
                found: Array(repeating: nil, count: wishes.count),
                failures: Array(repeating: nil, count: wishes.count)))
        let (vault, cancellation) = (vault, cancellation)
        let keepsVersions = vault.capabilities.keepsVersions
        try vault.announce(.read, wishes.map { SecretAccess($0.name, keepsVersions ? $0.version.id : nil) })
        @Sendable func work() {
            while true {
                let place = state.withLock { state -> Int in
                    defer { state.next += 1 }
                    return state.next
                }
                guard place < wishes.count else { return }
                let wish = wishes[place]
                do throws(HoldfastError) {
                    try cancellation.check()
                    let id: SecretVersionID? = keepsVersions ? wish.version.id : nil
                    let reading = try vault.read(wish.name, id)
                    state.withLock { $0.found[place] = reading }
                } catch {
                    state.withLock { $0.failures[place] = error }
                }
            }
        }
        let helpers = max(0, min(vault.capabilities.concurrency, wishes.count) - 1)
        let threads = (0..<helpers).compactMap { _ in JoinableThread { work() } }
        work()
        for thread in threads { thread.join() }
        try cancellation.check()
        return state.withLock { state in
            wishes.indices.map { place in
                if let reading = state.found[place] { return .success(reading) }
                return .failure(
                    state.failures[place]
                        ?? HoldfastError(.inputOutput, "a value was not asked for", hint: "Run again."))
            }
        }
    }
}
