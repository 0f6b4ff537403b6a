// A report with what says which one it is, in each of its formats.

import FoundationEssentials
import Primitives
import Sealing

/// Who made a report, and when. It is signed with the rest, and is no part of what records show.
package struct ReportOrigin: Sendable, Hashable, Codable {
    package var at: String
    package var `operator`: String
    package var host: String
    package var toolVersion: String
    /// What was found in the repository when it was made and no file can show again: damage, and heads of chains that
    /// snapshots name.
    package var seen: [String]

    package init(at: Timestamp, operator: String, host: String, toolVersion: String, seen: [String]) {
        self.at = at.description
        self.operator = `operator`
        self.host = host
        self.toolVersion = toolVersion
        self.seen = seen
    }
}

/// A report, its digest, and its origin.
package struct ReportDocument: Sendable {
    package let report: Report
    package let origin: ReportOrigin
    /// The canonical JSON of ``report``.
    package let canonical: [UInt8]
    /// SHA-256 of it: the same in all formats.
    package let sha256: String

    package init(_ report: Report, origin: ReportOrigin) throws(HoldfastError) {
        self.report = report
        self.origin = origin
        let bytes = try CanonicalJSON.encode(report)
        canonical = bytes
        sha256 = Hex.encode(SHA256.digest(bytes.span.bytes).array)
    }

    /// Short enough for a title.
    package var id: String { String(sha256.prefix(16)) }

    /// How many controls have each status, in the order of statuses.
    package var statuses: [(status: Report.Status, count: Int)] {
        Report.Status.allCases.map { status in (status, report.controls.count { $0.status == status }) }
    }
}

/// JSON with names in order and without spaces (RFC 8785): all numbers of a report are integers.
package enum CanonicalJSON {
    package static func encode(_ value: some Encodable) throws(HoldfastError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw HoldfastError(
                .inputOutput, "the report cannot be written as JSON", hint: "Take another format.", cause: error)
        }
    }
}
