// A restore from its lease to its end, in the order that keeps what it reads from being collected.

import Logging
import Primitives
import Repository
import Workloads

/// Opens a snapshot for reading, plans, and restores.
package struct RestoreSession: Sendable {
    package let repository: Repository
    package private(set) var snapshot: Snapshot
    package let index: Index
    private let lease: ReaderLease?
    private let notes: [String]

    /// Takes a lease where the store lets it, then finds the snapshot and loads the index.
    ///
    /// - Parameters:
    ///   - takesLease: False for looking and for a dry run, which are over before a collection sweeps.
    ///   - find: Picks the snapshot from the listing that is made under the lease.
    /// - Throws: `.notPermitted` for a key that cannot read data; what `find` and the store throw.
    package init(
        _ repository: Repository, takesLease: Bool = true,
        find: (Repository) throws(HoldfastError) -> Snapshot
    ) throws(HoldfastError) {
        try repository.keyring.requireReadingData()
        self.repository = repository
        var notes: [String] = []
        var lease: ReaderLease?
        if takesLease {
            // The tag of a reader's lease names no snapshot to come.
            do throws(HoldfastError) {
                lease = try ReaderLease(repository, tag: SourceTag(Bytes16()))
            } catch {
                notes.append("no lease was taken, so a collection may remove what is read in a day: \(error.message)")
            }
        }
        self.lease = lease
        self.notes = notes
        do throws(HoldfastError) {
            snapshot = try find(repository)
            index = try repository.loadIndex(for: .reading).index
        } catch {
            lease?.close()
            throw error
        }
    }

    /// Plans a restore; see ``RestorePlan/make(_:snapshot:index:filter:comparing:)``.
    package func plan(
        filter: PathFilter = PathFilter(), comparing existing: [UInt8]? = nil
    ) throws(HoldfastError) -> RestorePlan {
        try RestorePlan.make(repository, snapshot: snapshot, index: index, filter: filter, comparing: existing)
    }

    /// Carries out `plan`, its packs kept by the lease; see ``Restorer``.
    package func run(
        _ plan: RestorePlan, target: TreeWriter, threads: Int, progress: Progress = Progress(),
        unfinished: (RestoreResult) -> Void = { _ in }
    ) throws(HoldfastError) -> RestoreResult {
        let further = rely(on: plan)
        var result = try Restorer(repository, index: index).run(
            plan, target: target, threads: threads, progress: progress,
            cancellation: repository.environment.cancellation, unfinished: unfinished)
        result.notes += further
        return result
    }

    /// Has the lease keep what `plan` reads; what is to be known of that is returned.
    func rely(on plan: RestorePlan) -> [String] {
        do throws(HoldfastError) {
            try lease?.rely(on: plan.packs)
            return notes
        } catch {
            return notes + ["the lease could not be renewed: \(error.message)"]
        }
    }

    /// The same session over another snapshot of the repository.
    func of(_ other: Snapshot) -> RestoreSession {
        var session = self
        session.snapshot = other
        return session
    }

    /// Ends the lease. Call it whether the restore succeeded or not.
    package func close() { lease?.close() }
}
