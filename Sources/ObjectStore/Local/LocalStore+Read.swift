// Reading objects and listing them.

import CLinux
import Glibc
import Primitives

extension LocalStore {
    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let descriptor = try open(key)
        defer { _ = calls.close(descriptor) }
        let size = try status(descriptor, key).size
        guard size <= limit.bytes, let count = Int(exactly: size) else {
            throw HoldfastError(
                .limitExceeded, "\(key) has \(ByteCount(size)), more than the \(limit) that it may have",
                hint: "Run `holdfast check`: the object may be foreign.", context: [("store", location)])
        }
        var outcome: Result<Int, HoldfastError> = .success(0)
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let raw = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
            do throws(HoldfastError) {
                initialized = try readFully(descriptor, key, at: 0, into: raw)
                outcome = .success(initialized)
            } catch {
                outcome = .failure(error)
            }
        }
        guard try outcome.get() == count else { throw shortObject(key, size: UInt64(bytes.count), wanted: size) }
        return bytes
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        let descriptor = try open(key)
        defer { _ = calls.close(descriptor) }
        let count = try readFully(descriptor, key, at: offset, into: buffer)
        if count < buffer.count {
            throw shortObject(key, size: offset &+ UInt64(count), wanted: offset &+ UInt64(buffer.count))
        }
    }

    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        var base = ""
        if let slash = prefix.utf8.lastIndex(of: UInt8(ascii: "/")) {
            base = String(prefix[..<slash])
            guard ObjectKey(base) != nil else { return }
        }
        var pending = [base]
        while let path = pending.popLast() {
            guard let directory = try openDirectory(path) else { continue }
            defer { _ = calls.close(directory) }
            for name in try names(in: directory, path) {
                guard let key = ObjectKey(path.isEmpty ? name : "\(path)/\(name)") else { continue }
                // Objects set aside are no part of the store any more, unless they are asked for by name.
                if path.isEmpty, name == Self.quarantineDirectory { continue }
                switch calls.status(at: directory, name) {
                case .success(let status) where status.kind == .directory:
                    if key.path.hasPrefix(prefix) || prefix.hasPrefix(key.path) { pending.append(key.path) }
                case .success(let status) where status.kind == .regular:
                    guard key.path.hasPrefix(prefix) else { continue }
                    try visit(ObjectInfo(key: key, size: status.size, modified: status.modified))
                case .success: continue
                case .failure(let failure):
                    // It was deleted between the two calls.
                    if failure.errorNumber == ENOENT { continue }
                    throw self.failure("stat", failure.errorNumber, on: key.path)
                }
            }
        }
    }

    // MARK: - Shared by the topics

    func names(in directory: Int32, _ path: String) throws(HoldfastError) -> [String] {
        switch calls.names(in: directory) {
        case .success(let names): return names
        // The directory was removed while it was open.
        case .failure(let failure) where failure.errorNumber == ENOENT: return []
        case .failure(let failure): throw self.failure("readdir", failure.errorNumber, on: path)
        }
    }

    /// Opens an object in its directory; nil when no regular file has the name.
    func openObject(_ name: String, in directory: Int32, _ key: ObjectKey) throws(HoldfastError) -> Int32? {
        let descriptor = calls.open(at: directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, mode: 0)
        guard descriptor >= 0 else {
            if descriptor == -ENOENT || descriptor == -ENOTDIR { return nil }
            throw failure("open", -descriptor, on: key.path)
        }
        do throws(HoldfastError) {
            if try status(descriptor, key).kind == .regular { return descriptor }
        } catch {
            _ = calls.close(descriptor)
            throw error
        }
        _ = calls.close(descriptor)
        return nil
    }

    func status(_ descriptor: Int32, _ key: ObjectKey) throws(HoldfastError) -> FileStatus {
        switch calls.status(descriptor) {
        case .success(let status): return status
        case .failure(let failure): throw self.failure("fstat", failure.errorNumber, on: key.path)
        }
    }

    /// Reads until the buffer is full or the file ends; returns the bytes read.
    func readFully(
        _ descriptor: Int32, _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let (position, overflow) = offset.addingReportingOverflow(UInt64(filled))
            if overflow { return filled }
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = calls.read(descriptor, rest, at: position)
            if count == 0 { return filled }
            // Unreadable sectors are a fault of this object, not of the store.
            if count < 0 { throw failure("read", Int32(clamping: -count), on: key.path, code: .inputOutput) }
            filled += count
        }
        return filled
    }

    private func open(_ key: ObjectKey) throws(HoldfastError) -> Int32 {
        guard let descriptor = try openObject(key.path, in: root, key) else {
            throw HoldfastError(
                .objectMissing, "\(key) is not in the store", hint: "Run `holdfast check` to see what depends on it.",
                context: [("store", location)])
        }
        return descriptor
    }

    private func shortObject(_ key: ObjectKey, size: UInt64, wanted: UInt64) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(key) ends after \(size) bytes, \(wanted) were due",
            hint: "Run `holdfast check --read-data` to see what depends on it.", context: [("store", location)])
    }
}
