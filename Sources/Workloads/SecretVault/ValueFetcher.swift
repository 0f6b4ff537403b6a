// Values of many versions, read side by side within bounds.

import Primitives
import SecretVaults
import Synchronization

/// Reads values, and records where a listing has none, on a few threads.
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

    /// Whether a failure costs the one that was asked for, and the others are asked for all the same.
    let isOfOne: @Sendable (HoldfastError) -> Bool

    private struct State<Found: Sendable>: Sendable {
        var next = 0
        var isOver = false
        var results: [Result<Found, HoldfastError>?]
    }

    /// The readings of at most ``batch`` wishes, in their order, or why there is none.
    ///
    /// - Throws: `.interrupted`, and what keeps them from being read at all.
    func fetch(_ wishes: [Wish]) throws(HoldfastError) -> [Result<SecretReading, HoldfastError>] {
        precondition(wishes.count <= Self.batch, "a batch is bounded")
        let vault = vault
        let keepsVersions = vault.capabilities.keepsVersions
        try vault.announce(.read, wishes.map { SecretAccess($0.name, keepsVersions ? $0.version.id : nil) })
        return try sideBySide(wishes) { (wish) throws(HoldfastError) in
            let reading = try vault.read(wish.name, keepsVersions ? wish.version.id : nil)
            // Whatever the vault takes for a value, no more than this is kept of one.
            guard UInt64(reading.value.bytes.count) <= SecretValue.maximumCount.bytes else {
                throw .secretTooLarge(wish.name, reading.version)
            }
            return reading
        }
    }

    /// The records of a page of names, in their order, or why there is none.
    ///
    /// - Throws: `.interrupted`, and what keeps them from being looked at all.
    func describe(_ names: [SecretName]) throws(HoldfastError) -> [Result<SecretRecord, HoldfastError>] {
        precondition(names.count <= SecretBounds.page, "a page is bounded")
        let vault = vault
        return try sideBySide(names) { (name) throws(HoldfastError) in try vault.describe(name) }
    }

    /// Does `body` to each, on as many threads as the vault bears, and no more once one failed in a way that is about
    /// all of them: that failure is thrown.
    private func sideBySide<Wanted: Sendable, Found: Sendable>(
        _ wanted: [Wanted], _ body: @escaping @Sendable (Wanted) throws(HoldfastError) -> Found
    ) throws(HoldfastError) -> [Result<Found, HoldfastError>] {
        let state = Mutex(State<Found>(results: Array(repeating: nil, count: wanted.count)))
        let (isOfOne, cancellation) = (isOfOne, cancellation)
        @Sendable func work() {
            while true {
                let place = state.withLock { state -> Int? in
                    guard !state.isOver, state.next < wanted.count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let place else { return }
                do throws(HoldfastError) {
                    try cancellation.check()
                    let found = try body(wanted[place])
                    state.withLock { $0.results[place] = .success(found) }
                } catch {
                    state.withLock { state in
                        state.results[place] = .failure(error)
                        state.isOver = state.isOver || !isOfOne(error)
                    }
                }
            }
        }
        let helpers = max(0, min(vault.capabilities.concurrency, wanted.count) - 1)
        let threads = (0..<helpers).compactMap { _ in JoinableThread { work() } }
        work()
        for thread in threads { thread.join() }
        try cancellation.check()
        let results = state.withLock { $0.results }
        for case .failure(let error)? in results where !isOfOne(error) { throw error }
        let whole = results.compactMap(\.self)
        precondition(whole.count == wanted.count, "each was asked for")
        return whole
    }
}
