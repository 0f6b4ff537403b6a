// A lease: the promise that work is under way, renewed while it lasts.

import Logging
import ObjectStore
import Primitives
import Sealing
import Synchronization

/// Times of the collection protocol. Ages only trigger; safety never rests on them.
package enum LeaseTimes {
    package static let renewal = Duration.seconds(300)
    /// A lease that was not renewed for this long may be fenced.
    package static let expiry = Duration.seconds(1800)
    /// How long a generation stays condemned before it is swept, for readers without a lease.
    package static let grace = Duration.seconds(24 * 3600)
    /// A lease lives no longer than this, renewed or not.
    package static let maximumLife = Duration.seconds(30 * 86_400)
}

/// Puts and renews one lease.
///
/// Thread: may be used from any thread; renewals are serialised.
package final class LeaseKeeper: Sendable {
    package let id: LeaseID
    private let repository: Repository
    private let purpose: LeaseObject.Purpose
    private let tag: SourceTag
    private let started: Timestamp
    private let numbers: Mutex<(next: UInt32, honoured: UInt32, kept: [PackID])>

    /// Puts renewal 0, which names the snapshot that will be committed.
    package init(
        _ repository: Repository, purpose: LeaseObject.Purpose, tag: SourceTag
    ) throws(HoldfastError) {
        self.repository = repository
        self.purpose = purpose
        self.tag = tag
        started = repository.clock.now()
        id = try LeaseID(at: started, entropy: repository.entropy)
        numbers = Mutex((next: 0, honoured: 0, kept: []))
        try renew()
    }

    package var honoured: UInt32 { numbers.withLock { $0.honoured } }

    /// Puts the next renewal.
    ///
    /// - Parameters:
    ///   - generation: The newest generation whose condemned packs the holder treats as absent; nil for no change.
    ///   - kept: Packs of that generation that the holder had relied on before.
    /// - Durability: on return the collector can see it.
    package func renew(honouring generation: UInt32? = nil, keeping kept: [PackID] = []) throws(HoldfastError) {
        try put(honouring: generation, keeping: kept, isClosed: false)
    }

    private func put(
        honouring generation: UInt32?, keeping kept: [PackID], isClosed: Bool
    ) throws(HoldfastError) {
        let now = numbers.withLock { state -> (number: UInt32, honoured: UInt32, kept: [PackID]) in
            let number = state.next
            state.next += 1
            if let generation, generation > state.honoured {
                state.honoured = generation
                state.kept = kept
            }
            return (number, state.honoured, state.kept)
        }
        let object = LeaseObject(
            repository: repository.id, lease: id, number: now.number, slot: repository.keyring.slot, purpose: purpose,
            tag: tag, started: started, honoured: now.honoured, kept: now.kept, isClosed: isClosed)
        let bytes = try object.encoded(signer: repository.keyring.signing)
        try repository.store.putIfAbsent(ObjectNames.lease(id, now.number), bytes.span.bytes)
    }

    /// Takes the lease away, newest renewal first. A store that refuses keeps it until it expires.
    ///
    /// After a commit a lease that keeps packs stays: it says so until the generation is swept, whatever becomes of the
    /// snapshot. Its last renewal says that it is closed, since nobody is at work any more. A collector removes it.
    package func close(hasCommitted: Bool = false) {
        let (last, keeps) = numbers.withLock { ($0.next, !$0.kept.isEmpty) }
        if hasCommitted && keeps {
            do throws(HoldfastError) {
                try put(honouring: nil, keeping: [], isClosed: true)
            } catch {
                repository.logger.debug("a lease stays open until it expires", metadata: ["error": "\(error)"])
            }
            return
        }
        for number in (0..<last).reversed() {
            do throws(HoldfastError) {
                try repository.store.delete(ObjectNames.lease(id, number))
            } catch {
                repository.logger.debug("a lease stays until it expires", metadata: ["error": "\(error)"])
                return
            }
        }
    }
}
