// raft: the storage of a whole Vault or OpenBao, bit by bit, as a source and as a target.

import Glibc
import Primitives
import Repository
import SecretVaults

/// A cluster's storage, as the archive that the server makes of it.
///
/// The second tier beside ``VaultWorkload``: policies, logins and all else are in it, and nothing can be taken out of
/// it but the whole, into a cluster that its unseal keys open.
package struct RaftWorkload: Workload {
    package static let kind = "raft"
    /// Under which name the vendors' tools keep it.
    static let fileName = "raft.snap"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRestoredTo = true
        return capabilities
    }

    /// Nil where copies are checked alone.
    private let place: VaultClusterLocation?
    private let opener: any VaultOpener
    private let replaces: Bool

    /// - Parameter rest: What stands behind `raft:`; nil for what can't be meant.
    package init?(rest: String, options: WorkloadOptions = WorkloadOptions()) {
        guard let place = try? VaultClusterLocation(rest) else { return nil }
        self.place = place
        opener = options.vaultOpener
        replaces = options.replaces
    }

    /// Checks restored copies, and knows no vault.
    package static var ofCopies: RaftWorkload { RaftWorkload() }

    private init() {
        place = nil
        opener = NoVaultOpener()
        replaces = false
    }

    /// Why nothing can be meant by `rest`; nil when something is.
    static func refusal(of rest: String) -> String? {
        do throws(HoldfastError) {
            _ = try VaultClusterLocation(rest)
            return nil
        } catch {
            return error.message
        }
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: "raft:\(location)") }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    private var location: String { place?.description ?? "" }

    private func open(_ context: WorkloadContext) throws(HoldfastError) -> any VaultCluster {
        guard let place else {
            throw HoldfastError(.usage, "no vault is named", hint: "Name one by raft:https://HOST.")
        }
        return try opener.openCluster(place, clock: context.clock, cancellation: context.cancellation)
    }

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        let found: VaultPreflight
        do throws(HoldfastError) {
            found = try open(context).preflight(toRestore: false)
        } catch {
            guard error.code != .interrupted else { throw error }
            return [WorkloadFinding(.error, "vault", error.message, hint: error.hint, code: error.code)]
        }
        let who = [found.server, found.identity.map { "as \($0)" }].compactMap { $0 }.joined(separator: ", ")
        var findings = [WorkloadFinding(.good, "vault", "\(location) answers: \(who)")]
        for missing in found.missing {
            findings.append(
                WorkloadFinding(
                    .error, "rights", "the login may not \(missing.right.rawValue) \(missing.path)",
                    hint: "Give its policy this right; docs/VAULTS.md has the whole policy.", code: .vaultAccessDenied))
        }
        findings += found.notes.map { WorkloadFinding(.warning, "vault", $0) }
        return findings
    }

    /// Takes the archive as it comes, and looks into it on the way: it is whole only when the sums in it are those of
    /// its members.
    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        let cluster = try open(context)
        let found = try cluster.preflight(toRestore: false)
        let began = context.clock.now()
        let stream = KeptDownload(try cluster.save(), into: sink)
        var file = EntryMetadata(name: Array(Self.fileName.utf8), kind: .file)
        file.mode = 0o600
        file.modified = began
        try sink.beginRoot(Array(Self.fileName.utf8), file, order: .sorted)
        try sink.beginFile([], .content)
        let archive = try RaftArchive(stream)
        try sink.endFile(file)
        try sink.endRoot()
        var outcome = ReadOutcome()
        // The server takes it in one piece, some time after the call began.
        outcome.facts["raft.bytes"] = "\(stream.count)"
        outcome.facts["raft.stateBytes"] = "\(archive.stateBytes)"
        outcome.facts["raft.index"] = archive.index
        outcome.facts["raft.term"] = archive.term
        outcome.facts["vault.server"] = found.server
        return outcome
    }

    /// That the sums in the restored archive are those of its members.
    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var findings = copy.checkRoots()
        for place in copy.places.values {
            do throws(HoldfastError) {
                let number = Glibc.open(place, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                guard number >= 0 else { throw HoldfastError.systemCall("open", errno, on: place) }
                let file = OwnedDescriptor(number)
                let archive = try RaftArchive(
                    StreamSource(descriptor: file.number, cancellation: context.cancellation))
                findings.append(
                    WorkloadFinding(
                        .good, "archive", "its sums are those of its members: \(ByteCount(archive.stateBytes)) of state"
                    ))
            } catch {
                guard error.code != .interrupted else { throw error }
                findings.append(WorkloadFinding(.error, "archive", error.message, hint: error.hint, code: error.code))
            }
        }
        return findings
    }

    // MARK: Restoring

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        guard record.workload == Self.kind else {
            throw HoldfastError(
                .usage, "the snapshot is of \(record.workload):, which is no storage of a vault",
                hint: "Choose a snapshot of raft:; `holdfast snapshots` lists them.")
        }
        let cluster = try open(context)
        let found = try cluster.preflight(toRestore: true)
        let wanted = replaces ? "snapshot-force" : "snapshot"
        if let missing = found.missing.first(where: { $0.path.hasSuffix("/\(wanted)") }) {
            throw HoldfastError(
                .vaultAccessDenied, "the login may not \(missing.right.rawValue) \(missing.path)",
                hint: "Restore with a login that may; docs/VAULTS.md has the policy.")
        }
        return RestoreStage(receiver: RaftReceiver(cluster, replacingKeys: replaces))
    }

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard let receiver = stage.receiver as? RaftReceiver, let upload = receiver.accepted else { return [] }
        let accepted = "\(location) accepted \(ByteCount(receiver.taken)) for its storage"
        guard isComplete else {
            return [WorkloadFinding(.warning, "vault", accepted, hint: "See with `bao status` how it stands.")]
        }
        return [Self.finding(try upload.settle(), accepted, replaces: replaces)]
    }

    private static func finding(
        _ standing: VaultClusterStanding, _ accepted: String, replaces: Bool
    ) -> WorkloadFinding {
        switch standing {
        case .active: WorkloadFinding(.good, "vault", "\(accepted), has it in place and is active")
        case .sealed where replaces:
            WorkloadFinding(
                .warning, "vault",
                "\(accepted) and is sealed: unseal it with the keys of the snapshot's vault, which shows that it has "
                    + "it in place", hint: "Should they not unseal it, its log says what went wrong.")
        case .sealed:
            // One that keeps its keys is not sealed by that.
            WorkloadFinding(
                .error, "vault",
                "\(accepted) and sealed itself, as one does that could not put the storage in place",
                hint: "Read the server's log, unseal it, and look what it has before you restore it again.",
                code: .checkFailed)
        case .standby:
            WorkloadFinding(
                .warning, "vault",
                "\(accepted) and leads no more: what the node has that leads now does not show from here",
                hint: "Look at that node for what was written last; where it is still there, restore to that node.")
        case .answering:
            WorkloadFinding(
                .warning, "vault",
                "\(accepted) and answers; it does not say since when it leads, so that it may not be in place yet",
                hint: "See with `bao status` that it is active.")
        case .unseen:
            WorkloadFinding(
                .error, "vault",
                "\(accepted), and did not answer in some minutes as one that has it in place",
                hint: "Look at `bao status` and at the server's log before you restore it again.", code: .checkFailed)
        }
    }
}

