// The check of a repository that was opened with a key.

import Logging
import ObjectStore
import Primitives

extension Repository {
    /// Checks everything that this key can check; damage is in the report, and never ends the work.
    ///
    /// Memory: the index (mapped when there is a cache directory), sixteen bytes for each node of a tree, a pack for
    /// each thread. Cancellation: between objects and pieces of packs.
    ///
    /// - Throws: what listings throw, and `.interrupted`.
    package func check(_ options: CheckOptions = CheckOptions()) throws(HoldfastError) -> CheckReport {
        let collector = CheckCollector(store, options: options, cancellation: environment.cancellation)
        let objects = try ObjectCheck(collector, keyring: keyring).run()
        let cache = environment.cacheDirectory.map { RunCache(directory: $0, repository: id) }
        let index = try RunCheck(collector: collector, objects: objects, keyring: keyring, cache: cache).run()
        let outcome = try PackPass(
            collector: collector, objects: objects, runs: index.live, keyring: keyring, entropy: entropy
        ).run()
        let trees = try TreeCheck(collector, objects: objects, index: index, packs: outcome, keyring: keyring)
        try trees.run()
        return collector.report()
    }
}
