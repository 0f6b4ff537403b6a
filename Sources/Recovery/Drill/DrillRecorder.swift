// Keeps the record of a drill while it runs: phases by the clock that never steps, checks, findings.

import Primitives
import Repository
import Sealing

/// What whoever shows a drill is told.
package enum DrillEvent: Sendable {
    /// The drill began, over these systems.
    case began(plan: String, systems: [String])
    case entered(RecoveryPhase, member: String)
    case ended(RecoveryPhase, member: String, Duration, bytes: UInt64?)
    case checked(EvidenceCheck)
    case found(EvidenceFinding)
    /// A drill that a process left unfinished has its evidence now.
    case settled(EvidenceRecord)
}

/// The one who writes the record. Thread: one at a time.
final class DrillRecorder {
    /// In bytes of UTF-8.
    static let mostText = 4096

    private(set) var record: EvidenceRecord
    private let clock: any Clock
    private let origin: Duration
    private let tell: (DrillEvent) -> Void
    private var journal: DrillJournal?
    /// Of the checks.
    private var ids: Set<String>
    /// What makes the next check of a name its own.
    private var numbers: [String: Int] = [:]
    /// Whether anything was found that is an error, or a check failed, although the record had no room for it.
    private(set) var hasUnkeptErrors = false

    init(_ record: EvidenceRecord, clock: any Clock, tell: @escaping (DrillEvent) -> Void) {
        self.record = record
        self.clock = clock
        self.tell = tell
        origin = clock.uptime()
        ids = Set(record.checks.map(\.id))
    }

    /// From now on the record is kept in `journal` as well.
    func keep(in journal: DrillJournal) { self.journal = journal }

    var now: Timestamp { record.started + (clock.uptime() - origin) }

    /// Whether all went well as far as is known, with what the record had no room for.
    var isGood: Bool { !hasUnkeptErrors && record.isGood }

    func update(_ change: (inout EvidenceRecord) -> Void) { change(&record) }

    func member(_ name: String, _ change: (inout EvidenceMember) -> Void) {
        if let place = record.members.firstIndex(where: { $0.name == name }) { change(&record.members[place]) }
    }

    // MARK: Phases

    /// A phase begins; the journal says so, whatever becomes of us.
    func enter(_ phase: RecoveryPhase, _ member: String) throws(HoldfastError) -> Duration {
        tell(.entered(phase, member: member))
        if let journal {
            var left = record
            left.finished = now
            left.verdict = .interrupted
            left.facts["phase"] = member.isEmpty ? phase.rawValue : "\(phase.rawValue) of \(member)"
            try journal.note(left)
        }
        return clock.uptime()
    }

    /// Adds a phase that ran from `start` until `end`, now where not given.
    ///
    /// - Returns: Its place, for those that come after it.
    @discardableResult
    func add(
        _ phase: RecoveryPhase, _ member: String, from start: Duration, to end: Duration? = nil, bytes: UInt64? = nil,
        after: [Int]
    ) -> Int {
        let duration = max(.zero, (end ?? clock.uptime()) - start)
        record.phases.append(
            EvidencePhase(
                phase, member: member, .measured(start: record.started + (start - origin), duration: duration),
                bytes: bytes, after: after.map { UInt64($0) }))
        tell(.ended(phase, member: member, duration, bytes: bytes))
        return record.phases.count - 1
    }

    // MARK: Checks

    /// Adds a check; its id is made unique.
    func add(_ check: EvidenceCheck) {
        guard record.checks.count < EvidenceRecord.maximumChecks else {
            if check.verdict != .passed, check.verdict != .skipped { hasUnkeptErrors = true }
            return
        }
        var check = check
        let name = check.id
        var number = numbers[name, default: 2]
        while !ids.insert(check.id).inserted {
            check.id = "\(name)-\(number)"
            number += 1
        }
        numbers[name] = number
        check.statement = Self.short(check.statement)
        check.expected = Self.short(check.expected)
        check.actual = Self.short(check.actual)
        record.checks.append(check)
        tell(.checked(check))
    }

    /// Adds a check whose whole output is `output`.
    func add(
        _ id: String, _ member: String, kind: String, statement: String = "", expected: String, actual: String,
        _ verdict: EvidenceCheckVerdict, output: [UInt8], from start: Duration
    ) {
        var check = EvidenceCheck(
            id: id, member: member, kind: kind, statement: statement, expected: expected, actual: actual,
            verdict: verdict, outputDigest: SHA256.digest(output.span.bytes), outputBytes: UInt64(output.count))
        check.started = record.started + (start - origin)
        check.duration = clock.uptime() - start
        add(check)
    }

    func find(_ severity: String, _ object: String, _ message: String) {
        let finding = EvidenceFinding(
            severity: severity, object: Self.name(object), message: Self.short(message))
        tell(.found(finding))
        if record.findings.count >= EvidenceRecord.maximumFindings {
            guard severity == "error" else { return }
            // An error takes the place of what is less.
            guard let place = record.findings.lastIndex(where: { $0.severity != "error" }) else {
                hasUnkeptErrors = true
                return
            }
            record.findings.remove(at: place)
        }
        record.findings.append(finding)
    }

    /// Cuts facts that would not fit.
    func shortenFacts() {
        record.facts = record.facts.mapValues { Self.short($0) }
        for place in record.members.indices {
            record.members[place].facts = record.members[place].facts.mapValues { Self.short($0) }
        }
    }

    /// A text that fits where a record has room for a name.
    static func name(_ text: String) -> String { short(text, mostText - 3) }

    /// A text that fits into a record; what was cut off is in the digest.
    static func short(_ text: String, _ most: Int = mostText) -> String {
        guard text.utf8.count > most else { return text }
        // One Character can be of any length, so it is cut between scalars.
        var end = text.utf8.index(text.startIndex, offsetBy: most)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text.unicodeScalars[..<end]) + "…"
    }
}
