// Secrets of a snapshot that go into a vault.

import Primitives
import Repository
import SecretVaults
import Workloads

extension RestoreSession {
    /// Shows all secrets to `receiver`, and restores them when it does not refuse.
    ///
    /// A secret that cannot be restored is in the result by its name; the others go on.
    /// - Parameter isDryRun: Only let it refuse.
    func restore(
        secrets receiver: any SecretReceiver, isDryRun: Bool = false, _ progress: Progress
    ) throws(HoldfastError) -> RestoreResult {
        var result = RestoreResult()
        if !isDryRun { result.notes += rely(on: try plan()) }
        let reader = try SecretReader(repository, index: index)
        try reader.visit(snapshot) { (secret, _) throws(HoldfastError) in try receiver.consider(secret) }
        try receiver.begin()
        guard !isDryRun else { return result }
        progress.enter(.restoring)
        try reader.visit(snapshot) { (secret, contents) throws(HoldfastError) in
            do throws(HoldfastError) {
                try receiver.receive(secret) { (version) throws(HoldfastError) in
                    guard let content = contents[version.id] else { return nil }
                    let value = try reader.value(content)
                    result.bytesWritten += UInt64(value.bytes.count)
                    return value
                }
                result.files += 1
                progress.add(items: 1)
            } catch {
                let isOwn: Set<ErrorCode> = [
                    .corruptObject, .objectMissing, .targetFailed, .secretConflict, .vaultAccessDenied, .secretNotFound,
                ]
                guard isOwn.contains(error.code) else { throw error }
                result.failureCount += 1
                if result.failures.count < RestoreResult.maximumKept {
                    result.failures.append(PathFailure(path: secret.name.bytes, error: error))
                }
            }
        }
        return result
    }
}
