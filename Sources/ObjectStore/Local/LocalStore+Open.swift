// Making a store, opening one, and finding out what its file system can do.

import CLinux
import Glibc
import Logging
import Primitives

extension LocalStore {
    /// A logger for callers that have none: what it gets is dropped.
    package static var silent: Logger { Logger(label: "holdfast.store", factory: { _ in SwiftLogNoOpLogHandler() }) }

    /// Makes the directory with all that a repository needs in it, and opens it. Running it again is harmless.
    ///
    /// - Durability: on return every directory, and the name of the store in its parent, is on stable storage.
    /// - Throws: `.repositoryExists` when objects are there already; `.usage` when the directory holds other things.
    package static func create(
        at path: String, reserve: ByteCount = .mebi(8), calls: any FileCalls = SystemFileCalls(),
        entropy: any Entropy = SystemEntropy(), logger: Logger = LocalStore.silent
    ) throws(HoldfastError) -> LocalStore {
        try makeRoot(path, calls)
        let root = try openRoot(path, calls)
        let store: LocalStore
        do throws(HoldfastError) {
            try refuseOccupied(root, path, calls)
            store = LocalStore(
                location: path, root: root, naming: probeNaming(root, calls, entropy), reserve: reserve, calls: calls,
                entropy: entropy, logger: logger)
        } catch {
            _ = calls.close(root)
            throw error
        }
        try store.makeLayout()
        store.refillReserve()
        return store
    }

    /// Opens a store that ``create(at:reserve:calls:entropy:logger:)`` made.
    ///
    /// Writes nothing that lasts on a store that is whole; works on one that is mounted read-only.
    /// - Throws: `.repositoryNotFound` when the directory is not there or holds no store.
    package static func open(
        at path: String, reserve: ByteCount = .mebi(8), calls: any FileCalls = SystemFileCalls(),
        entropy: any Entropy = SystemEntropy(), logger: Logger = LocalStore.silent
    ) throws(HoldfastError) -> LocalStore {
        let root = try openRoot(path, calls)
        // Without this look a mistyped path would get a reserve file.
        guard case .success(let status) = calls.status(at: root, "format"), status.kind == .directory else {
            _ = calls.close(root)
            throw notFound(path)
        }
        let store = LocalStore(
            location: path, root: root, naming: probeNaming(root, calls, entropy), reserve: reserve, calls: calls,
            entropy: entropy, logger: logger)
        store.refillReserve()
        return store
    }

    private static func notFound(_ path: String) -> HoldfastError {
        HoldfastError(
            .repositoryNotFound, "no repository at \(path)",
            hint: "Check the path and that its disk is mounted; `holdfast init` makes a new repository.")
    }

    private static func openRoot(_ path: String, _ calls: any FileCalls) throws(HoldfastError) -> Int32 {
        let (descriptor, number) = retryingInterrupts {
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        if descriptor >= 0 { return descriptor }
        if number == ENOENT || number == ENOTDIR { throw notFound(path) }
        throw HoldfastError.systemCall("open", number, on: path, code: .storeUnavailable)
    }

    /// Makes the store's own directory and those above it, and syncs the one above each new one.
    private static func makeRoot(_ path: String, _ calls: any FileCalls) throws(HoldfastError) {
        guard !path.isEmpty else { throw HoldfastError(.usage, "the path of the store is empty", hint: "Give a path.") }
        let parts = path.split(separator: "/").map(String.init)
        var parent = path.hasPrefix("/") ? "/" : "."
        for part in parts {
            let child = parent == "/" ? "/\(part)" : "\(parent)/\(part)"
            let (made, number) = retryingInterrupts { mkdir(child, 0o700) }
            // Directories above may be read-only to this user and there all the same.
            if made < 0, number != EEXIST, access(child, F_OK) != 0 {
                throw HoldfastError.systemCall("mkdir", number, on: child, code: .storeUnavailable)
            }
            if made == 0 {
                let directory = try openRoot(parent, calls)
                defer { _ = calls.close(directory) }
                let result = calls.sync(directory)
                if result < 0 {
                    throw HoldfastError.systemCall("fsync", -result, on: parent, code: .storeUnavailable)
                }
            }
            parent = child
        }
    }

    private static func refuseOccupied(_ root: Int32, _ path: String, _ calls: any FileCalls) throws(HoldfastError) {
        func names(_ directory: Int32) throws(HoldfastError) -> [String] {
            switch calls.names(in: directory) {
            case .success(let names): return names.filter { !$0.hasPrefix(".") && $0 != "lost+found" }
            case .failure(let failure):
                throw HoldfastError.systemCall("readdir", failure.errorNumber, on: path, code: .storeUnavailable)
            }
        }
        let format = calls.open(at: root, "format", O_RDONLY | O_DIRECTORY, mode: 0)
        if format >= 0 {
            defer { _ = calls.close(format) }
            if try !names(format).isEmpty {
                throw HoldfastError(
                    .repositoryExists, "there is a repository at \(path) already",
                    hint: "Use it, or choose another directory.")
            }
        }
        let foreign = try names(root).filter { !directories.contains($0) }.sorted()
        if let first = foreign.first {
            throw HoldfastError(
                .usage, "\(path) is not empty: it holds \(first)", hint: "Choose a new or an empty directory.")
        }
    }

    /// Makes the directories that are not there; all are made first, so that one journal commit serves all syncs.
    private func makeLayout() throws(HoldfastError) {
        func make(_ parent: Int32, _ name: String) throws(HoldfastError) {
            let result = calls.makeDirectory(at: parent, name, mode: 0o700)
            if result < 0, result != -EEXIST { throw failure("mkdir", -result, on: name) }
        }
        for name in Self.directories { try make(root, name) }
        guard let packs = try openDirectory("packs") else {
            throw failure("open", ENOENT, on: "packs")
        }
        defer { _ = calls.close(packs) }
        for byte in UInt8.min...UInt8.max { try make(packs, Hex.encode(CollectionOfOne(byte))) }
        try sync(packs, "packs")
        try sync(root, location)
    }

    /// Tries out, on files without bytes, how a file can get a name that nobody else takes.
    ///
    /// A store that refuses the files (read-only, full) gets the usual answer: a put will tell.
    private static func probeNaming(_ root: Int32, _ calls: any FileCalls, _ entropy: any Entropy) -> Naming {
        guard let random = try? entropy.bytes(16) else { return .link }
        let from = probePrefix + Hex.encode(random)
        let to = from + "-2"
        let descriptor = calls.open(at: root, from, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        guard descriptor >= 0 else { return .link }
        _ = calls.close(descriptor)
        defer {
            _ = calls.unlink(at: root, from)
            _ = calls.unlink(at: root, to)
        }
        switch calls.link(at: root, from, to: to) {
        case -EPERM, -EOPNOTSUPP, -ENOSYS, -EMLINK, -EINVAL: break
        default: return .link
        }
        switch calls.rename(root, from, to: root, to, replacing: false) {
        case -EINVAL, -EOPNOTSUPP, -ENOSYS: return .renameOver
        default: return .renameNoReplace
        }
    }
}
