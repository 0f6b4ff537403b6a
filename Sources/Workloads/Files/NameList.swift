// The names in one directory, in little memory.

import CLinux
import Glibc
import Primitives

/// Names in one arena, each with a closing zero: a million names of 20 bytes take about 37 MB.
struct NameList {
    struct Item {
        var offset: Int
        var length: UInt16
        /// DT_ of readdir(3).
        var type: UInt8
    }

    private(set) var bytes: [UInt8] = []
    private(set) var items: [Item] = []

    mutating func append(_ name: UnsafePointer<CChar>, type: UInt8) {
        let raw = UnsafeBufferPointer(
            start: UnsafeRawPointer(name).assumingMemoryBound(to: UInt8.self), count: strlen(name))
        items.append(Item(offset: bytes.count, length: UInt16(clamping: raw.count), type: type))
        bytes.append(contentsOf: raw)
        bytes.append(0)
    }

    func name(_ item: Item) -> [UInt8] { Array(bytes[item.offset..<item.offset + Int(item.length)]) }

    func contains(_ name: [UInt8]) -> Bool { items.contains { self.name($0) == name } }

    /// Orders the names by their bytes.
    mutating func sort() {
        bytes.withUnsafeBufferPointer { arena in
            guard let base = arena.baseAddress else { return }
            items.sort { a, b in
                let order = memcmp(base + a.offset, base + b.offset, Int(min(a.length, b.length)))
                return order != 0 ? order < 0 : a.length < b.length
            }
        }
    }

    /// Reads the directory open at `descriptor`, which stays open; `.` and `..` are left out.
    ///
    /// - Throws: `.limitExceeded` past `limit` names.
    init(reading descriptor: Int32, limit: Int, as thing: String) throws(HoldfastError) {
        // A descriptor of its own, since closedir(3) closes what it was given and readdir(3) moves the offset.
        let own = holdfast_openat(descriptor, ".", O_RDONLY | O_DIRECTORY, 0)
        guard own >= 0 else { throw HoldfastError.systemCall("open", errno, on: thing) }
        guard let stream = fdopendir(own) else {
            let number = errno
            Glibc.close(own)
            throw HoldfastError.systemCall("open", number, on: thing)
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw HoldfastError.systemCall("list", errno, on: thing) }
                break
            }
            guard let name = holdfast_dirent_name(entry) else { continue }
            if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 { continue }
            guard items.count < limit else {
                throw HoldfastError(
                    .limitExceeded, "\(thing) holds more than \(limit) entries",
                    hint: "Split the directory, or exclude it.")
            }
            append(name, type: UInt8(truncatingIfNeeded: holdfast_dirent_type(entry)))
        }
        sort()
    }
}
