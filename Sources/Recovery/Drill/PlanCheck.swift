// The checks that a plan declares, carried out over restored copies.

import Glibc
import Primitives
import Repository
import Sealing
import Workloads

/// One check of a plan.
struct PlanCheck {
    private let check: DrillCheck
    private let shared: DrillShared

    init(_ check: DrillCheck, _ shared: DrillShared) {
        self.check = check
        self.shared = shared
    }

    /// What came of it.
    private struct Outcome {
        var expected: String
        var actual: String
        var verdict: EvidenceCheckVerdict
        var digest: Bytes32
        var bytes: UInt64

        init(expected: String, actual: String, _ verdict: EvidenceCheckVerdict) {
            self.init(expected: expected, actual: actual, verdict, output: actual)
        }

        init(expected: String, actual: String, _ verdict: EvidenceCheckVerdict, output: String) {
            self.expected = expected
            self.actual = actual
            self.verdict = verdict
            let bytes = Array(output.utf8)
            digest = SHA256.digest(bytes.span.bytes)
            self.bytes = UInt64(bytes.count)
        }
    }

    // MARK: Running

    /// A check of one system, with its deadline; a failure of any kind is in the record, and not thrown.
    ///
    /// - Throws: `.interrupted`, and the limit that ended the drill.
    func run(over drill: SystemDrill) throws(HoldfastError) {
        try record(of: drill.system.name) { (context) throws(HoldfastError) in
            switch check.kind {
            case .sql(let question, let expectation):
                return Self.judge(Self.text(try ask(question, drill, context)), expectation)
            case .heartbeat(let question, let every, let atMost):
                return try heartbeat(question, every, atMost ?? drill.system.rpo, drill, context)
            case .command(let words, let output):
                return try command(words, output, [drill], context)
            case .reconciliation:
                throw HoldfastError(.usage, "a reconciliation is a check of the plan, not of one system")
            }
        }
    }

    /// A check of several systems.
    func run(over drills: [SystemDrill]) throws(HoldfastError) {
        try record(of: "") { (context) throws(HoldfastError) in
            switch check.kind {
            case .reconciliation(let left, let one, let right, let other, let tolerance):
                guard let first = drills.first(where: { $0.system.name == one && $0.copy != nil }),
                    let second = drills.first(where: { $0.system.name == other && $0.copy != nil })
                else {
                    return Outcome(expected: "both systems", actual: "\(one) or \(other) was not recovered", .notRun)
                }
                let (one, other) = (try ask(left, first, context), try ask(right, second, context))
                let (due, found) = (Self.text(one), Self.text(other))
                // What is not there agrees with anything that is not there either.
                guard Self.hasValue(one), Self.hasValue(other) else {
                    return Outcome(expected: "a value of both", actual: "no value: \(due); \(found)", .failed)
                }
                return Outcome(
                    expected: due + (tolerance > 0 ? " ± \(Self.shown(tolerance))" : ""), actual: found,
                    Self.agree(due, found, tolerance) ? .passed : .failed)
            case .command(let words, let output): return try command(words, output, drills, context)
            default: throw HoldfastError(.usage, "the check `\(check.name)` is of one system", hint: "Put it there.")
            }
        }
    }

    /// Notes that the drill ended before the check.
    func skip(of member: String) {
        shared.recorder.add(
            id(member), member, kind: check.kindName, statement: check.statement, expected: "", actual: "not run",
            .notRun, output: [], from: shared.clock.uptime())
    }

    private func id(_ member: String) -> String { member.isEmpty ? check.name : "\(member)/\(check.name)" }

