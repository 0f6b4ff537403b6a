// Breaking a restored copy on purpose: a drill that does not notice proves nothing.

import CLinux
import Glibc
import Primitives
import Repository
import Workloads

/// What is done to a copy between its restore and its checks.
package enum SabotageKind: String, Sendable, CaseIterable {
    /// Bytes in the middle of the largest file of data are turned over.
    case page
    /// The largest file of data is removed.
    case missingFile = "missing-file"
    /// Two rows of the same length change places; where there are no rows, two lines or two stretches do.
    case swappedRow = "swapped-row"
    /// An older snapshot is restored and passed off as the one that was asked for.
    case oldSnapshot = "old-snapshot"
}

/// What came of breaking copies on purpose.
package enum SabotageResult: Sendable, Hashable {
    /// Every copy that was broken failed by its contents, by its engine, or because its server did not start.
    case noticed
    /// These systems were broken, and nothing of the kind failed.
    case unnoticed([String])
    /// The drill failed before anything could be broken.
    case notBroken
}

/// Breaks one copy.
struct Sabotage {
    private static let stretch = 64
    private static let window = 4 << 20
    private static let mostFiles = 100_000

    private let copy: RestoredCopy

    init(_ copy: RestoredCopy) { self.copy = copy }

    /// - Returns: What was done, for the record.
    /// - Throws: `.usage` when there is nothing to break.
    func apply(_ kind: SabotageKind) throws(HoldfastError) -> String {
        var candidates: [(path: String, size: Int64)] = []
        for place in copy.places.values.sorted() { collect(place, &candidates) }
        candidates.sort { ($1.size, $0.path) < ($0.size, $1.path) }
        switch kind {
        case .oldSnapshot: return "an older snapshot was restored"
        case .missingFile:
            guard let file = candidates.first else { throw Self.nothing }
            guard unlink(file.path) == 0 else { throw Self.failed("remove", file.path) }
            return "\(file.path) was removed"
        case .page:
            guard let file = candidates.first(where: { $0.size > 0 }) else { throw Self.nothing }
            try turn(file.path, at: file.size / 2 / 8192 * 8192 + min(4096, file.size / 4))
            return "bytes of \(file.path) were turned over"
        case .swappedRow:
            for file in candidates.prefix(16) where file.size > 1 {
                if try swap(file.path, file.size) { return "two rows of \(file.path) changed places" }
            }
            throw Self.nothing
        }
    }

    private static let nothing = HoldfastError(
        .usage, "the restored copy holds nothing that could be broken that way",
        hint: "Choose another kind of sabotage, or a source with more in it.")

    private static func failed(_ call: String, _ path: String) -> HoldfastError {
        .systemCall(call, errno, on: path, code: .targetFailed)
    }

    /// Files of data below `path`. Of a cluster those of its own relations, which no replay makes anew.
    private func collect(_ path: String, _ found: inout [(path: String, size: Int64)]) {
        var status = stat()
        guard found.count < Self.mostFiles, lstat(path, &status) == 0 else { return }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            if copy.record.workload == PostgresWorkload.kind {
                let name = path.split(separator: "/").last ?? ""
                guard path.contains("/base/"), let number = Int(name), number >= 16_384, status.st_size > 0 else {
                    return
                }
            }
            found.append((path, Int64(status.st_size)))
        case S_IFDIR: for name in ScratchTree.names(in: path).sorted() { collect("\(path)/\(name)", &found) }
        default: return
        }
    }

    private func turn(_ path: String, at offset: Int64) throws(HoldfastError) {
        try change(path, at: offset, count: Self.stretch) { bytes in
            for index in bytes.indices { bytes[index] ^= 0xFF }
            return true
        }
    }

    private func swap(_ path: String, _ size: Int64) throws(HoldfastError) -> Bool {
        let start = max(0, (size - Int64(Self.window)) / 2) / 65_536 * 65_536
        let isSQLite = copy.record.workload == SQLiteWorkload.kind
        let isCluster = copy.record.workload == PostgresWorkload.kind
        return try change(path, at: start, count: Self.window) { bytes in
            if isCluster { return RowSwap.inHeap(&bytes) }
            if isSQLite, let pageSize = RowSwap.pageSize(ofSQLite: path) {
                return RowSwap.inSQLite(&bytes, pageSize: pageSize, isFirst: start == 0)
            }
            return RowSwap.lines(&bytes) || RowSwap.stretches(&bytes)
        }
    }

    /// Reads a part of a file, and writes it back when `body` changed it.
    @discardableResult
    private func change(
        _ path: String, at offset: Int64, count: Int, _ body: (inout [UInt8]) -> Bool
    ) throws(HoldfastError) -> Bool {
        // What was restored may be closed to writing.
        var status = stat()
        if stat(path, &status) == 0 { chmod(path, status.st_mode & 0o7777 | 0o600) }
        let number = holdfast_openat(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0)
        guard number >= 0 else { throw Self.failed("open", path) }
        let file = OwnedDescriptor(number)
        var bytes = [UInt8](repeating: 0, count: count)
        let got = pread(file.number, &bytes, count, off_t(offset))
        guard got > 0 else { throw Self.failed("read", path) }
        bytes.removeLast(count - got)
        guard body(&bytes) else { return false }
        guard pwrite(file.number, bytes, bytes.count, off_t(offset)) == bytes.count else {
            throw Self.failed("write", path)
        }
        return true
    }
}

