// Sees to it that a snapshot holds the versions of secrets that a rotation is about to replace.

import Configuring
import Primitives
import Recovery
import Repository
import Rotation
import SecretVaults
import State
import Synchronization
import Workloads

/// Keeps versions in the snapshots of one source.
///
/// A key that may read values compares them; one of a writer, which cannot, sees that the version of that making is in
/// the snapshot with a value.
final class SnapshotKeeper: VersionKeeper {
    private let context: CommandContext
    private let source: ConfiguredSource
    private let place: RepositoryPlace
    private let vault: any SecretVault
    private let opened = Mutex<Repository?>(nil)

    init(_ context: CommandContext, _ source: ConfiguredSource, at place: RepositoryPlace, _ vault: any SecretVault) {
        self.context = context
        self.source = source
        self.place = place
        self.vault = vault
    }

    func repository() throws(HoldfastError) -> Repository {
        try opened.withLock { (opened) throws(HoldfastError) in
            if let opened { return opened }
            let repository = try context.openRepository(nil, at: place)
            opened = repository
            return repository
        }
    }

    func keep(
        _ versions: [VersionToKeep]
    ) throws(HoldfastError) -> [Result<RotationRecord.Kept, HoldfastError>] {
        guard !versions.isEmpty else { return [] }
        let repository = try repository()
        let found = try look(repository, versions)
        guard found.contains(where: { $0 == nil }) else { return found.map { Self.result($0, source, nil) } }
        try backUp(repository)
        let again = try look(repository, versions)
        return zip(again, versions).map { Self.result($0, source, $1) }
    }

    private static func result(
        _ kept: RotationRecord.Kept?, _ source: ConfiguredSource, _ version: VersionToKeep?
    ) -> Result<RotationRecord.Kept, HoldfastError> {
        if let kept { return .success(kept) }
        let what = version.map { "version \($0.version) of the secret \($0.name)" } ?? "the version"
        return .failure(
            HoldfastError(
                .versionNotKept, "no snapshot of \(source.name) holds \(what) with its value",
                hint: "Run `holdfast backup \(source.name)` and see what it leaves out.", retry: .later))
    }

    private func backUp(_ repository: Repository) throws(HoldfastError) {
        var options = BackupOptions(source: source.name, host: Host.name, toolVersion: ToolVersion.current)
        options.compression = try BackupVerb.compression(of: repository, unless: source.compression)
        options.tags = source.tags
        options.facts = source.facts
        options.opensWith = source.opensWith.map(\.description)
        options.vaultOpener = context.vaultOpener(source.vaultPassword)
        options.threads = source.threads ?? BackupVerb.threadsByDefault
        options.readLimit = source.limitRead
        let workloads = try ConfiguredBackup.workloads(of: source, options.workload)
        _ = try Backup(repository, options: options, runner: context.runner).run(workloads: workloads)
    }

    /// What the newest snapshot holds of `versions`, in their order.
    private func look(
        _ repository: Repository, _ versions: [VersionToKeep]
    ) throws(HoldfastError) -> [RotationRecord.Kept?] {
        let tag = try repository.tag(ofSource: source.name)
        var found = [RotationRecord.Kept?](repeating: nil, count: versions.count)
        guard let snapshot = try repository.snapshots(of: tag).latest(of: tag), snapshot.record != nil else {
            return found
        }
        let index = try repository.loadIndex(for: .reading).index
        let readsValues = Self.mayReadValues(repository)
        let reader = try SecretReader(repository, index: index, readsValues: readsValues)
        var wanted: [SecretName: [Int]] = [:]
        for (place, version) in versions.enumerated() { wanted[version.name, default: []].append(place) }
        if readsValues {
            try vault.announce(.compare, versions.map { SecretAccess($0.name, $0.version) })
        }
        let id = snapshot.id.description
        // What is damaged holds nothing: a snapshot that is whole is taken then.
        try reader.visit(snapshot, damaged: { _, _ in }) { (record, contents) throws(HoldfastError) in
            for place in wanted[record.name] ?? [] {
                let version = versions[place]
                guard let content = contents[version.version], let there = record[version.version] else { continue }
                if let value = version.value, readsValues {
                    let isSame = try self.isSame(reader, content, value)
                    if isSame { found[place] = RotationRecord.Kept(snapshot: id, isCompared: true) }
                } else if there.created == version.created, self.vault.capabilities.keepsVersions {
                    found[place] = RotationRecord.Kept(snapshot: id, isCompared: false)
                }
            }
        }
        return found
    }

    private static func mayReadValues(_ repository: Repository) -> Bool {
        do throws(HoldfastError) {
            try repository.keyring.requireReadingData()
            return true
        } catch {
            return false
        }
    }

    private func isSame(
        _ reader: SecretReader, _ content: Content, _ value: SecretValue
    ) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            let kept = try reader.value(content)
            if kept.equals(value) { return true }
            return kept.form == .fields && value.form == .fields
                && SecretVaults.JSONText.isSame(kept.bytes, value.bytes)
        } catch {
            guard error.code == .corruptObject || error.code == .objectMissing else { throw error }
            return false
        }
    }
}
