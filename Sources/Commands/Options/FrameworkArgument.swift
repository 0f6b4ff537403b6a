// A framework as it is typed, and the formats of reports.

import ArgumentParser
import Compliance
import Primitives

extension Framework: ExpressibleByArgument {}

/// How a report is written.
enum ReportFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// With the signed records that it was made from; the one that `verify-report` takes.
    case json
    case html
    case pdf
    /// A directory with a file for each table.
    case csv
    case junit

    static let form = allCases.map(\.rawValue).joined(separator: ", ")
}

/// A head of a chain as it is typed.
struct AnchorArgument: ExpressibleByArgument, Hashable, Sendable {
    let anchor: EvidenceAnchor

    init?(argument: String) {
        guard let anchor = EvidenceAnchor(argument.lowercased()) else { return nil }
        self.anchor = anchor
    }
}
