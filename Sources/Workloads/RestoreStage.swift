// How a snapshot comes back into a workload: where its roots are written, and what is done with them then.

import Primitives
import Repository

/// What a restore writes before the workload takes over.
package struct RestoreStage: Sendable {
    /// A root of the snapshot and the directory that it goes to.
    package struct Part: Sendable {
        /// The root's path in the snapshot; nil for the snapshot as a whole, laid out as for `dir:`.
        package var root: [UInt8]?
        /// A directory root's contents go straight into it, a file root goes there under the last part of its path.
        /// Its parent exists; it is made when it does not.
        package var directory: [UInt8]
        /// Paths below the root that are written last, once all else of all parts is on stable storage.
        package var last: [String]

        package init(root: [UInt8]?, directory: [UInt8], last: [String] = []) {
            self.root = root
            self.directory = directory
            self.last = last
        }
    }

    /// A file of the snapshot that goes into a receiver instead of a directory.
    package struct Stream: Sendable {
        /// Its path as `ls` shows it.
        package var path: [[UInt8]]
        package var receiver: any StreamReceiver

        package init(_ path: [[UInt8]], _ receiver: any StreamReceiver) {
            self.path = path
            self.receiver = receiver
        }
    }

    package var parts: [Part]
    /// Called once when all but ``Part/last`` of all parts is on stable storage, and nothing of that is written yet.
    package var beforeLast: (@Sendable () throws(HoldfastError) -> [WorkloadFinding])?
    /// Takes the snapshot's only root as a stream, in place of `parts`: a file as it is, a directory as a tar archive.
    package var receiver: (any StreamReceiver)?
    /// Takes the secrets of a snapshot of a vault, in place of `parts`: they are written nowhere else.
    package var secrets: (any SecretReceiver)?
    /// Fed one after the other, after the parts.
    package var streams: [Stream] = []
    /// What the workload notes for itself.
    package var notes: [String: String] = [:]

    package init(_ parts: [Part]) { self.parts = parts }

    package init(secrets: any SecretReceiver) {
        parts = []
        self.secrets = secrets
    }

    package init(receiver: any StreamReceiver) {
        parts = []
        self.receiver = receiver
    }
}

/// Takes the bytes of one file of a snapshot, in order, or of a directory as a tar archive.
///
/// Thread: one call at a time.
package protocol StreamReceiver: AnyObject, Sendable {
    /// - Throws: `.targetFailed` when nothing more can be taken; the other streams go on.
    func receive(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError)

    /// Called after the last byte.
    func finish() throws(HoldfastError)

    /// Called instead of ``finish()`` after a failure, also one of its own: takes back what can be taken back.
    func abort()
}

/// A snapshot that was restored, to be looked at.
package struct RestoredCopy: Sendable {
    package var record: SnapshotRecord
    /// Where its roots are, by their paths in the snapshot.
    package var places: [[UInt8]: String]

    package init(record: SnapshotRecord, places: [[UInt8]: String]) {
        self.record = record
        self.places = places
    }
}

/// A throw-away server over a restored copy.
package protocol WorkloadScratch: AnyObject, Sendable {
    /// How a client reaches it: a connection string of its kind.
    var address: String { get }

    /// What was found of the copy before it was asked, and, when its check was broken off, until then.
    var findings: [WorkloadFinding] { get }

    /// Stops it and removes what it made. May be called again.
    func stop()
}

extension SnapshotRecord {
    /// What stands before a fact or an expectation of one of several roots.
    package static func prefix(ofRoot path: String) -> String { "\(path): " }

    /// What is expected of the root at `path`.
    package func expectedContents(ofRoot path: [UInt8]) -> [String: String] {
        guard roots.count > 1 else { return expectedContents }
        let prefix = Self.prefix(ofRoot: String(decoding: path, as: UTF8.self))
        var found: [String: String] = [:]
        for (key, value) in expectedContents where key.hasPrefix(prefix) {
            found[String(key.dropFirst(prefix.count))] = value
        }
        return found
    }
}
