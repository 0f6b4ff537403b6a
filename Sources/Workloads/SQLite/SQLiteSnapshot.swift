// One state of a database, read page by page while others write: a read transaction, the file's pages, and over them
// the frames of the write-ahead log that belong to that state.

import CSQLite
import Primitives

/// A read transaction and what can be read in it.
///
/// In WAL mode writers go on: what a reader's lock protects, by SQLite's own rules, is every frame of the log up to the
/// reader's end mark, and every page of the file that no later frame has overwritten. In rollback mode the shared lock
/// keeps writers waiting for as long as it is held.
///
/// The file is read through SQLite's own descriptors. Another descriptor of the same file in this process would, when
/// closed, drop the locks (https://www.sqlite.org/howtocorrupt.html, section 2.2).
/// The layouts are those of https://www.sqlite.org/walformat.html.
final class SQLiteSnapshot {
    /// How often the transaction is begun anew because someone committed in the instant in which it began.
    private static let attempts = 10_000

    let pageSize: Int
    let pageCount: UInt32
    /// Nothing that was committed before it is missing.
    let instant: Timestamp
    let isWAL: Bool
    /// Frames of the log that lie over the file.
    var frameCount: Int { frames.count }

    private let connection: SQLiteConnection
    private let file: UnsafeMutablePointer<sqlite3_file>
    private let log: UnsafeMutablePointer<sqlite3_file>?
    private let header: LogHeader?
    /// Page and frame, ascending by pages.
    private var frames: [(page: UInt32, frame: UInt32)] = []

    /// Begins the transaction.
    ///
    /// - Throws: `.sourceFailed` when a lock was not to be had, or the database was written to without a pause.
    init(_ connection: SQLiteConnection, clock: any Clock) throws(HoldfastError) {
        self.connection = connection
        // Reading the schema once makes SQLite map the log's index, when there is one.
        _ = try connection.number("PRAGMA schema_version")
        guard let file = holdfast_sqlite_file(connection.handle, SQLITE_FCNTL_FILE_POINTER) else {
            throw connection.failure("read")
        }
        self.file = file
        var begun = try Self.begin(connection, file, clock)
        for _ in 0..<Self.attempts where begun == nil { begun = try Self.begin(connection, file, clock) }
        guard let begun else {
            throw HoldfastError(
                .sourceFailed, "database \(connection.path) was committed to at every attempt to begin a transaction",
                hint: "Back up when it is quieter.", retry: .later)
        }
        instant = begun.instant
        header = begun.header
        isWAL = begun.isWAL
        let size = try connection.number("PRAGMA page_size")
        let count = try connection.number("PRAGMA page_count")
        guard size >= 512, size <= 65_536, size.nonzeroBitCount == 1, count >= 0, count <= Int64(UInt32.max) else {
            throw HoldfastError(.sourceFailed, "database \(connection.path) has an impossible size")
        }
        pageSize = Int(size)
        pageCount = UInt32(count)
        log = begun.header == nil ? nil : holdfast_sqlite_file(connection.handle, SQLITE_FCNTL_JOURNAL_POINTER)
        if let header { try loadFrames(header) }
    }

    /// Ends the transaction.
    func end() { sqlite3_exec(connection.handle, "ROLLBACK", nil, nil, nil) }

    /// Begins the transaction; nil when it cannot be told which state it sees, for someone committed meanwhile.
    private static func begin(
        _ connection: SQLiteConnection, _ file: UnsafeMutablePointer<sqlite3_file>, _ clock: any Clock
    ) throws(HoldfastError) -> (instant: Timestamp, header: LogHeader?, isWAL: Bool)? {
        let instant = clock.now()
        // Where there is no log, to ask for its index would make one.
        let before = try mode(connection) == "wal" ? LogHeader(file) : nil
        try connection.run("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")
        let isWAL = try mode(connection) == "wal"
        guard isWAL else { return (instant, nil, false) }
        // The mode can have changed since.
        let after = LogHeader(file)
        guard let before, let after, before == after else {
            try connection.run("ROLLBACK")
            return nil
        }
        // With all of the log copied into the file a reader looks at the file alone, and the log may be begun anew.
        return (instant, after.isAllCopied ? nil : after, true)
    }

    private static func mode(_ connection: SQLiteConnection) throws(HoldfastError) -> String {
        try connection.text("PRAGMA journal_mode")
    }

