// What is written down of a drill while it runs, so that the next one can tell what became of it.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Repository
import Workloads

/// The record of one drill under way, as a file in the state directory.
///
/// `ID.drill` holds the record as it would have to be left if the drill ended now, with the verdict `interrupted`;
/// `ID.lock` is locked as long as the process lives. Both go when the evidence is where it belongs.
final class DrillJournal: Sendable {
    private static let ending = ".drill"
    private static let mostLeftovers = 1000

    private let path: String
    private let repository: RepositoryID
    private let lock: OwnedDescriptor

    /// - Parameter directory: Made when it is not there. Nothing is left in it by what throws.
    init(_ record: EvidenceRecord, of repository: RepositoryID, in directory: String) throws(HoldfastError) {
        try Self.make(directory)
        path = "\(directory)/\(record.id)"
        self.repository = repository
        let number = holdfast_openat(AT_FDCWD, path + ".lock", O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: path + ".lock") }
        lock = OwnedDescriptor(number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
            throw HoldfastError.systemCall("lock", errno, on: path + ".lock")
        }
        do throws(HoldfastError) {
            try note(record)
        } catch {
            end()
            throw error
        }
    }

    /// Takes over what another process left; nil while that lives, or when the file is none.
    private init?(leftover path: String) {
        let number = holdfast_openat(AT_FDCWD, path + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard number >= 0 else { return nil }
        lock = OwnedDescriptor(number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else { return nil }
        guard let file = try? EvidenceFiles.read(path + Self.ending, waits: false), case .draft(let draft) = file else {
            return nil
        }
        self.path = path
        repository = draft.repository
    }

    /// Puts `record` in the place of what was noted before.
    ///
    /// - Durability: on return it is on stable storage.
    func note(_ record: EvidenceRecord) throws(HoldfastError) {
        let bytes = try EvidenceDraft(repository: repository, record: record).encoded()
        let fresh = path + ".new"
        unlink(fresh)
        try EvidenceFiles.write(bytes, to: fresh)
        guard rename(fresh, path + Self.ending) == 0 else {
            throw HoldfastError.systemCall("rename", errno, on: fresh)
        }
        guard syncDirectory() else { throw HoldfastError.systemCall("sync the directory of", errno, on: path) }
    }

    /// The evidence is elsewhere now.
    ///
    /// - Durability: the names are gone from stable storage on return. Where that cannot be, a record may come back
    ///   after a crash; whoever finds it then sees that it was left.
    /// - Returns: names of records that are still there.
    @discardableResult
    func end() -> [String] {
        let left = [Self.ending, ".new", ".lock"].map { path + $0 }.filter { unlink($0) != 0 && errno != ENOENT }
        _ = syncDirectory()
        return left
    }

    private func syncDirectory() -> Bool {
        let directory = open(String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]), O_RDONLY | O_CLOEXEC)
        defer { if directory >= 0 { close(directory) } }
        return directory >= 0 && fsync(directory) == 0
    }

    private static func make(_ directory: String) throws(HoldfastError) {
        var path = ""
        for part in directory.split(separator: "/") {
            path += "/\(part)"
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw HoldfastError.systemCall("make directory", errno, on: path)
            }
        }
        guard isOurs(directory, S_IFDIR) else {
            throw HoldfastError(
                .accessDenied, "\(directory) belongs to another user, or others may write there",
                hint: "What it holds becomes evidence: remove it, or set XDG_STATE_HOME to a directory of your own.")
        }
    }

    /// Whether nobody else can have made or changed what is at `path`.
    private static func isOurs(_ path: String, _ kind: mode_t) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        return status.st_mode & S_IFMT == kind && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    }

    // MARK: After a crash

    /// A drill whose process is gone.
    struct Leftover {
        let journal: DrillJournal
        let record: EvidenceRecord
    }

    /// Drills of `repository` whose processes are gone, oldest first; nobody else gets them while these are kept.
    static func leftovers(of repository: RepositoryID, in directory: String) -> [Leftover] {
        var found: [Leftover] = []
        guard isOurs(directory, S_IFDIR) else { return [] }
        for name in ScratchTree.names(in: directory).filter({ $0.hasSuffix(ending) }).sorted().prefix(mostLeftovers) {
            let path = "\(directory)/\(name.dropLast(ending.count))"
            guard isOurs(path + ending, S_IFREG), let journal = DrillJournal(leftover: path),
                journal.repository == repository,
                let file = try? EvidenceFiles.read(path + ending, waits: false), case .draft(let draft) = file
            else { continue }
            found.append(Leftover(journal: journal, record: draft.record))
        }
        return found
    }
}
