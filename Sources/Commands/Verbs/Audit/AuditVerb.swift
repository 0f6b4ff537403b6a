// holdfast audit: who had which secret value, and whether the log of it is whole.

import ArgumentParser
import Primitives
import State

struct AuditVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Look at the log of accesses to secret values, and verify it.",
        discussion: """
            Every access to the value of a secret is in the log of the state (--state-dir) before it takes place: who, \
            when, on which host, which secret and version, and why. Values are never in it.
            """,
        subcommands: [AuditVerify.self, AuditList.self, AuditShow.self])
}

/// A record as `--json` prints it.
struct AuditRecordReport: Encodable {
    let sequence: UInt64
    let time, action, outcome, user, host, vault, digest, previous: String
    let uid: UInt32
    let run, secret, version, reason, code: String?
    let about: UInt64?

    init(_ record: AuditRecord, digest: Bytes32) {
        sequence = record.sequence
        time = AuditRecord.text(of: record.time)
        action = record.entry.action.rawValue
        outcome = record.entry.outcome.rawValue
        user = record.actor.user
        uid = record.actor.uid
        host = record.actor.host
        run = record.actor.run
        vault = record.entry.vault
        secret = record.entry.secret
        version = record.entry.version
        reason = record.entry.reason
        code = record.entry.code
        about = record.entry.about
        self.digest = Hex.encode(digest.array)
        previous = Hex.encode(record.previous.array)
    }
}

struct AuditList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List accesses, oldest first.",
        discussion: """
            The newest ones when there are more than --count. Lines that are no sound records are counted on standard \
            error, and the exit status is 4 then; `holdfast audit verify` tells what was done to them.

            Examples:

              holdfast audit list --since 30d

              holdfast audit list --secret app/db --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Option(name: .long, help: ArgumentHelp("From this time on: a date, a time, or a length of time ago."))
    var since: InstantArgument?

    @Option(name: .long, help: ArgumentHelp("Of this secret alone.", valueName: "name"))
    var secret: String?

    @Option(name: .long, help: ArgumentHelp("How many at most, up to 100000.", valueName: "n"))
    var count = 1000

    func validate() throws {
        guard (1...100_000).contains(count) else { throw ValidationError("--count takes 1 to 100000.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let from = since?.instant(now: context.clock.now())
            var found: [AuditRecordReport] = []
            var (left, damaged) = (0, 0)
            try AuditReader(state: try context.stateDirectory(), clock: context.clock).visit {
                (line) throws(HoldfastError) in
                guard line.isWhole, case .record(let record, let digest) = AuditLineContent(line.bytes) else {
                    damaged += line.isWhole ? 1 : 0
                    return true
                }
                if let from, record.time < from { return true }
                if let secret, record.entry.secret != secret { return true }
                found.append(AuditRecordReport(record, digest: digest))
                // In halves, so that not every record moves all others.
                if found.count >= 2 * count {
                    left += count
                    found.removeFirst(count)
                }
                return true
            }
            left += max(0, found.count - count)
            found = found.suffix(count)
            try show(found, on: context.output)
            if left > 0 { context.output.remark("holdfast: note: \(left) older ones are left out; give --count") }
            if damaged > 0 {
                context.output.warning("\(damaged) lines are no sound records; run `holdfast audit verify`")
            }
            try context.output.json(AuditListReport(records: found, leftOut: left, damaged: damaged))
            return damaged > 0 ? .checkFailed : .success
        }
    }

    private func show(_ records: [AuditRecordReport], on output: Output) throws(HoldfastError) {
        var table = Table([
            ("NUMBER", .right), ("TIME", .left), ("WHO", .left), ("ACTION", .left), ("OUTCOME", .left),
            ("SECRET", .left), ("VERSION", .left), ("REASON", .left),
        ])
        for record in records {
            table.add([
                "\(record.sequence)", record.time, ShownText.name("\(record.user)@\(record.host)"),
                ShownText.name(record.action), record.outcome + (record.about.map { " (of \($0))" } ?? ""),
                ShownText.name(record.secret ?? "-"), ShownText.name(record.version ?? "-"),
                ShownText.line(record.reason ?? record.run ?? "-"),
            ])
        }
        for line in table.lines { try output.line(line) }
    }
}

/// `holdfast.audit-list/1`.
struct AuditListReport: Encodable {
    let schema = "holdfast.audit-list/1"
    let records: [AuditRecordReport]
    let leftOut, damaged: Int

    private enum CodingKeys: String, CodingKey { case schema, records, leftOut, damaged }
}

struct AuditShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one access.",
        discussion: """
            Example:

              holdfast audit show 1
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("Its number.", valueName: "number"))
    var number: UInt64

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var found: [(place: String, record: AuditRecordReport)] = []
            try AuditReader(state: try context.stateDirectory(), clock: context.clock).visit {
                (line) throws(HoldfastError) in
                guard line.isWhole, case .record(let record, let digest) = AuditLineContent(line.bytes),
                    record.sequence == number
                else { return true }
                found.append((line.place, AuditRecordReport(record, digest: digest)))
                return found.count < 100
            }
            guard let first = found.first else {
                throw HoldfastError(
                    .objectMissing, "the audit log has no sound record \(number)",
                    hint: "`holdfast audit list` lists those that it has, `holdfast audit verify` what is missing.")
            }
            for (place, record) in found { try show(record, place, on: context.output) }
            if found.count > 1 {
                context.output.warning("\(found.count) records have this number; run `holdfast audit verify`")
            }
            try context.output.json(AuditShowReport(record: first.record, place: first.place))
            return found.count > 1 ? .checkFailed : .success
        }
    }

    private func show(_ record: AuditRecordReport, _ place: String, on output: Output) throws(HoldfastError) {
        let rows: [(String, String?)] = [
            ("number", "\(record.sequence)"), ("time", record.time), ("user", "\(record.user) (\(record.uid))"),
            ("host", record.host), ("run", record.run), ("action", record.action), ("outcome", record.outcome),
            ("code", record.code), ("about", record.about.map { "\($0)" }), ("vault", record.vault),
            ("secret", record.secret), ("version", record.version), ("reason", record.reason),
            ("digest", record.digest),
            ("previous", record.previous), ("place", place),
        ]
        for (name, value) in rows {
            guard let value, !value.isEmpty else { continue }
            let pad = String(repeating: " ", count: 10 - name.count)
            try output.line(name + pad + ShownText.line(value))
        }
    }
}

/// `holdfast.audit-show/1`.
struct AuditShowReport: Encodable {
    let schema = "holdfast.audit-show/1"
    let record: AuditRecordReport
    let place: String

    private enum CodingKeys: String, CodingKey { case schema, record, place }
}
