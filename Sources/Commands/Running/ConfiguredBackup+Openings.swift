// The secrets of vaults that open a source, and the snapshots of vaults that keep them.

import Configuring
import Primitives
import Recovery
import Repository
import SecretVaults
import Workloads

extension ConfiguredBackup {
    /// What is to open `source`, by the configuration.
    func wishes(
        of source: ConfiguredSource, _ configuration: Configuration
    ) throws(HoldfastError) -> [OpeningWish] {
        try OpeningWish.wishes(of: source, configuration, context)
    }

    /// Takes snapshots of the vaults whose versions opened a source and are in no snapshot yet.
    ///
    /// - Parameter taken: Gets what came of each of these snapshots.
    /// - Returns: A warning for each version that is in none afterwards.
    /// - Throws: `.interrupted` alone.
    func keep(
        _ openings: SnapshotOpenings, _ repository: Repository, _ configuration: Configuration,
        _ taken: inout [(source: ConfiguredSource, outcome: Outcome)]
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        let needed = openings.needed
        for name in Set(needed.map(\.source)).sorted() {
            let own = needed.filter { $0.source == name }
            do throws(HoldfastError) {
                let missing = try unkept(own, in: repository)
                guard !missing.isEmpty else { continue }
                let source = try configuration.requireSource(named: name)
                do throws(HoldfastError) {
                    taken.append((source, .done(try snapshot(source, in: repository))))
                } catch {
                    if error.code == .interrupted { throw error }
                    taken.append((source, .failed(error)))
                }
                findings += try left(missing, in: repository).map { Self.finding($0, nil) }
            } catch {
                if error.code == .interrupted { throw error }
                findings += own.map { Self.finding($0, error) }
            }
        }
        return findings
    }

    /// Versions that are in no snapshot yet. One whose instant the vault does not tell may be another than that of the
    /// same id in a snapshot, so that it counts as missing.
    private func unkept(
        _ needed: [NeededVersion], in repository: Repository
    ) throws(HoldfastError) -> [NeededVersion] {
        let uncertain = needed.filter { $0.created == nil }
        return uncertain + (try left(needed.filter { $0.created != nil }, in: repository))
    }

    /// Those of one vault that no snapshot holds.
    private func left(
        _ needed: [NeededVersion], in repository: Repository
    ) throws(HoldfastError) -> [NeededVersion] {
        guard let source = needed.first?.source else { return [] }
        let listing = try repository.snapshots(of: try repository.tag(ofSource: source))
        let held = try HeldVersions(repository, among: listing.snapshots)
        var left: [NeededVersion] = []
        for one in needed where try held.holder(of: one) == nil { left.append(one) }
        return left
    }

    private func snapshot(
        _ source: ConfiguredSource, in repository: Repository
    ) throws(HoldfastError) -> BackupSummary {
        let options = try options(for: source, in: repository)
        return try Backup(repository, options: options, runner: context.runner)
            .run(workloads: try Self.workloads(of: source, options.workload))
    }

    private static func finding(_ needed: NeededVersion, _ error: HoldfastError?) -> WorkloadFinding {
        WorkloadFinding(
            .warning, BackupSummary.unkept,
            "no snapshot of \(needed.source) is known to hold \(needed.label), which opens this one"
                + (error.map { ": \($0.message)" } ?? ""),
            hint: "Back up \(needed.source) with the same key: without that version nobody gets into what is restored.",
            code: error?.code ?? .secretNotFound)
    }
}

extension OpeningWish {
    /// What is to open `source`, by the configuration.
    static func wishes(
        of source: ConfiguredSource, _ configuration: Configuration, _ context: CommandContext
    ) throws(HoldfastError) -> [OpeningWish] {
        var openers: [String: any VaultOpener] = [:]
        var wishes: [OpeningWish] = []
        for opening in source.openings {
            let vault = try configuration.requireSource(named: opening.vault)
            guard let address = vault.vaultAddress else { continue }
            // One for each vault, so that a password is asked for once.
            let opener =
                openers[vault.name]
                ?? context.vaultOpener(vault.vaultPassword, for: VaultUse(reason: "opensWith of \(source.name)"))
            openers[vault.name] = opener
            wishes.append(
                OpeningWish(
                    source: vault.name, address: address, opener: opener, secret: try SecretName(opening.secret),
                    field: opening.field, role: opening.role, database: opening.database))
        }
        return wishes
    }
}
