// Names within an open parent, and what stands in their place.

import CLinux
import Glibc
import Primitives
import Repository

extension TreeWriter {
    /// A name below an open parent directory.
    struct Place {
        var parent: OwnedDescriptor
        var name: [UInt8]
        var parts: [[UInt8]]
    }

    /// Somebody else may put something in the way again; then the restore fails instead of fighting on.
    static let attempts = 4

    /// Opens the parent of `parts`; nil for the target itself.
    func place(_ parts: [[UInt8]]) throws(HoldfastError) -> Place? {
        try TargetDirectories.validate(parts)
        guard let name = parts.last else { return nil }
        return Place(parent: try directories.open(parts.dropLast()), name: name, parts: parts)
    }

    func kind(at place: Place) throws(HoldfastError) -> EntryKind? {
        var status = stat()
        return try kind(at: place, &status)
    }

    /// What stands at `place`, links not followed; nil for nothing.
    func kind(at place: Place, _ status: inout stat) throws(HoldfastError) -> EntryKind? {
        let number = withCString(place.name) { name in
            fstatat(place.parent.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno
        }
        if number == ENOENT { return nil }
        guard number == 0 else { throw failed("stat", number, place.parts) }
        return EntryKind(fileMode: status.st_mode) ?? .socket
    }

    func linkTarget(at place: Place) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = withCString(place.name) { name in
            buffer.withUnsafeMutableBufferPointer { raw in
                raw.withMemoryRebound(to: CChar.self) { raw -> Int in
                    guard let base = raw.baseAddress else { return -1 }
                    return readlinkat(place.parent.number, name, base, raw.count)
                }
            }
        }
        return count >= 0 ? Array(buffer[..<count]) : nil
    }

    /// Removes what stands at `place`, a directory only when it is empty.
    func clear(_ place: Place) throws(HoldfastError) {
        guard let kind = try kind(at: place) else { return }
        let isDirectory = kind == .directory
        let number = withCString(place.name) {
            unlinkat(place.parent.number, $0, isDirectory ? AT_REMOVEDIR : 0) == 0 ? 0 : errno
        }
        if isDirectory { directories.forget(place.parts[...]) }
        if number == 0 || number == ENOENT { return }
        if number == ENOTEMPTY || number == EEXIST {
            throw HoldfastError(
                .targetFailed,
                "\(directories.describe(place.parts)) is a directory with content where another thing is due",
                hint: "Move it away, or restore into an empty directory.")
        }
        throw failed("remove", number, place.parts)
    }

    /// Clears the place, then calls `create`; again when something came in between.
    func make(
        _ what: String, _ place: Place, _ create: (Int32, UnsafePointer<CChar>) -> Int32
    ) throws(HoldfastError) {
        var number: Int32 = 0
        for _ in 0..<Self.attempts {
            try clear(place)
            number = withCString(place.name) { create(place.parent.number, $0) == 0 ? 0 : errno }
            if number == 0 { return }
            guard number == EEXIST else { break }
        }
        throw failed(what, number, place.parts)
    }

    /// Gives the owner of the regular file at `place` the right to read and write; false when that is not possible.
    func unlock(_ place: Place) -> Bool {
        let number = withCString(place.name) { openPart(place.parent.number, $0, holdfast_o_path) }
        guard number >= 0 else { return false }
        let handle = OwnedDescriptor(number)
        var status = stat()
        guard fstat(handle.number, &status) == 0, EntryKind(fileMode: status.st_mode) == .file else { return false }
        return withCString(Array("/proc/self/fd/\(handle.number)".utf8)) { chmod($0, 0o600) == 0 }
    }

    func failed(_ call: String, _ number: Int32, _ parts: [[UInt8]]) -> HoldfastError {
        .systemCall(call, number, on: directories.describe(parts), code: .targetFailed)
    }

    func unsafe(_ message: String, _ parts: [[UInt8]]) -> HoldfastError {
        HoldfastError(
            .unsafePath, message, hint: "Do not trust this snapshot.", context: [("path", directories.describe(parts))])
    }
}
