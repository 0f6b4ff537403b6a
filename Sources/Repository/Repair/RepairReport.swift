// What a repair of the index does, and what it did.

import Primitives

/// How the index is repaired.
package struct RepairOptions: Sendable {
    /// Say what would be done, and put nothing.
    package var isDryRun = false
    /// Read every pack, and set those aside whose bytes do not match their names.
    package var readsData = false
    package var threads = 2
    package var progress = Progress()

    package init() {}
}

/// The outcome of a repair, or with `isDryRun` what it would be.
package struct RepairReport: Sendable {
    /// Something that was left as it is.
    package struct Failure: Sendable, Hashable {
        package var object: String
        package var message: String
    }

    package var isDryRun = false
    /// Good runs that stay.
    package var runsKept = 0
    /// Runs that are replaced: damaged ones, missing ones that snapshots name, and those that list lost packs.
    package var runsReplaced: [IndexRunID] = []
    package var runsWritten: [IndexRunID] = []
    /// Packs that are in a new run, and the chunks in them.
    package var packsIndexed = 0
    package var chunksIndexed = 0
    /// Of those: verified chunk by chunk and attributed to this client, and attributed to nobody.
    package var packsVerified = 0
    package var packsOfNobody = 0
    /// Packs that runs list and that are not in the store.
    package var packsMissing: [PackID] = []
    /// Rotten packs that were moved out of the way, so that the next backup stores their chunks again.
    package var packsSetAside: [PackID] = []
    /// Packs whose head or table of contents cannot be read.
    package var unreadable: [Failure] = []

    package init() {}

    package var isNeeded: Bool { !runsReplaced.isEmpty || packsIndexed > 0 || !packsSetAside.isEmpty }
}
