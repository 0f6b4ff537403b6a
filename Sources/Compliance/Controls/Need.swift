// What a control can need of evidence.

/// One thing that records can show. Each is judged once, the same way for every framework.
enum Need: String, Sendable, CaseIterable {
    case inventory
    case backupsRun = "backups-run"
    case coverage
    case objectives
    case classes
    case rpo
    case restoreTest = "restore-test"
    case yearlyTest = "yearly-test"
    case dataChecks = "data-checks"
    case reconciliation
    case rto
    case isolation
    case mediaCheck = "media-check"
    case sampling
    case transactions
    case plan
    case incident
    case followUp = "follow-up"
    case offsite
    case immutable
    case mirrorRuns = "mirror-runs"
    case encryption
    case rotation
    case auditLog = "audit-log"
    case chain

    /// Only what was done in the period can show it.
    var isTest: Bool {
        switch self {
        case .restoreTest, .yearlyTest, .dataChecks, .reconciliation, .rto, .isolation, .mediaCheck, .sampling,
            .transactions:
            true
        default: false
        }
    }
}

/// What the evidence of a period comes to for a need.
struct NeedJudgement: Sendable {
    var status: Report.Status
    var text: String

    init(_ status: Report.Status, _ text: String) {
        self.status = status
        self.text = text
    }

    /// By how many of several are as they should be.
    init(_ good: Int, of all: Int, _ what: String, none: String) {
        if all == 0 {
            self.init(.noEvidence, none)
        } else {
            self.init(good == all ? .met : good == 0 ? .notMet : .partial, "\(good) of \(all) \(what)")
        }
    }
}

extension Report.ControlRow {
    /// - Parameter report: With everything but its controls.
    init(_ control: Control, _ report: Report) {
        let needs = control.needs.map { need in
            let judged = need.judge(report)
            return Report.NeedRow(need: need.rawValue, status: judged.status, text: judged.text)
        }
        var isTextChecked = true
        if case .unchecked = control.source { isTextChecked = false }
        self.init(
            control: control.id, title: control.title, asks: control.asks, text: control.textStanding,
            isTextChecked: isTextChecked, asksForTest: control.asksForTest,
            status: Self.status(control, needs), needs: needs, notShown: control.notShown)
    }

    /// What is not met outranks all; what was not tested keeps a control that asks for tests from being met.
    private static func status(_ control: Control, _ needs: [Report.NeedRow]) -> Report.Status {
        let counting = needs.filter { $0.status != .notApplicable }
        guard !counting.isEmpty else { return .notApplicable }
        if counting.contains(where: { $0.status == .notMet }) { return .notMet }
        if counting.allSatisfy({ $0.status == .noEvidence }) { return .noEvidence }
        let tests = control.needs.filter(\.isTest).map(\.rawValue)
        let lacksTests =
            !tests.isEmpty && needs.filter { tests.contains($0.need) }.allSatisfy { $0.status == .noEvidence }
        if lacksTests { return .noEvidence }
        return counting.allSatisfy { $0.status == .met } ? .met : .partial
    }
}
