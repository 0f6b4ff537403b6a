// A second copy of a repository in another store, made without a key.

import Logging
import ObjectStore
import Primitives
import Sealing
import Synchronization

/// Copies what another store lacks.
///
/// The source is listed as readers do, snapshots first, so that under running writers everything that a listed snapshot
/// needs is listed too. Objects are put in the order of commits: the target is a whole repository after every call,
/// with some snapshots still to come. Each object is verified before it is put: names against bytes, digests,
/// signatures of the small ones. Nothing is deleted or replaced at the target.
package struct Mirror {
    private let source: any ObjectStore
    private let target: any ObjectStore
    private let environment: Environment

    package init(from source: any ObjectStore, to target: any ObjectStore, environment: Environment) {
        self.source = source
        self.target = target
        self.environment = environment
    }

    /// Copies; running it again after a failure goes on where it stopped.
    ///
    /// - Throws: `.repositoryNotFound` without a source, `.repositoryExists` when the target is another repository,
    ///   what listings and the target throw, and `.interrupted`. Bad objects are in the report.
    package func run(_ options: MirrorOptions = MirrorOptions()) throws(HoldfastError) -> MirrorReport {
        let format = try Repository.readFormat(in: source, trusted: nil)
        try checkTarget(format)
        let collector = CheckCollector(source, options: CheckOptions(), cancellation: environment.cancellation)
        let objects = try ObjectCheck(collector, keyring: nil).run()
        let index = try RunCheck(collector: collector, objects: objects, keyring: nil, cache: nil).run()
        let there = try listTarget()
        let work = MirrorWork(
            source: source, target: target, options: options, collector: collector, objects: objects, index: index,
            there: there)
        return try work.run()
    }

    /// The target is empty, or holds the same repository.
    private func checkTarget(_ format: FormatObject) throws(HoldfastError) {
        guard try Repository.newestFormatKey(in: target) != nil else {
            for prefix in [ObjectNames.packs, ObjectNames.snapshots] {
                try target.list(prefix) { (info) throws(HoldfastError) in
                    throw HoldfastError(
                        .repositoryExists, "\(target.location) holds \(info.key) and no format object",
                        hint: "Choose an empty place for the second copy.")
                }
            }
            return
        }
        let other = try Repository.readFormat(in: target, trusted: nil)
        guard other.repository == format.repository, other.adminKey == format.adminKey else {
            throw HoldfastError(
                .repositoryExists, "\(target.location) holds another repository",
                hint: "Choose an empty place for the second copy, or the one that it was mirrored to before.")
        }
    }

    private func listTarget() throws(HoldfastError) -> [ObjectKey: UInt64] {
        var there: [ObjectKey: UInt64] = [:]
        try target.list("") { (info) throws(HoldfastError) in
            if !info.key.path.hasPrefix(ObjectNames.leases) { there[info.key] = info.size }
        }
        return there
    }
}