    /// Reads the headers of the frames of this state.
    private func loadFrames(_ header: LogHeader) throws(HoldfastError) {
        guard let log, header.pageSize == pageSize, header.pageCount == pageCount else { throw unreadable }
        let stride = Int64(24 + pageSize)
        // Another process wrote the index: it is not believed in what memory it asks for.
        var size: sqlite3_int64 = 0
        guard header.lastFrame > 0, holdfast_sqlite_size(log, &size) == SQLITE_OK,
            (size - 32) / stride >= Int64(header.lastFrame)
        else { throw unreadable }
        frames.reserveCapacity(Int(header.lastFrame))
        var words = [UInt8](repeating: 0, count: 24)
        for frame in 1...header.lastFrame {
            let result = words.withUnsafeMutableBytes {
                holdfast_sqlite_read(log, $0.baseAddress, 24, 32 + Int64(frame - 1) * stride)
            }
            guard result == SQLITE_OK else { throw connection.failure("read the log of") }
            let page = Self.big(words, 0)
            let isCommit = Self.big(words, 4) != 0
            guard page > 0, words[8..<16].elementsEqual(header.salts), frame < header.lastFrame || isCommit else {
                throw unreadable
            }
            frames.append((page, frame))
        }
        frames.sort { ($0.page, $0.frame) < ($1.page, $1.frame) }
        // The last frame of each page counts, and none beyond the end.
        var kept = 0
        for place in frames.indices where frames[place].page <= pageCount {
            if place + 1 < frames.count, frames[place + 1].page == frames[place].page { continue }
            frames[kept] = frames[place]
            kept += 1
        }
        frames.removeLast(frames.count - kept)
    }

    private var unreadable: HoldfastError {
        HoldfastError(
            .sourceFailed, "the write-ahead log of \(connection.path) is not what its index says",
            hint: "Back up again; if it stays so, have the application check its database.", retry: .now)
    }

    private static func big(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads whole pages from `first` on, numbered from 1; the buffer's length is a multiple of the page size.
    func read(_ first: UInt32, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        let count = UInt32(buffer.count / pageSize)
        let offset = Int64(first - 1) * Int64(pageSize)
        let result = holdfast_sqlite_read(file, buffer.baseAddress, Int32(buffer.count), offset)
        // Pages that were freed before they were ever written lie beyond the file's end and read as zeros.
        guard result == SQLITE_OK || result == sqliteShortRead else { throw connection.failure("read") }
        guard let log else { return }
        var place = lowerBound(first)
        while place < frames.count, frames[place].page < first + count {
            let (page, frame) = frames[place]
            let target = UnsafeMutableRawBufferPointer(
                rebasing: buffer[Int(page - first) * pageSize..<Int(page - first + 1) * pageSize])
            let start = 32 + Int64(frame - 1) * Int64(24 + pageSize) + 24
            guard holdfast_sqlite_read(log, target.baseAddress, Int32(pageSize), start) == SQLITE_OK else {
                throw unreadable
            }
            place += 1
        }
    }

    private func lowerBound(_ page: UInt32) -> Int {
        var (low, high) = (0, frames.count)
        while low < high {
            let middle = (low + high) / 2
            if frames[middle].page < page { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Looks once more, after the last page, that the log was not begun anew while it was read.
    func verify() throws(HoldfastError) {
        guard let header else { return }
        var now = LogHeader(file)
        // While a commit changes the header there is nothing to be read.
        for _ in 0..<Self.attempts where now == nil { now = LogHeader(file) }
        guard let now, now.salts == header.salts, now.lastFrame >= header.lastFrame else { throw unreadable }
    }
}

/// SQLITE_IOERR_SHORT_READ, a macro that Swift cannot read.
private let sqliteShortRead: Int32 = SQLITE_IOERR | 2 << 8

/// The header of the index of a write-ahead log, in the machine's byte order.
private struct LogHeader: Equatable {
    let lastFrame: UInt32
    let pageCount: UInt32
    let pageSize: Int
    /// As they stand in each frame.
    let salts: [UInt8]
    private let words: [UInt32]
    /// Frames that were copied into the file.
    private let copied: UInt32

    /// nil when there is no log, or its header is being written.
    init?(_ file: UnsafeMutablePointer<sqlite3_file>) {
        guard let index = holdfast_sqlite_index(file) else { return nil }
        words = (0..<12).map { holdfast_sqlite_word(index, $0) }
        let second = (12..<24).map { holdfast_sqlite_word(index, $0) }
        copied = holdfast_sqlite_word(index, 24)
        guard words == second, words[0] != 0, words[3] & 0xFF != 0 else { return nil }
        let size = Int(words[3] >> 16)
        pageSize = size & 0xFE00 | (size & 1) << 16
        lastFrame = words[4]
        pageCount = words[5]
        salts = words[8...9].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32($0 * 8)) } }
    }

    var isAllCopied: Bool { copied == lastFrame }
}
