// Objects as files below one directory. Layout and order of system calls: docs/format.md, "Local".

import CLinux
import Glibc
import Logging
import Primitives
import Synchronization

/// A store in a directory of a local or mounted file system.
///
/// Every object is a regular file whose path is its name, of mode 0400, never written again once it has the name.
/// Names that begin with a dot are the store's own: unfinished puts, the reserve, the probes. Everything is reached
/// below one descriptor that is opened once, and symbolic links inside the store are not followed.
///
/// Reads open the file each time: below one descriptor that costs three microseconds (measured on ext4), and no cached
/// descriptor can show bytes that were healed or removed meanwhile.
package final class LocalStore: ObjectStore {
    /// How a finished file gets its name.
    package enum Naming: Sendable {
        /// link(2): fails when the name is taken.
        case link
        /// renameat2(2) with RENAME_NOREPLACE: the same, on file systems without hard links.
        case renameNoReplace
        /// rename(2) after a look: two writers at the same moment are not told apart.
        case renameOver
    }

    /// What ``create(at:reserve:calls:entropy:logger:)`` makes; `packs` has one directory for each first byte besides.
    static let directories = [
        "format", "slots", "grants", "packs", "index", "snapshots", "leases", "gc", "holds", "epochs",
        quarantineDirectory,
    ]
    static let quarantineDirectory = "quarantine"
    static let reserveName = ".reserve"
    static let temporaryPrefix = ".put-"
    static let probePrefix = ".probe-"

    package let location: String
    let root: Int32
    let naming: Naming
    let reserve: ByteCount
    let calls: any FileCalls
    let entropy: any Entropy
    let logger: Logger
    /// Directories whose way from the root is known to be on stable storage, since this process synced it.
    let syncedDirectories = Mutex<Set<String>>([])

    init(
        location: String, root: Int32, naming: Naming, reserve: ByteCount, calls: any FileCalls, entropy: any Entropy,
        logger: Logger
    ) {
        self.location = location
        self.root = root
        self.naming = naming
        self.reserve = reserve
        self.calls = calls
        self.entropy = entropy
        self.logger = logger
    }

    deinit { _ = calls.close(root) }

    package var capabilities: StoreCapabilities {
        StoreCapabilities(createsIfAbsent: naming != .renameOver, concurrency: 4, coalescingGap: .kibi(256))
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? {
        guard let directory = try openDirectory(of: key) else { return nil }
        defer { _ = calls.close(directory) }
        switch calls.status(at: directory, String(key.lastPart)) {
        case .success(let status):
            guard status.kind == .regular else { return nil }
            return ObjectInfo(key: key, size: status.size, modified: status.modified)
        case .failure(let failure):
            if failure.errorNumber == ENOENT { return nil }
            throw self.failure("stat", failure.errorNumber, on: key.path)
        }
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        guard let directory = try openDirectory(of: key) else { return }
        defer { _ = calls.close(directory) }
        let result = calls.unlink(at: directory, String(key.lastPart))
        switch result {
        // A name that is gone may have gone this moment by another's hand: the directory is synced all the same.
        case 0, -ENOENT: break
        case -EISDIR: return
        default: throw failure("unlink", -result, on: key.path)
        }
        try sync(directory, "the directory of \(key)")
        // Each lease has a directory of its own: without this every backup would leave one behind. It goes only when
        // it is empty, and a renewal that comes at this moment fails and is made up for by the next.
        if key.directory.hasPrefix("leases/") { _ = calls.removeDirectory(at: root, key.directory) }
    }

    /// The time that the file system gives to a file made now, read from a probe that is removed again.
    package func time() throws(HoldfastError) -> Timestamp {
        let (descriptor, name) = try makeTemporary(in: root, prefix: Self.probePrefix)
        defer {
            _ = calls.close(descriptor)
            _ = calls.unlink(at: root, name)
        }
        switch calls.status(descriptor) {
        case .success(let status): return status.modified
        case .failure(let failure): throw self.failure("fstat", failure.errorNumber, on: name)
        }
    }

    // MARK: - Shared by the topics

    /// Opens the directory that holds `key`; nil when there is none.
    func openDirectory(of key: ObjectKey) throws(HoldfastError) -> Int32? {
        try openDirectory(key.directory)
    }

    /// Opens a directory below the root by its path, which is empty for the root itself; nil when there is none.
    func openDirectory(_ path: String) throws(HoldfastError) -> Int32? {
        let descriptor = calls.open(at: root, path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY, mode: 0)
        switch descriptor {
        case 0...: return descriptor
        case -ENOENT, -ENOTDIR: return nil
        default: throw failure("open", -descriptor, on: path)
        }
    }

    /// Makes an empty file under a fresh random name; the caller closes and removes it.
    func makeTemporary(
        in directory: Int32, prefix: String
    ) throws(HoldfastError) -> (descriptor: Int32, name: String) {
        // A taken name means 128 bits drawn twice, or a script in a test.
        for _ in 0..<4 {
            let name = prefix + Hex.encode(try entropy.bytes(16))
            let descriptor = calls.open(at: directory, name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            if descriptor >= 0 { return (descriptor, name) }
            if descriptor != -EEXIST { throw failure("create", -descriptor, on: name) }
        }
        throw HoldfastError(
            .storeUnavailable, "no free temporary name in \(location)", hint: "Check the source of randomness.")
    }

    func sync(_ descriptor: Int32, _ thing: String) throws(HoldfastError) {
        let result = calls.sync(descriptor)
        if result < 0 { throw failure("fsync", -result, on: thing) }
    }

    /// A failed call as the protocol's errors; passing faults of disks and networks may be tried again later.
    func failure(
        _ call: String, _ errorNumber: Int32, on thing: String, code: ErrorCode = .storeUnavailable
    ) -> HoldfastError {
        let error = HoldfastError.systemCall(call, errorNumber, on: thing, code: code).with("store", location)
        switch errorNumber {
        case EIO, ESTALE, ETIMEDOUT, ENFILE, EINTR, EBUSY, EHOSTDOWN, ENETDOWN:
            return HoldfastError(
                code, error.message, hint: "Check the disk or the mount and the kernel log, then try again.",
                context: error.context.map { ($0.key, $0.value) }, retry: .later)
        case ELOOP, EXDEV:
            return HoldfastError(
                .accessDenied, error.message,
                hint: "Replace symbolic links inside the store by directories or bind mounts; they are not followed.",
                context: error.context.map { ($0.key, $0.value) })
        default: return error
        }
    }
}

extension ObjectKey {
    /// All parts but the last, joined; empty for a name of one part.
    var directory: String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[..<slash])
    }
}
