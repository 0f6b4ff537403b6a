// Bytes to and from SQLite.

import Foundation
import GRDB
import Primitives
import SecretVaults

/// Bytes as an argument of a statement.
struct Blob: DatabaseValueConvertible, Sendable {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var databaseValue: DatabaseValue { Data(bytes).databaseValue }

    static func fromDatabaseValue(_ value: DatabaseValue) -> Blob? {
        guard case .blob(let data) = value.storage else { return nil }
        return Blob([UInt8](data))
    }
}

extension Row {
    /// The bytes of a column; nil when it holds anything else. The engine's own subscript would trap then.
    func blob(_ column: Int) -> [UInt8]? {
        let value: DatabaseValue = self[column]
        return Blob.fromDatabaseValue(value)?.bytes
    }
}

extension [UInt8] {
    /// The first column of the first row, when that is bytes.
    static func fetch(
        _ database: Database, sql: String, arguments: StatementArguments = StatementArguments()
    ) throws -> [UInt8]? {
        try Blob.fetchOne(database, sql: sql, arguments: arguments)?.bytes
    }
}

/// An id of 16 bytes.
enum Data16 {
    static func fetch(_ database: Database, sql: String) throws -> Bytes16? {
        guard let bytes = try [UInt8].fetch(database, sql: sql), bytes.count == 16 else { return nil }
        return Bytes16(bytes.span.bytes)
    }
}
