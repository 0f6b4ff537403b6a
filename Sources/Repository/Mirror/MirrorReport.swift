// What a mirror copies, and what it could not copy.

import Primitives

/// How a mirror works.
package struct MirrorOptions: Sendable {
    /// Say what would be copied, and put nothing.
    package var isDryRun = false
    /// Threads that copy packs; each holds one in memory.
    package var threads = 2
    package var progress = Progress()

    package init() {}
}

/// The outcome of a mirror.
package struct MirrorReport: Sendable {
    /// An object that is not at the target as it should be, and why.
    package struct Failure: Sendable, Hashable {
        package var object: String
        package var message: String
    }

    /// A snapshot that was not copied, since something that it may need is not at the target.
    package struct Withheld: Sendable, Hashable {
        package var snapshot: SnapshotID
        package var object: String
        /// The objects that it waits for, at most ``maximumReasons``.
        package var waitsFor: [String]
        package static let maximumReasons = 10
    }

    package var isDryRun = false
    package var objectsCopied: UInt64 = 0
    package var bytesCopied: UInt64 = 0
    package var packsCopied: UInt64 = 0
    package var snapshotsCopied: UInt64 = 0
    /// Objects that were at the target already.
    package var objectsPresent: UInt64 = 0
    /// Objects that are bad at the source; none of them was copied.
    package var badAtSource: [Failure] = []
    /// Objects that the target holds with another length or other bytes.
    package var badAtTarget: [Failure] = []
    package var withheld: [Withheld] = []
    package var transientReads: [TransientRead] = []

    package init() {}

    package var isComplete: Bool { badAtSource.isEmpty && badAtTarget.isEmpty && withheld.isEmpty }

    /// - Throws: `.checkFailed`, which ends the command with status 4, when something was not copied.
    package func requireComplete() throws(HoldfastError) {
        guard !isComplete else { return }
        let bad = badAtSource.count + badAtTarget.count
        let first = (badAtSource + badAtTarget).first.map { ": \($0.object): \($0.message)" } ?? ""
        throw HoldfastError(
            .checkFailed, "\(bad) objects are bad and \(withheld.count) snapshots were not copied\(first)",
            hint: "Run `holdfast check --read-data` on both repositories, then `holdfast repair index --read-data`.")
    }
}