    private func record(
        of member: String, _ body: (WorkloadContext) throws(HoldfastError) -> Outcome
    ) throws(HoldfastError) {
        let start = shared.clock.uptime()
        var outcome: Outcome
        do throws(HoldfastError) {
            let late = Outcome(
                expected: "an answer within \(check.timeout.lengthOfTime)", actual: "none by then", .timedOut)
            outcome =
                try shared.guarded { () throws(HoldfastError) in
                    try shared.watch.within(check.timeout) { (cancellation) throws(HoldfastError) in
                        try body(shared.context(cancellation))
                    }
                } ?? late
        } catch {
            if shared.watch.cancellation.isRaised || error.code == .interrupted { throw error }
            let isLate = error.code == .limitExceeded && shared.clock.uptime() - start >= check.timeout
            outcome = Outcome(expected: "an answer", actual: error.description, isLate ? .timedOut : .failed)
        }
        var evidence = EvidenceCheck(
            id: id(member), member: member, kind: check.kindName, statement: check.statement,
            expected: outcome.expected, actual: outcome.actual, verdict: outcome.verdict,
            outputDigest: outcome.digest, outputBytes: outcome.bytes)
        evidence.started = shared.recorder.now + (start - shared.clock.uptime())
        evidence.duration = shared.clock.uptime() - start
        shared.recorder.add(evidence)
    }

    // MARK: Statements

    private func ask(
        _ question: CopyQuestion, _ drill: SystemDrill, _ context: WorkloadContext
    ) throws(HoldfastError) -> [[String?]] {
        guard let copy = drill.copy else {
            throw HoldfastError(.checkFailed, "\(drill.system.name) was not recovered")
        }
        return try question.ask(copy, drill.scratch, timeout: check.timeout, context)
    }

    /// Columns parted by `|`, rows by line feeds, nothing for NULL.
    static func text(_ rows: [[String?]]) -> String {
        rows.map { $0.map { $0 ?? "" }.joined(separator: "|") }.joined(separator: "\n")
    }

    private static func hasValue(_ rows: [[String?]]) -> Bool { rows.contains { $0.contains { $0 != nil } } }

    private static func judge(_ found: String, _ expectation: DrillCheck.Expectation) -> Outcome {
        switch expectation {
        case .text(let due): return Outcome(expected: due, actual: found, found == due ? .passed : .failed)
        case .number(let least, let most):
            let due = [least.map { "at least \(shown($0))" }, most.map { "at most \(shown($0))" }]
                .compactMap { $0 }.joined(separator: ", ")
            let isGood = Double(found).map { $0 >= least ?? $0 && $0 <= most ?? $0 } ?? false
            return Outcome(expected: due, actual: found, isGood ? .passed : .failed)
        }
    }

    /// The same text, or numbers that are no further apart than the tolerance.
    static func agree(_ one: String, _ other: String, _ tolerance: Double) -> Bool {
        if one == other { return true }
        guard let left = Double(one), let right = Double(other) else { return false }
        return abs(left - right) <= tolerance
    }

    private static func shown(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
    }

    // MARK: Heartbeat

    private func heartbeat(
        _ question: CopyQuestion, _ every: Duration?, _ atMost: Duration?, _ drill: SystemDrill,
        _ context: WorkloadContext
    ) throws(HoldfastError) -> Outcome {
        let text = Self.text(try ask(question, drill, context))
        let due = atMost.map { "a beat at most \($0.lengthOfTime) before the recovery point" } ?? "a beat"
        guard let beat = Heartbeat.instant(text) else {
            return Outcome(expected: due, actual: text.isEmpty ? "no beat" : "no instant: \(text)", .failed)
        }
        guard beat <= drill.snapshot.stored + Heartbeat.clockSkew else {
            return Outcome(
                expected: due,
                actual: "\(beat) is later than the snapshot, which was stored at \(drill.snapshot.stored): check the "
                    + "time zone of what the statement answers, and the clock of who writes beats",
                .failed, output: text)
        }
        // A beat may be younger than the instant that is vouched for.
        let loss = max(.zero, drill.record.consistentAsOf.since(beat))
        shared.recorder.member(drill.system.name) { member in
            member.newestData = max(member.newestData ?? beat, beat)
            member.rpoErrorBar = every ?? member.rpoErrorBar
        }
        let isGood = atMost.map { loss <= $0 } ?? true
        return Outcome(
            expected: due, actual: "\(beat), \(loss.lengthOfTime) before the recovery point",
            isGood ? .passed : .failed, output: text)
    }

