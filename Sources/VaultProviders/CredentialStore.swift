// One credential for many threads, kept fresh by one of them.

import Primitives
import Synchronization

/// How credentials are kept fresh.
enum CredentialCare {
    /// Another one is fetched when so much of the old one's life is left.
    static let margin = Duration.seconds(300)
    /// Between two attempts while the old one is good. Some sources give the same until its last minutes.
    static let patience = Duration.seconds(30)
}

/// Keeps one credential, and gets another before it ends.
///
/// Of several threads that need another, one gets it and the others wait for that; where it could not be had they have
/// the failure of that attempt and make none of their own. While the old one is good a failure to get another is borne.
final class CredentialStore<Credential: Sendable>: Sendable {
    private struct Held: Sendable {
        var credential: Credential?
        /// What it was asked for.
        var purpose = ""
        /// Counts credentials, so that two threads that found the same one dead get one new one.
        var number = 0
        /// On the clock's uptime: no earlier attempt than this.
        var next: Duration?
        /// Of the last attempt, if that failed.
        var failure: (error: HoldfastError, purpose: String)?
    }

    private let clock: any Clock
    private let end: @Sendable (Credential) -> Timestamp?
    private let held = Mutex(Held())
    /// Attempts that are over.
    private let attempts = Atomic<Int>(0)
    /// Threads that are in ``credential(for:after:_:)``.
    let present = Atomic<Int>(0)

    /// - Parameter end: When a credential ends; nil for one that does not, or of which nothing is known.
    init(clock: any Clock, end: @escaping @Sendable (Credential) -> Timestamp?) {
        self.clock = clock
        self.end = end
    }

    /// The credential to use, and its number.
    ///
    /// - Parameters:
    ///   - purpose: One that was got for another purpose is not given.
    ///   - dead: The number of one that is refused, which is not given again.
    ///   - get: Gets another; one attempt.
    func credential(
        for purpose: String = "", after dead: Int? = nil, _ get: () throws(HoldfastError) -> Credential
    ) throws(HoldfastError) -> (credential: Credential, number: Int) {
        let seen = attempts.load(ordering: .sequentiallyConsistent)
        present.add(1, ordering: .sequentiallyConsistent)
        defer { present.subtract(1, ordering: .sequentiallyConsistent) }
        return try held.withLock { (held) throws(HoldfastError) in
            guard let known = held.credential, held.purpose == purpose, dead != held.number else {
                return try refreshed(&held, purpose, seen, get)
            }
            guard isDue(known, held) else { return (known, held.number) }
            do throws(HoldfastError) {
                return try refreshed(&held, purpose, seen, get)
            } catch {
                guard isAlive(known) else { throw error }
                held.next = clock.uptime() + CredentialCare.patience
                return (known, held.number)
            }
        }
    }

    private func refreshed(
        _ held: inout Held, _ purpose: String, _ seen: Int, _ get: () throws(HoldfastError) -> Credential
    ) throws(HoldfastError) -> (credential: Credential, number: Int) {
        // This thread waited while an attempt was made, and it failed.
        if let failure = held.failure, failure.purpose == purpose,
            attempts.load(ordering: .sequentiallyConsistent) > seen
        {
            throw failure.error
        }
        defer { attempts.add(1, ordering: .sequentiallyConsistent) }
        do throws(HoldfastError) {
            let made = try get()
            held.credential = made
            held.purpose = purpose
            held.number += 1
            held.next = clock.uptime() + CredentialCare.patience
            held.failure = nil
            return (made, held.number)
        } catch {
            held.failure = (error, purpose)
            throw error
        }
    }

    private func isDue(_ credential: Credential, _ held: Held) -> Bool {
        guard let end = end(credential) else { return false }
        if let next = held.next, clock.uptime() < next { return false }
        return end.since(clock.now()) < CredentialCare.margin
    }

    private func isAlive(_ credential: Credential) -> Bool { end(credential).map { $0 > clock.now() } ?? true }
}
