// What a backup keeps a vault from forgetting, before it reads.

import Configuring
import Primitives
import Recovery
import Repository
import SecretVaults

extension ConfiguredBackup {
    /// Raises limits, or pins versions, where the source says so.
    ///
    /// - Returns: False when something that is needed still goes, or could not be kept; that was told, and the backup
    ///   goes on, which keeps the most.
    /// - Throws: `.interrupted` alone.
    func guardVersions(of source: ConfiguredSource, _ repository: Repository) throws(HoldfastError) -> Bool {
        guard source.versionGuard == .raise, let guarded = GuardedSource(source) else { return true }
        do throws(HoldfastError) {
            let vault = try guarded.open(context, VaultUse(reason: "versionGuard: raise"))
            var run = GuardRun(context: context, vault: vault, source: guarded.source, repository: repository)
            run.settings.raises = vault.capabilities.fields.contains(.limits)
            run.settings.pins = vault.capabilities.kind == .aws
            let result = try run.run()
            for change in result.changes { tell(change) }
            for finding in result.verdict.inDanger {
                context.output.warning(
                    "the next put pushes a version out of \(ShownText.name(finding.name.text)) that no snapshot had")
            }
            return result.verdict.inDanger.isEmpty && !result.changes.contains { $0.failure != nil }
        } catch {
            if error.code == .interrupted { throw error }
            context.output.warning("the vault's versions are not guarded: \(ShownText.line(error.message))")
            return false
        }
    }

    private func tell(_ change: GuardRun.Change) {
        let line = GuardText.line(change, isPlanned: false)
        if change.failure == nil { context.output.remark(line) } else { context.output.warning(line) }
    }
}