    // MARK: Commands

    private func command(
        _ words: [String], _ due: String?, _ drills: [SystemDrill], _ context: WorkloadContext
    ) throws(HoldfastError) -> Outcome {
        guard let home = drills.compactMap(\.data).first else {
            throw HoldfastError(.checkFailed, "no system was recovered")
        }
        var environment: [String: String] = [:]
        for drill in drills {
            let name = Self.variable(drill.system.name)
            if let data = drill.data { environment["HOLDFAST_DRILL_\(name)_DIRECTORY"] = data }
            if let scratch = drill.scratch { environment["HOLDFAST_DRILL_\(name)_ADDRESS"] = scratch.address }
        }
        if let only = drills.first, drills.count == 1 {
            environment["HOLDFAST_DRILL_DIRECTORY"] = only.data
            environment["HOLDFAST_DRILL_ADDRESS"] = only.scratch?.address
        }
        let outcome = try ScratchCommand(words, environment: environment)
            .run(over: home, timeout: check.timeout, shared.isolation, context)
        let printed = String(decoding: outcome.head, as: UTF8.self)
        let trimmed = printed.hasSuffix("\n") ? String(printed.dropLast()) : printed
        let isGood = outcome.result.isSuccess && due.map { $0 == trimmed } ?? true
        let complaint = String(decoding: outcome.errorTail.suffix(1024), as: UTF8.self)
        let shown = [trimmed, complaint].filter { !$0.isEmpty }.joined(separator: "; ")
        var result = Outcome(
            expected: "exit status 0" + (due.map { ", \($0)" } ?? ""),
            actual: "\(outcome.result)" + (shown.isEmpty ? "" : ", \(shown)"),
            outcome.result == .timedOut ? .timedOut : isGood ? .passed : .failed)
        result.digest = outcome.digest
        result.bytes = outcome.bytes
        return result
    }

    /// A system's name as part of the name of a variable.
    static func variable(_ name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }
}

extension DrillCheck {
    /// As evidence names it.
    var kindName: String {
        switch kind {
        case .sql: "sql"
        case .heartbeat: "heartbeat"
        case .command: "command"
        case .reconciliation: "reconciliation"
        }
    }

    /// What is asked, for the record.
    var statement: String {
        switch kind {
        case .sql(let question, _), .heartbeat(let question, _, _): question.statement
        case .command(let words, _): words.joined(separator: " ")
        case .reconciliation(let left, let one, let right, let other, _):
            "\(one): \(left.statement); \(other): \(right.statement)"
        }
    }
}

/// Instants as databases print them.
enum Heartbeat {
    /// What the clocks of two machines that are kept in time may differ by.
    static let clockSkew = Duration.seconds(5)

    /// Reads `2026-11-24 13:18:21.25+00`, the same without a zone as UTC, or seconds or milliseconds since 1970.
    static func instant(_ text: String) -> Timestamp? {
        if let number = Double(text) {
            let seconds = abs(number) >= 1e11 ? number / 1000 : number
            guard abs(seconds) < 9e9 else { return nil }
            let whole = seconds.rounded(.down)
            // A double of this size is good to a microsecond.
            return Timestamp(
                seconds: Int64(whole), nanoseconds: Int64(((seconds - whole) * 1e6).rounded()) * 1000)
        }
        if let instant = Timestamp(text: text) { return instant }
        guard text.utf8.count > 10 else { return nil }
        let tail = text.dropFirst(10)
        if let sign = tail.lastIndex(where: { $0 == "+" || $0 == "-" }) {
            return text[sign...].count == 3 ? Timestamp(text: text + ":00") : nil
        }
        return Timestamp(text: text + "Z")
    }
}
