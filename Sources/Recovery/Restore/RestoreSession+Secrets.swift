// Secrets of a snapshot that go into a vault.

import Primitives
import Repository
import SecretVaults
import Workloads

extension RestoreSession {
    /// Shows all secrets to `receiver`, and restores them when it does not refuse.
    ///
    /// A secret that cannot be restored is in the result by its name; the others go on.
    /// - Parameters:
    ///   - result: Has also what came of it before it failed.
    ///   - isDryRun: Only let it refuse.
    func restore(
        secrets receiver: any SecretReceiver, into result: inout RestoreResult, isDryRun: Bool = false,
        _ progress: Progress
    ) throws(HoldfastError) {
        defer { result.leftLiveCount += receiver.leftLive }
        if !isDryRun { result.notes += rely(on: try plan()) }
        let reader = try SecretReader(repository, index: index)
        func value(_ version: SecretVersion, _ contents: [SecretVersionID: Content]) throws(HoldfastError)
            -> SecretValue?
        {
            guard let content = contents[version.id] else { return nil }
            return try reader.value(content)
        }
        func note(_ path: [UInt8], _ error: HoldfastError) {
            result.failureCount += 1
            guard result.failures.count < RestoreResult.maximumKept else { return }
            result.failures.append(PathFailure(path: path, error: error))
        }
        func each(
            _ body: (SecretRecord, [SecretVersionID: Content]) throws(HoldfastError) -> Void
        ) throws(HoldfastError) {
            try reader.visit(snapshot) { (path, error) in
                note(path, error)
            } _: { (secret, contents) throws(HoldfastError) in
                do throws(HoldfastError) {
                    try body(secret, contents)
                } catch {
                    guard type(of: receiver).isOfOneSecret(error.code) else { throw error }
                    note(secret.name.bytes, error)
                }
            }
        }
        try each { (secret, contents) throws(HoldfastError) in
            try receiver.consider(secret) { (version) throws(HoldfastError) in try value(version, contents) }
        }
        try receiver.begin()
        guard !isDryRun else { return }
        // What could not be looked at is tried, and told, again.
        result.failureCount = 0
        result.failures = []
        progress.enter(.restoring)
        try each { (secret, contents) throws(HoldfastError) in
            try receiver.receive(secret) { (version) throws(HoldfastError) in
                let found = try value(version, contents)
                result.bytesWritten += UInt64(found?.bytes.count ?? 0)
                return found
            }
            result.files += 1
            progress.add(items: 1)
        }
    }
}
