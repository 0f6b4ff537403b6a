// BASE_BACKUP of the replication protocol: one stream of archives and the manifest.
// https://www.postgresql.org/docs/15/protocol-replication.html

import Glibc
import Primitives

/// A base backup under way.
///
/// The server sends the archives of the tablespaces, then `base.tar` with the WAL of the backup at its end, then the
/// manifest: ``stream``. Then the server says where the backup ends.
/// Thread: one at a time.
final class BaseBackup {

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

    let start: PostgresPosition
    let timeline: UInt32
    let tablespaces: [Tablespace]
    let stream: BaseBackupStream
    private let connection: PostgresConnection

    /// Asks for a base backup and reads its head.
    init(_ connection: PostgresConnection, label: String, clock: any Clock) throws(HoldfastError) {
        self.connection = connection
        // The instant that it begins with is before the server began.
        stream = BaseBackupStream(clock: clock) { (take) throws(HoldfastError) in
            try connection.nextCopyMessage(for: Self.action, take)
        } endedEarly: { () throws(HoldfastError) in
            // The server says why.
            _ = try connection.nextResult(for: Self.action)
        }
        let label = try connection.literal(label)
        // The log comes with it, so it does not matter when, or whether ever, the server's archive takes it too.
        try connection.send(
            "BASE_BACKUP (LABEL \(label), CHECKPOINT 'fast', WAL true, WAIT false, MANIFEST 'yes', "
                + "MANIFEST_CHECKSUMS 'CRC32C', VERIFY_CHECKSUMS true)", for: Self.action)
        guard let first = try connection.nextResult(for: Self.action),
            let position = first.text(0, 0).flatMap({ PostgresPosition($0) }),
            let number = first.text(0, 1).flatMap({ UInt32($0) }),
            let second = try connection.nextResult(for: Self.action), second.rowCount <= Self.mostTablespaces
        else { throw BaseBackupStream.unexpected("its head") }
        start = position
        timeline = number
        var tablespaces: [Tablespace] = []
        for row in 0..<second.rowCount {
            guard let oid = second.text(row, 0), let location = second.text(row, 1) else { continue }
            guard UInt32(oid) != nil else { throw BaseBackupStream.unexpected("the number of a tablespace") }
            tablespaces.append(Tablespace(oid: oid, location: location))
        }
        self.tablespaces = tablespaces
        guard try connection.nextResult(for: Self.action) != nil else {
            throw BaseBackupStream.unexpected("its stream")
        }
    }

    /// Reads what the server says after the stream.
    ///
    /// - Throws: what the backup failed with; pages with wrong checksums are in the result instead, since the backup is
    ///   whole then.
    func end() throws(HoldfastError) -> End {
        guard stream.isOver, let result = try connection.nextResult(for: Self.action),
            let position = result.text(0, 0).flatMap({ PostgresPosition($0) }),
            let number = result.text(0, 1).flatMap({ UInt32($0) })
        else { throw BaseBackupStream.unexpected("its end") }
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
