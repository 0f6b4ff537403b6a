// Where a client's memory of a store lies between commands.

import CLinux
import Glibc
import Primitives
import Sealing

/// One file for a repository at a place: `<directory>/<repository>/<digest of the place>.memory`, mode 0600.
///
/// A mirror has the same id and may lag behind, so that each place has its own memory. The last 32 bytes are an HMAC
/// under a key that every member holds in every epoch: damage, and what someone without a key wrote, is told from what
/// a client wrote. That somebody removes the file shows nowhere, since it looks like a first use; whoever can do that
/// as this user could change the program as well.
///
/// Concurrency: processes that write at once wait for each other with flock(2) and add to what the others wrote.
struct MemoryFile: Sendable {
    private let directory: String
    private let name: String
    private let repository: RepositoryID
    private let key: SecretBytes
    private let clock: any Clock

    private static let macSize = 32
    /// Tries for the lock, ten milliseconds apart.
    private static let lockTries = 200

    var path: String { "\(directory)/\(name).memory" }

    init(directory: String, location: String, repository: RepositoryID, key: SecretBytes, clock: any Clock) {
        self.clock = clock
        self.directory = "\(directory)/\(repository)"
        let place = Array(Self.canonical(location).utf8)
        name = String(Hex.encode(SHA256.digest(place.span.bytes).array).prefix(32))
        self.repository = repository
        self.key = key
    }

    /// One name for a directory, however it is reached.
    private static func canonical(_ location: String) -> String { Host.realPath(location) ?? location }

    /// What was remembered; nil when there is nothing yet.
    ///
    /// - Throws: `.corruptObject` for a damaged file, and what the system says.
    func load() throws(HoldfastError) -> StoreMemory? {
        let (file, number) = retryingInterrupts { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
        if file < 0, number == ENOENT { return nil }
        guard file >= 0 else { throw HoldfastError.systemCall("open", number, on: path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= Int(StoreMemory.maximumSize.bytes) {
            let (count, number) = piece.withUnsafeMutableBytes { raw in
                retryingInterrupts { read(file, raw.baseAddress, raw.count) }
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: path) }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        let reader = ByteReader([], as: path)
        guard bytes.count >= Self.macSize else { throw reader.corrupt("it is too short") }
        let body = Array(bytes.dropLast(Self.macSize))
        let mac = Array(bytes.suffix(Self.macSize))
        guard KeyedHash.digest(key: key, body.span.bytes) == Bytes32(mac.span.bytes) else {
            throw reader.corrupt("its seal does not hold")
        }
        return try StoreMemory(body, repository: repository, name: path)
    }

    /// Replaces the file with `change` applied to what is there now.
    ///
    /// A damaged file is moved aside to `<path>.damaged`. Durability: on return the bytes and the name are on stable
    /// storage.
    func update(_ change: (StoreMemory) -> StoreMemory) throws(HoldfastError) {
        makeDirectories()
        let lockPath = "\(directory)/\(name).lock"
        let (lock, number) = retryingInterrupts { open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard lock >= 0 else { throw HoldfastError.systemCall("open", number, on: lockPath) }
        defer { close(lock) }
        try take(lock, lockPath)
        var present = StoreMemory()
        var isThere = false
        do throws(HoldfastError) {
            if let loaded = try load() {
                present = loaded
                isThere = true
            }
        } catch {
            guard error.code == .corruptObject || error.code == .limitExceeded else { throw error }
            rename(path, path + ".damaged")
        }
        let next = change(present)
        if next == present, isThere { return }
        try write(next)
    }

    private func take(_ lock: Int32, _ lockPath: String) throws(HoldfastError) {
        for _ in 0..<Self.lockTries {
            if flock(lock, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw HoldfastError.systemCall("flock", errno, on: lockPath)
            }
            clock.sleep(for: .milliseconds(10), unless: Cancellation())
        }
        throw HoldfastError.systemCall("flock", EWOULDBLOCK, on: lockPath)
    }

    private func write(_ memory: StoreMemory) throws(HoldfastError) {
        var bytes = memory.encoded(repository)
        bytes += KeyedHash.digest(key: key, bytes.span.bytes).array
        // The lock is held: nobody else writes this name, and what a crash left is written over.
        let temporary = path + ".new"
        let (file, number) = retryingInterrupts {
            open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        }
        guard file >= 0 else { throw HoldfastError.systemCall("open", number, on: temporary) }
        do throws(HoldfastError) {
            defer { close(file) }
            var done = 0
            while done < bytes.count {
                let (count, number) = bytes.withUnsafeBytes { raw in
                    retryingInterrupts { Glibc.write(file, raw.baseAddress.map { $0 + done }, raw.count - done) }
                }
                guard count > 0 else { throw HoldfastError.systemCall("write", number, on: temporary) }
                done += count
            }
            guard fsync(file) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else { throw HoldfastError.systemCall("rename", errno, on: path) }
        let (folder, failure) = retryingInterrupts { open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard folder >= 0 else { throw HoldfastError.systemCall("open", failure, on: directory) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: directory) }
    }

    private func makeDirectories() {
        var path = ""
        for part in directory.split(separator: "/", omittingEmptySubsequences: false) {
            path += path.isEmpty && part.isEmpty ? "/" : path.hasSuffix("/") || path.isEmpty ? part : "/\(part)"
            if path != "/" { mkdir(path, 0o700) }
        }
    }
}
