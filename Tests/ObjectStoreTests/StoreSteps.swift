// Short words for the steps of these tests.

import Glibc
import ObjectStore
import Primitives
import TestSupport
import Testing

/// The key of a name that the test itself writes down.
func key(_ name: String) -> ObjectKey {
    guard let key = ObjectKey(name) else { preconditionFailure("\(name) is no name of an object") }
    return key
}

/// The failure that `body` throws; nil when it throws none.
func failure<R>(_ body: () throws -> R) -> HoldfastError? {
    do {
        _ = try body()
        return nil
    } catch let error as HoldfastError {
        return error
    } catch {
        Issue.record(error, "a store throws nothing but its own errors")
        return nil
    }
}

func code<R>(_ body: () throws -> R) -> ErrorCode? { failure(body)?.code }

extension ObjectStore {
    func put(_ name: String, _ bytes: [UInt8]) throws(HoldfastError) {
        let span = bytes.span.bytes
        try putIfAbsent(key(name), span)
    }

    func get(_ name: String) throws(HoldfastError) -> [UInt8] { try get(key(name), limit: .mebi(64)) }

    func bytes(_ name: String, _ range: Range<Int>) throws(HoldfastError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 1)
        defer { buffer.deallocate() }
        try read(key(name), at: UInt64(range.lowerBound), into: buffer)
        return [UInt8](buffer)
    }

    func names(_ prefix: String = "") throws(HoldfastError) -> [String] {
        var names: [String] = []
        try list(prefix) { (info) throws(HoldfastError) in names.append(info.key.path) }
        return names.sorted()
    }
}

/// Every file below a directory whose name begins with a dot, by path.
func dotFiles(below path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var found: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name == "." || name == ".." { continue }
        if name.hasPrefix(".") { found.append("\(path)/\(name)") }
        if entry.pointee.d_type == UInt8(DT_DIR) { found += dotFiles(below: "\(path)/\(name)") }
    }
    return found
}

/// Writes a file past the store.
func plant(_ path: String, _ bytes: [UInt8] = [1], secondsOld: Int = 0) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    precondition(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count, "cannot plant \(path)")
    var status = stat()
    fstat(descriptor, &status)
    let time = timespec(tv_sec: status.st_mtim.tv_sec - secondsOld, tv_nsec: 0)
    futimens(descriptor, [time, time])
    close(descriptor)
}

/// A small file system of its own in memory, unmounted when the last reference goes.
final class SmallFileSystem: Sendable {
    let path: String
    private let directory = TemporaryDirectory()

    /// Nil when the mount is refused, as it is to all but root.
    init?(mebibytes: Int) {
        path = directory.path + "/mount"
        mkdir(path, 0o700)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else { return nil }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }

    func makeReadOnly() {
        let flags = UInt(MS_REMOUNT) | UInt(MS_RDONLY)
        precondition(mount("tmpfs", path, "tmpfs", flags, nil) == 0, "the remount failed")
    }
}
