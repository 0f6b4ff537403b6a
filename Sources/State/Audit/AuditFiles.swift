// The files of the audit log: segments, their lock, and what a writer that died left at the end.

import CLinux
import Glibc
import Primitives

/// A directory of segments, each named by the number of its first record.
struct AuditFiles: Sendable {
    static let ending = ".audit"

    /// write(2).
    typealias Write = @Sendable (Int32, UnsafeRawPointer?, Int) -> Int

    struct Segment: Sendable, Hashable {
        var name: String
        var size: Int
    }

    let directory: String

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    static func name(first sequence: UInt64) -> String {
        let digits = "\(sequence)"
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits + ending
    }

    static func first(of name: String) -> UInt64? {
        guard name.hasSuffix(ending), name.utf8.count == 20 + ending.utf8.count else { return nil }
        return UInt64(name.dropLast(ending.count))
    }

    // MARK: Looking

    /// The segments in order; none when there is no directory.
    func segments() throws(HoldfastError) -> [Segment] {
        guard let stream = opendir(directory) else {
            let number = errno
            if number == ENOENT { return [] }
            throw HoldfastError.systemCall("open directory", number, on: directory)
        }
        defer { closedir(stream) }
        var found: [Segment] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw HoldfastError.systemCall("read directory", errno, on: directory) }
                break
            }
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Self.first(of: name) != nil else { continue }
            var status = stat()
            guard lstat(path(name), &status) == 0 else {
                throw HoldfastError.systemCall("stat", errno, on: path(name))
            }
            found.append(Segment(name: name, size: Int(status.st_size)))
        }
        return found.sorted { $0.name < $1.name }
    }

    func open(_ name: String, _ flags: Int32) throws(HoldfastError) -> OpenedFile {
        let path = path(name)
        let (number, failure) = retryingInterrupts { Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard number >= 0 else { throw HoldfastError.systemCall("open", failure, on: path) }
        return OpenedFile(number: number, path: path)
    }

    /// Its bytes in a range; fewer at its end.
    func read(_ name: String, _ range: Range<Int>) throws(HoldfastError) -> [UInt8] {
        let file = try open(name, O_RDONLY)
        return try file.read(range)
    }

    // MARK: Writing

    func makeDirectory() throws(HoldfastError) {
        var place = ""
        for part in directory.split(separator: "/") {
            place += "/\(part)"
            if mkdir(place, 0o700) == 0 {
                let parent = place.split(separator: "/").dropLast().joined(separator: "/")
                try syncDirectory("/" + parent)
            } else if errno != EEXIST {
                throw HoldfastError.systemCall("make directory", errno, on: place)
            }
        }
    }

    /// Waits for other processes; the lock is held until what is returned goes.
    func lock(_ clock: any Primitives.Clock, patience: Duration, makes: Bool) throws(HoldfastError) -> OpenedFile {
        let file = try open("lock", makes ? O_RDWR | O_CREAT : O_RDONLY)
        let end = clock.uptime() + patience
        while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw HoldfastError.systemCall("flock", errno, on: file.path)
            }
            guard clock.uptime() < end else {
                throw HoldfastError(
                    .busy, "the audit log in \(directory) is held by another process",
                    hint: "Find it with `fuser \(file.path)`; holdfast itself holds the log for moments only.",
                    retry: .later)
            }
            clock.sleep(for: .milliseconds(5), unless: Cancellation())
        }
        return file
    }

    /// Keeps the bytes of a record that was not finished, and takes them out of the segment.
    ///
    /// - Returns: the name of the file that has them.
    func setAside(
        _ torn: [UInt8], of segment: String, keeping size: Int, sync: (Int32) -> Int32
    ) throws(HoldfastError) -> String {
        // The same again, when this one dies as well, is the same file.
        let name = "torn-\(segment.dropLast(Self.ending.count))-\(size)"
        let file = try open(name, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(torn)
        guard sync(file.number) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: file.path) }
        try syncDirectory(directory)
        let whole = try open(segment, O_WRONLY)
        guard ftruncate(whole.number, off_t(size)) == 0 else {
            throw HoldfastError.systemCall("truncate", errno, on: whole.path)
        }
        guard sync(whole.number) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: whole.path) }
        return name
    }
}

/// A descriptor that is closed with the last reference to it.
final class OpenedFile: Sendable {
    let number: Int32
    let path: String

    init(number: Int32, path: String) {
        self.number = number
        self.path = path
    }

    deinit { close(number) }

    func read(_ range: Range<Int>) throws(HoldfastError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var done = 0
        while done < range.count {
            let (count, failure) = bytes.withUnsafeMutableBytes { raw in
                retryingInterrupts {
                    pread(
                        number, raw.baseAddress.map { $0 + done }, raw.count - done, off_t(range.lowerBound + done))
                }
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", failure, on: path) }
            if count == 0 { break }
            done += count
        }
        bytes.removeLast(range.count - done)
        return bytes
    }

    func write(
        _ bytes: [UInt8], by write: AuditFiles.Write = { Glibc.write($0, $1, $2) }
    ) throws(HoldfastError) {
        var done = 0
        while done < bytes.count {
            let (count, failure) = bytes.withUnsafeBytes { raw in
                let rest = raw.baseAddress.map { UnsafeRawPointer($0 + done) }
                return retryingInterrupts { write(number, rest, raw.count - done) }
            }
            guard count > 0 else { throw HoldfastError.systemCall("write", failure, on: path) }
            done += count
        }
    }
}
