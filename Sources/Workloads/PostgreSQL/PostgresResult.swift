// One result of a statement.

import CPostgres
import Glibc
import Primitives

/// Rows of text, owned.
///
/// Thread: one at a time.
package final class PostgresResult {
    private let result: OpaquePointer

    /// Takes `result` over.
    init(owning result: OpaquePointer) { self.result = result }

    deinit { PQclear(result) }

    var status: ExecStatusType { PQresultStatus(result) }

    package var rowCount: Int { Int(PQntuples(result)) }
    package var columnCount: Int { Int(PQnfields(result)) }

    /// A field; nil for NULL and for a place that is not there.
    package func text(_ row: Int, _ column: Int) -> String? {
        guard row >= 0, row < rowCount, column >= 0, column < columnCount,
            PQgetisnull(result, Int32(row), Int32(column)) == 0,
            let value = PQgetvalue(result, Int32(row), Int32(column))
        else { return nil }
        let bytes = UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(result, Int32(row), Int32(column))))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Of a field as text; 0 for NULL.
    package func byteCount(_ row: Int, _ column: Int) -> Int { Int(PQgetlength(result, Int32(row), Int32(column))) }

    package var rows: [[String?]] {
        (0..<rowCount).map { row in (0..<columnCount).map { text(row, $0) } }
    }

    /// What the server reported with a failed result or a notice.
    var report: PostgresReport { Self.report(of: result) }

    static func report(of result: OpaquePointer?) -> PostgresReport {
        func field(_ letter: Unicode.Scalar) -> String? {
            PQresultErrorField(result, Int32(letter.value)).map { String(cString: $0) }
        }
        // Letters of https://www.postgresql.org/docs/15/protocol-error-fields.html.
        let message = field("M") ?? PQresultErrorMessage(result).map { postgresLine(String(cString: $0)) } ?? ""
        return PostgresReport(
            state: field("C"), message: postgresLine(message), detail: postgresLine(field("D") ?? ""),
            hint: postgresLine(field("H") ?? ""))
    }
}