/// Gives a cluster its storage. It takes nothing for whole before the end.
private final class RaftReceiver: StreamReceiver, @unchecked Sendable {
    // Sendable: handed on as a whole with its stage, used by one thread.
    private let cluster: any VaultCluster
    private let replacingKeys: Bool
    private var upload: (any VaultUpload)?
    /// The same, once the cluster has accepted all.
    private(set) var accepted: (any VaultUpload)?
    private(set) var taken: UInt64 = 0

    init(_ cluster: any VaultCluster, replacingKeys: Bool) {
        self.cluster = cluster
        self.replacingKeys = replacingKeys
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        if self.upload == nil { self.upload = try cluster.restore(replacingKeys: replacingKeys) }
        guard let upload else { return }
        try upload.write(bytes)
        taken += UInt64(bytes.count)
    }

    func finish() throws(HoldfastError) {
        guard let upload else {
            throw HoldfastError(.emptyStream, "the snapshot holds no storage", hint: "Choose another snapshot.")
        }
        try upload.finish()
        accepted = upload
        self.upload = nil
    }

    func abort() { upload = nil }
}

/// What comes from a vault, put into a sink as it is read.
private final class KeptDownload: ByteStream, @unchecked Sendable {
    // Sendable: used by one thread.
    private let download: any VaultDownload
    private let sink: any EntrySink
    private(set) var count: UInt64 = 0

    init(_ download: any VaultDownload, into sink: any EntrySink) {
        self.download = download
        self.sink = sink
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        let found = try download.read(into: buffer)
        try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<found]))
        count += UInt64(found)
        return found
    }

    func finish() throws(HoldfastError) {}
}