/// Rows within pages, found by the formats' own pointers, so that what is swapped stays well-formed.
enum RowSwap {
    private static let heapPage = 8192
    private static let heapHeader = 24
    private static let smallestTuple = 24
    private static let lookedAt = 256

    /// Two tuples of a heap page: the first pair of one length with other bytes (PostgreSQL 15,
    /// src/include/storage/bufpage.h and access/htup_details.h).
    static func inHeap(_ bytes: inout [UInt8]) -> Bool {
        var page = 0
        while page + heapPage <= bytes.count {
            let lower = Int(bytes[page + 12]) | Int(bytes[page + 13]) << 8
            var rows: [Range<Int>] = []
            var at = heapHeader
            while at + 4 <= min(lower, heapPage), rows.count < lookedAt {
                let word = (0..<4).reduce(0) { $0 | Int(bytes[page + at + $1]) << (8 * $1) }
                at += 4
                let (offset, length) = (word & 0x7FFF, word >> 17)
                guard word >> 15 & 3 == 1, length > smallestTuple, offset + length <= heapPage else { continue }
                let head = Int(bytes[page + offset + 22])
                guard (smallestTuple...length).contains(head), head < length else { continue }
                rows.append(page + offset + head..<page + offset + length)
            }
            if swapFirstPair(of: rows, in: &bytes) { return true }
            page += heapPage
        }
        return false
    }

    /// The page size in the header of a SQLite database; nil for what is none.
    static func pageSize(ofSQLite path: String) -> Int? {
        let number = holdfast_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(number)
        var head = [UInt8](repeating: 0, count: 18)
        guard pread(file.number, &head, head.count, 0) == head.count else { return nil }
        let size = Int(head[16]) << 8 | Int(head[17])
        return size == 1 ? 65_536 : size >= 512 ? size : nil
    }

    /// Two cells of a leaf of a table; their row numbers stay (https://www.sqlite.org/fileformat.html, section 1.6).
    static func inSQLite(_ bytes: inout [UInt8], pageSize: Int, isFirst: Bool) -> Bool {
        var page = 0
        while page + pageSize <= bytes.count {
            let head = page + (isFirst && page == 0 ? 100 : 0)
            // The schema's own page is left alone: what is broken there does not open.
            if head == page, bytes[head] == 0x0D {
                let count = Int(bytes[head + 3]) << 8 | Int(bytes[head + 4])
                var rows: [Range<Int>] = []
                for cell in 0..<min(count, lookedAt) where head + 10 + cell * 2 <= page + pageSize {
                    let place = head + 8 + cell * 2
                    var at = page + (Int(bytes[place]) << 8 | Int(bytes[place + 1]))
                    let end = page + pageSize
                    guard let length = varint(bytes, &at, end), varint(bytes, &at, end) != nil, length > 0,
                        length <= pageSize - 35, at + length <= end
                    else { continue }
                    rows.append(at..<at + length)
                }
                if swapFirstPair(of: rows, in: &bytes) { return true }
            }
            page += pageSize
        }
        return false
    }

    private static func varint(_ bytes: [UInt8], _ at: inout Int, _ end: Int) -> Int? {
        var value = 0
        for _ in 0..<4 {
            guard at < end else { return nil }
            let byte = bytes[at]
            at += 1
            value = value << 7 | Int(byte & 0x7F)
            if byte < 0x80 { return value }
        }
        return nil
    }

    /// Two lines of one length.
    static func lines(_ bytes: inout [UInt8]) -> Bool {
        var rows: [Range<Int>] = []
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == 0x0A {
            if index - start > 1 { rows.append(start..<index) }
            start = index + 1
            if rows.count >= lookedAt { break }
        }
        return swapFirstPair(of: rows, in: &bytes)
    }

    /// Two stretches of a file that has no lines.
    static func stretches(_ bytes: inout [UInt8]) -> Bool {
        let length = max(1, min(16, bytes.count / 4))
        let rows = (0..<min(lookedAt, bytes.count / length)).map { $0 * length..<($0 + 1) * length }
        return swapFirstPair(of: rows, in: &bytes)
    }

    private static func swapFirstPair(of rows: [Range<Int>], in bytes: inout [UInt8]) -> Bool {
        for (place, first) in rows.enumerated() {
            for second in rows[(place + 1)...]
            where second.count == first.count && !second.overlaps(first) && !bytes[first].elementsEqual(bytes[second]) {
                let kept = Array(bytes[first])
                bytes.replaceSubrange(first, with: Array(bytes[second]))
                bytes.replaceSubrange(second, with: kept)
                return true
            }
        }
        return false
    }
}
