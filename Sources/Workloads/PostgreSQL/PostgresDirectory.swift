// What is done to a data directory by hand, before and after the engine writes into it.

import CLinux
import Glibc
import Primitives
import Repository

/// A data directory.
///
/// Unlike what comes from a snapshot, the directory is the operator's: links in it are looked at, not feared.
struct PostgresDirectory: Sendable {
    enum State: Sendable, Hashable {
        case emptyOrAbsent
        /// The same cluster, or one whose restore was broken off.
        case ours
    }

    private static let maximumSmallFile = 64 << 10
    private static let mostDepth = 64

    let path: String

    init(_ path: String) { self.path = path }

    private func place(_ name: String) -> String { "\(path)/\(name)" }

    // MARK: Looking

    /// Refuses a directory that is in use, is something else's or another cluster's. Changes nothing.
    func examine(cluster: String) throws(HoldfastError) -> State {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw HoldfastError.systemCall("stat", errno, on: path, code: .targetFailed) }
            return .emptyOrAbsent
        }
        guard EntryKind(fileMode: status.st_mode) == .directory else {
            throw HoldfastError(.targetFailed, "\(path) is no directory", hint: "Name a directory.")
        }
        let names = try Self.names(in: path)
        if names.isEmpty { return .emptyOrAbsent }
        if let process = try runningServer() {
            throw HoldfastError(
                .targetFailed, "a server runs in \(path), process \(process)",
                hint: "Stop it first, or choose another directory; if it is no server, remove postmaster.pid.")
        }
        let marked = try small(PgdataWorkload.marker).map { String(decoding: $0, as: UTF8.self) }
        if let marked {
            guard marked == cluster else { throw foreign(marked, cluster) }
            return .ours
        }
        guard names.contains("PG_VERSION"), let control = try small(PostgresWorkload.control), control.count >= 8 else {
            throw HoldfastError(
                .targetFailed, "\(path) is not empty, and no data directory of PostgreSQL",
                hint: "Restore into an empty directory.")
        }
        // ControlFileData begins with the system identifier, in the machine's byte order.
        let found = control[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard String(found) == cluster else { throw foreign(String(found), cluster) }
        return .ours
    }

    private func foreign(_ found: String, _ cluster: String) -> HoldfastError {
        HoldfastError(
            .targetFailed, "\(path) holds cluster \(found), and the snapshot is of cluster \(cluster)",
            hint: "Restore into an empty directory.")
    }

    /// The server's process: one that works in this directory, or that of the number in postmaster.pid.
    ///
    /// A server in a container writes a number that means another process here, or none.
    func runningServer() throws(HoldfastError) -> Int32? {
        if let process = OpenFiles.residents(of: path, called: ["postgres", "postmaster"]).min() { return process }
        guard let bytes = try small("postmaster.pid") else { return nil }
        let line = String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
        guard let number = Int32(line), number != 0 else { return nil }
        // A stand-alone backend writes its number negated.
        let process = abs(number)
        guard kill(process, 0) == 0 || errno == EPERM else { return nil }
        return process
    }

    func linkTarget(ofTablespace oid: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(place("pg_tblspc/\(oid)"), &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func isEmptyOrAbsent(_ path: String) -> Bool {
        var status = stat()
        if stat(path, &status) != 0 { return errno == ENOENT }
        return (try? names(in: path))?.isEmpty == true
    }

    static func names(in path: String) throws(HoldfastError) -> [String] {
        guard let directory = opendir(path) else {
            throw HoldfastError.systemCall("open directory", errno, on: path, code: .targetFailed)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// A file of at most 64 KiB; nil when it is not there.
    func small(_ name: String) throws(HoldfastError) -> [UInt8]? {
        try Self.content(place(name), atMost: Self.maximumSmallFile)
    }

    static func content(_ path: String, atMost limit: Int) throws(HoldfastError) -> [UInt8]? {
        guard let file = try openRegularIfThere(path, shown: path, code: .targetFailed).file else { return nil }
        let size = Int(clamping: try file.status(of: path).st_size)
        guard size <= limit else { throw HoldfastError(.targetFailed, "\(path) is over \(limit) bytes") }
        var bytes = [UInt8](repeating: 0, count: size)
        var filled = 0
        while filled < size {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(file.number, $0.baseAddress.map { $0 + filled }, size - filled)
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", errno, on: path, code: .targetFailed) }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }

    // MARK: Changing

    /// Marks the directory as being restored, and takes from it what a server needs to start. Durable on return.
    func makeUnstartable(cluster: String) throws(HoldfastError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw failed("make directory", path) }
        // Whole or not there: an empty one would make the directory that of no cluster.
        let name = place(PgdataWorkload.marker)
        let draft = "\(name).new"
        let number = holdfast_openat(AT_FDCWD, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw failed("create", draft) }
        let file = OwnedDescriptor(number)
        let text = Array(cluster.utf8)
        guard Glibc.write(file.number, text, text.count) == text.count, fsync(file.number) == 0 else {
            throw failed("write", draft)
        }
        guard rename(draft, name) == 0 else { throw failed("rename", draft) }
        try Self.sync(path)
        try removeControl()
    }

    func removeControl() throws(HoldfastError) {
        let control = place(PostgresWorkload.control)
        if unlink(control) != 0, errno != ENOENT, errno != ENOTDIR { throw failed("remove", control) }
        var status = stat()
        if stat(place("global"), &status) == 0 { try Self.sync(place("global")) }
    }

    /// Takes away the mark of a restore under way. Durable on return.
    func unmark() throws(HoldfastError) {
        let name = place(PgdataWorkload.marker)
        if unlink(name) != 0, errno != ENOENT { throw failed("remove", name) }
        try Self.sync(path)
    }

    /// What makes a server follow another one or wait for an archive.
    static let signals = ["recovery.signal", "standby.signal"]

    /// Removes the ``signals``.
    ///
    /// - Returns: Names of what was there.
    func removeSignals() throws(HoldfastError) -> [String] {
        var removed: [String] = []
        for name in Self.signals {
            if unlink(place(name)) == 0 {
                removed.append(name)
            } else if errno != ENOENT {
                throw failed("remove", place(name))
            }
        }
        return removed
    }

    /// Removes log that a server would replay or keep, slots, and signals of another recovery.
    ///
    /// The snapshot brings its own log; what a later life of the cluster wrote must not be replayed over it.
    func clearLog() throws(HoldfastError) {
        _ = try removeSignals()
        for name in ["postmaster.pid", "postmaster.opts", "tablespace_map"] {
            if unlink(place(name)) != 0, errno != ENOENT { throw failed("remove", place(name)) }
        }
        for name in ["pg_wal", "pg_replslot", "pg_stat", "pg_stat_tmp", "pg_notify", "pg_snapshots", "pg_logical"] {
            let directory = place(name)
            var status = stat()
            guard lstat(directory, &status) == 0 else { continue }
            if EntryKind(fileMode: status.st_mode) == .directory {
                for inner in try Self.names(in: directory) { try ScratchTree.remove("\(directory)/\(inner)") }
            } else if unlink(directory) != 0 {
                throw failed("remove", directory)
            }
        }
    }

    /// Makes the links to the tablespaces, and no others.
    func linkTablespaces(_ places: [(oid: String, place: String)]) throws(HoldfastError) {
        let links = place("pg_tblspc")
        guard mkdir(links, 0o700) == 0 || errno == EEXIST else { throw failed("make directory", links) }
        var status = stat()
        for name in try Self.names(in: links) {
            guard lstat("\(links)/\(name)", &status) == 0, EntryKind(fileMode: status.st_mode) == .symbolicLink else {
                continue
            }
            guard unlink("\(links)/\(name)") == 0 else { throw failed("remove", "\(links)/\(name)") }
        }
        for (oid, place) in places where place != "\(links)/\(oid)" {
            guard symlink(place, "\(links)/\(oid)") == 0 else { throw failed("link", "\(links)/\(oid)") }
        }
        try Self.sync(links)
    }

    private func failed(_ call: String, _ thing: String) -> HoldfastError {
        HoldfastError.systemCall(call, errno, on: thing, code: .targetFailed)
    }

    private static func sync(_ path: String) throws(HoldfastError) {
        let number = holdfast_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        guard number >= 0 else { throw HoldfastError.systemCall("open", errno, on: path, code: .targetFailed) }
        let descriptor = OwnedDescriptor(number)
        guard fsync(descriptor.number) == 0 else {
            throw HoldfastError.systemCall("sync", errno, on: path, code: .targetFailed)
        }
    }

    // MARK: Ending

    func manifest() throws(HoldfastError) -> BackupManifest {
        let name = place(BackupManifest.fileName)
        guard let bytes = try Self.content(name, atMost: BackupManifest.maximumSize) else {
            throw BackupManifest.damaged("it is not there")
        }
        return try BackupManifest(bytes)
    }

    /// Removes files of an earlier state that are in the relations' directories and not in the manifest: a server would
    /// take a segment, a map or a commit log for its own. Durable on return.
    ///
    /// In the place of a tablespace that goes for the directory of the snapshot's own version alone: what else is there
    /// is of another cluster, which `pg_upgrade` left, or of none.
    /// - Returns: How many.
    func removeOthers(than manifest: BackupManifest) throws(HoldfastError) -> Int {
        let known = Set(manifest.files.map { String(decoding: $0.path, as: UTF8.self) })
        var directories: Set<String> = []
        for file in known {
            var parent = file[...]
            while let slash = parent.lastIndex(of: "/") {
                parent = parent[..<slash]
                guard directories.insert(String(parent)).inserted else { break }
            }
        }
        var removed = 0
        for area in ["base", "global", "pg_tblspc", "pg_xact", "pg_multixact", "pg_commit_ts", "pg_twophase"] {
            removed += try removeOthers(in: area, known, directories, depth: 0)
        }
        return removed
    }

    private func removeOthers(
        in area: String, _ known: Set<String>, _ directories: Set<String>, depth: Int
    ) throws(HoldfastError) -> Int {
        guard depth < Self.mostDepth else { return 0 }
        let directory = place(area)
        var status = stat()
        guard stat(directory, &status) == 0, EntryKind(fileMode: status.st_mode) == .directory else { return 0 }
        var removed = 0
        for name in try Self.names(in: directory) {
            let inner = "\(area)/\(name)"
            let isVersion = area.hasPrefix("pg_tblspc/") && depth == 1
            if isVersion, try !isOfOwnVersion(name) { continue }
            // Through links: those of tablespaces lead to what the manifest names too.
            guard stat(place(inner), &status) == 0 else { continue }
            if EntryKind(fileMode: status.st_mode) == .directory {
                let isKnown =
                    directories.contains(inner) || isVersion || area == "pg_tblspc" || area == "pg_multixact"
                if isKnown {
                    removed += try removeOthers(in: inner, known, directories, depth: depth + 1)
                } else {
                    try ScratchTree.remove(place(inner))
                    removed += 1
                }
            } else if !known.contains(inner) {
                guard unlink(place(inner)) == 0 else { throw failed("remove", place(inner)) }
                removed += 1
            }
        }
        if removed > 0 { try Self.sync(directory) }
        return removed
    }

    /// Whether `name` is that of this version's directory in the place of a tablespace, such as `PG_15_202209061`.
    private func isOfOwnVersion(_ name: String) throws(HoldfastError) -> Bool {
        guard let version = try small("PG_VERSION") else { return false }
        return name.hasPrefix("PG_\(String(decoding: version.prefix { $0 != 0x0A }, as: UTF8.self))_")
    }
}
