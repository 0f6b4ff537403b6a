// The lease of a restore: collectors see that packs are being read, and keep them.

import Logging
import ObjectStore
import Primitives
import Sealing
import Synchronization

/// Held while a snapshot is read for long.
///
/// Order: open the lease, then list snapshots and load the index, plan, and call ``rely(on:)``. Until that call no
/// collection is answered, so that none is swept in between (or this reader is fenced off after thirty minutes, which
/// for a reader means nothing more than that its packs may go).
/// Thread: may be used from any thread; a thread of its own renews.
package final class ReaderLease: Sendable {
    private let repository: Repository
    private let lease: LeaseKeeper
    private let renewer: LeaseRenewer
    private let packs = Mutex<Set<PackID>?>(nil)

    /// Puts the lease, and renews it every five minutes.
    ///
    /// - Throws: what the store throws, as one that is read-only does. A reader can go on without a lease then: it has
    ///   the grace of a collection, a day.
    package init(_ repository: Repository, tag: SourceTag) throws(HoldfastError) {
        self.repository = repository
        lease = try LeaseKeeper(repository, purpose: .read, tag: tag)
        renewer = LeaseRenewer(repository.environment)
        renewer.start { [weak self] in
            do throws(HoldfastError) {
                try self?.renew()
            } catch {
                self?.repository.logger.warning("a lease was not renewed", metadata: ["error": "\(error)"])
            }
        }
    }

    package var id: LeaseID { lease.id }

    /// Names the packs that will be read, and answers collections from now on by keeping these.
    package func rely(on packs: Set<PackID>) throws(HoldfastError) {
        self.packs.withLock { $0 = packs }
        try renew()
    }

    /// Puts a renewal; a new collection is answered with what is kept of it.
    package func renew() throws(HoldfastError) {
        guard let packs = packs.withLock({ $0 }) else { return try lease.renew() }
        // One that is damaged is not answered: it is not swept either.
        let collections = try repository.readableCollections()
        guard collections.newest > lease.honoured else { return try lease.renew() }
        let kept = packs.intersection(collections.condemnedPacks.union(collections.doomedPacks))
        try lease.renew(honouring: collections.newest, keeping: kept.sorted())
    }

    /// Ends the lease.
    package func close() {
        renewer.stop()
        lease.close()
    }
}
