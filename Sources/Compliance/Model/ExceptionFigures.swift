// Exceptions: findings that somebody knows of, owns, and means to mend until a date.

import Primitives
import Repository

/// The facts of a record of the kind `exception`.
package enum ExceptionFact {
    package static let finding = "exception.finding"
    package static let severity = "exception.severity"
    package static let owner = "exception.owner"
    /// RFC 3339.
    package static let due = "exception.due"
    package static let ticket = "exception.ticket"
    package static let reason = "exception.reason"
    /// Of one that closes another: the id of that record.
    package static let closes = "exception.closes"
    package static let retest = "exception.retest"
}

/// All exceptions of a repository, and which of them are of a period.
package struct ExceptionFigures: Sendable {
    private struct Opened: Sendable {
        var link: ReportLink
        var record: EvidenceRecord
    }

    private var opened: [Opened] = []
    private var closings: [String: Opened] = [:]
    private var expected: Set<EvidenceHead> = []

    package init() {}

    /// What was imported counts for nothing: an exception is a word that its owner signs.
    package mutating func add(_ record: EvidenceRecord, _ link: ReportLink, isImported: Bool) {
        guard !isImported else { return }
        if let id = record.facts[ExceptionFact.closes] {
            // The first word holds.
            if closings[id] == nil { closings[id] = Opened(link: link, record: record) }
        } else {
            opened.append(Opened(link: link, record: record))
        }
    }

    /// What an inventory names as open.
    mutating func expect(_ heads: [EvidenceHead]) { expected.formUnion(heads) }

    /// Those that are open, as an inventory names them.
    package var open: [EvidenceHead] {
        opened.filter { closing($0) == nil }.map(\.link.head).sorted { ($0.slot, $0.number) < ($1.slot, $1.number) }
    }

    /// The id of the one exception that is open whose id begins so.
    package func openID(_ prefix: String) -> [String] {
        opened.filter { closing($0) == nil }.map { $0.record.id.description }.filter { $0.hasPrefix(prefix) }
    }

    private func closing(_ one: Opened) -> Opened? { closings[one.record.id.description] }

    private func isUsed(_ one: Opened, _ period: ReportPeriod) -> Bool {
        if expected.contains(one.link.head) { return true }
        guard one.record.finished < period.to else { return false }
        return closing(one).map { $0.record.finished >= period.from } ?? true
    }

    /// Records that a report of the period rests on.
    func used(in period: ReportPeriod) -> [ReportLink] {
        opened.filter { isUsed($0, period) }.flatMap { one in [one.link] + (closing(one).map { [$0.link] } ?? []) }
    }

    /// Those that an inventory names and that are not there as it names them.
    var missing: [EvidenceHead] {
        expected.subtracting(opened.map(\.link.head)).sorted { ($0.slot, $0.number) < ($1.slot, $1.number) }
    }

    package func rows(_ period: ReportPeriod) -> [Report.ExceptionRow] {
        opened.filter { isUsed($0, period) }.map { one in
            func fact(_ name: String) -> String { one.record.facts[name] ?? "" }
            let closing = closing(one).flatMap { $0.record.finished < period.to ? $0 : nil }
            let due = Timestamp(text: fact(ExceptionFact.due))
            // Without a date that can be read it is due at once.
            let isOverdue = (due ?? one.record.finished) < (closing?.record.finished ?? period.to)
            return Report.ExceptionRow(
                id: one.record.id.description, evidence: one.link.reference, finding: fact(ExceptionFact.finding),
                severity: fact(ExceptionFact.severity), owner: fact(ExceptionFact.owner),
                reason: fact(ExceptionFact.reason), ticket: one.record.facts[ExceptionFact.ticket],
                opened: one.record.finished.description, due: due?.description ?? fact(ExceptionFact.due),
                closed: closing?.record.finished.description,
                closedBecause: closing?.record.facts[ExceptionFact.reason],
                retest: closing?.record.facts[ExceptionFact.retest], isOverdue: isOverdue)
        }
        .sorted { ($0.opened, $0.id) < ($1.opened, $1.id) }
    }
}
