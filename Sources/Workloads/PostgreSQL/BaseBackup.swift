// BASE_BACKUP of the replication protocol: one stream of archives and the manifest.
// https://www.postgresql.org/docs/15/protocol-replication.html

import Glibc
import Primitives

/// A base backup under way.
///
/// The server sends the archives of the tablespaces, then `base.tar` with the WAL of the backup at its end, then the
/// manifest. Parts are taken in order, each read to its end.
/// Thread: one at a time.
final class BaseBackup: @unchecked Sendable {
    // Sendable: handed on as a whole with the streams that read from it, all used by one thread.

    /// What comes next in the stream.
    enum Part: Sendable, Hashable {
        /// A tar archive; the location is empty for the data directory.
        case archive(name: String, location: String)
        case manifest
    }

    struct Tablespace: Sendable, Hashable {
        var oid: String
        /// Absolute at the server, or relative to the data directory for one that is made in place.
        var location: String
    }

    /// The end of a backup.
    struct End: Sendable {
        var position: PostgresPosition
        var timeline: UInt32
        /// The server found pages whose checksums do not hold.
        var isDamaged: Bool
    }

    static let action = "the base backup"
    private static let mostTablespaces = 10_000
    /// The most that may lie in the buffers between the server and this process.
    private static let inFlight: UInt64 = 16 << 20

    let start: PostgresPosition
    let timeline: UInt32
    let tablespaces: [Tablespace]
    private let connection: PostgresConnection
    private let clock: any Clock
    /// The message at hand; what of it was read lies before `offset`.
    private var message: [UInt8] = []
    private var offset = 0
    private var following: Part?
    private var isOver = false
    private var hasManifest = false
    private var received: UInt64 = 0
    private var marks: [(received: UInt64, instant: Timestamp)]

    /// Asks for a base backup and reads its head.
    init(_ connection: PostgresConnection, label: String, clock: any Clock) throws(HoldfastError) {
        self.connection = connection
        self.clock = clock
        marks = [(0, clock.now())]
        let label = try connection.literal(label)
        try connection.send(
            "BASE_BACKUP (LABEL \(label), CHECKPOINT 'fast', WAL true, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C', "
                + "VERIFY_CHECKSUMS true)", for: Self.action)
        guard let first = try connection.nextResult(for: Self.action),
            let position = first.text(0, 0).flatMap({ PostgresPosition($0) }),
            let number = first.text(0, 1).flatMap({ UInt32($0) }),
            let second = try connection.nextResult(for: Self.action), second.rowCount <= Self.mostTablespaces
        else { throw Self.unexpected("its head") }
        start = position
        timeline = number
        var tablespaces: [Tablespace] = []
        for row in 0..<second.rowCount {
            guard let oid = second.text(row, 0), let location = second.text(row, 1) else { continue }
            guard UInt32(oid) != nil else { throw Self.unexpected("the number of a tablespace") }
            tablespaces.append(Tablespace(oid: oid, location: location))
        }
        self.tablespaces = tablespaces
        // The instant of the first mark is before the server began.
        guard try connection.nextResult(for: Self.action) != nil else { throw Self.unexpected("its stream") }
    }

    private static func unexpected(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the PostgreSQL server sent what was not expected in \(what)",
            hint: "Check that the server is PostgreSQL 15 or newer, and no proxy for it.")
    }

    /// The next part; nil when the stream is over. What is left of the part before must have been read.
    func nextPart() throws(HoldfastError) -> Part? {
        while following == nil, !isOver {
            if offset < message.count { throw Self.unexpected("a part that goes on after its end") }
            try receive()
        }
        defer { following = nil }
        return following
    }

    /// Bytes of the part at hand; 0 at its end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        while offset == message.count {
            if following != nil || isOver { return 0 }
            try receive()
        }
        let count = min(buffer.count, message.count - offset)
        message.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        offset += count
        return count
    }

    /// An instant that the server had not passed when it sent what was received last.
    ///
    /// The server runs ahead by what the buffers between hold; so the instant is that of an earlier byte.
    var instantBeforeHere: Timestamp {
        let bound = received < Self.inFlight ? 0 : received - Self.inFlight
        return marks.last { $0.received <= bound }?.instant ?? marks[0].instant
    }

    private func receive() throws(HoldfastError) {
        message.removeAll(keepingCapacity: true)
        offset = 0
        let hasMore = try connection.nextCopyMessage(for: Self.action) { (bytes) throws(HoldfastError) in
            received += UInt64(bytes.count)
            let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
            switch bytes.first {
            case UInt8(ascii: "d"): message.append(contentsOf: rest)
            case UInt8(ascii: "n"):
                let fields = rest.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
                guard fields.count == 3, let name = String(validating: fields[0], as: UTF8.self),
                    let location = String(validating: fields[1], as: UTF8.self)
                else { throw Self.unexpected("the head of an archive") }
                following = .archive(name: name, location: location)
            case UInt8(ascii: "m"):
                following = .manifest
                hasManifest = true
            case UInt8(ascii: "p"): break
            default: throw Self.unexpected("a message of its stream")
            }
        }
        if !hasMore {
            isOver = true
            // A stream that ends before the manifest was broken off, and the server says why.
            if !hasManifest {
                _ = try connection.nextResult(for: Self.action)
                throw Self.unexpected("its stream, which ends early")
            }
        }
        if received - (marks.last?.received ?? 0) >= 1 << 20 {
            marks.append((received, clock.now()))
            if marks.count > 64 { marks.removeFirst(marks.count - 32) }
        }
    }

    /// Reads what the server says after the stream.
    ///
    /// - Throws: what the backup failed with; pages with wrong checksums are in the result instead, since the backup is
    ///   whole then.
    func end() throws(HoldfastError) -> End {
        guard isOver, let result = try connection.nextResult(for: Self.action),
            let position = result.text(0, 0).flatMap({ PostgresPosition($0) }),
            let number = result.text(0, 1).flatMap({ UInt32($0) })
        else { throw Self.unexpected("its end") }
        var end = End(position: position, timeline: number, isDamaged: false)
        do throws(HoldfastError) {
            while try connection.nextResult(for: Self.action) != nil {}
        } catch {
            // The one failure after the end: ERRCODE_DATA_CORRUPTED, when pages were found that do not hold.
            guard error.context.contains(where: { $0.key == "sqlstate" && $0.value == "XX001" }) else { throw error }
            end.isDamaged = true
        }
        return end
    }
}

/// One archive of a base backup.
final class BaseBackupArchive: ByteStream, @unchecked Sendable {
    // Sendable: as the backup that it reads from.
    private let backup: BaseBackup
    private(set) var count: UInt64 = 0

    init(_ backup: BaseBackup) { self.backup = backup }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        let read = try backup.read(into: buffer)
        count += UInt64(read)
        return read
    }

    /// The server says at the end of the whole backup whether it was whole.
    func finish() throws(HoldfastError) {}
}
