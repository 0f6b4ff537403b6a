// One database on its way back: the archive goes through a pipe into pg_restore.

import CLinux
import Glibc
import Primitives

/// What becomes of one dump.
struct DumpRestore: Sendable {
    /// The database at the source.
    var original: String
    /// The database at the target.
    var name: String
    /// Made anew; else it is there, and empty unless tables are restored into it.
    var isMade: Bool
    /// What stands there is dropped: a table first, a database when its successor beside it is whole.
    var replaces: Bool
    /// Owner, rights and settings of the database itself are restored.
    var hasProperties: Bool
    /// Only these; empty for all.
    var tables: [String]
    var restoresOwners: Bool
    /// From the snapshot's record, without the dump's name before.
    var expected: [String: String]
    /// The fingerprint of the schema, when the target's server is of the same version: types can have other names.
    var schema: String?
}

/// Feeds one archive to pg_restore, whose errors are counted.
///
/// Memory: the archive's table of contents, until pg_restore has begun.
final class DumpReceiver: StreamReceiver, @unchecked Sendable {
    // Sendable: used by one thread at a time.

    private static let mostHeadBytes = 128 << 20
    private static let nap: Int32 = 50

    private let plan: DumpRestore
    private let target: DumpTarget
    private let tool: PostgresTool
    private var scanner = DumpScanner(keepsAll: true)
    private var head: [UInt8] = []
    private var process: (any RunningProcess)?
    private var pipe: Int32 = -1
    private var list: String?
    private var selection: DumpSelection?
    private var isMade = false
    /// The database that is restored into: that of the plan, or one beside it that takes its place at the end.
    private let working: String
    private var further: [String] = []
    private(set) var findings: [WorkloadFinding] = []

    init(_ plan: DumpRestore, _ target: DumpTarget, _ tool: PostgresTool) {
        self.plan = plan
        self.target = target
        self.tool = tool
        working = plan.isMade && plan.replaces ? DumpTarget.provisional(plan.name) : plan.name
    }

    deinit {
        close()
        discardList()
    }

    // MARK: StreamReceiver

    func receive(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        guard process == nil else { return try send(bytes) }
        guard head.count + bytes.count <= Self.mostHeadBytes else {
            throw HoldfastError(
                .limitExceeded,
                "the table of contents of the dump of \(plan.original) is too long to be looked through",
                hint: "Restore to dir:PATH, and run pg_restore on the file.")
        }
        head.append(contentsOf: bytes)
        var rest = bytes
        while rest.count > 0, !scanner.hasContents {
            let step = try readBack { (scanner) throws(HoldfastError) in try scanner.advance(rest) }
            rest = UnsafeRawBufferPointer(rebasing: rest[step.count...])
        }
        guard scanner.hasContents else { return }
        try begin()
        let held = head
        head = []
        let span = held.span.bytes
        try span.withUnsafeBytes { (raw) throws(HoldfastError) in try send(raw) }
    }

    func finish() throws(HoldfastError) {
        guard let process else { throw DumpScanner.damaged("it breaks off").ofReadBack }
        close()
        let result = process.wait()
        discardList()
        try target.context.cancellation.check()
        self.process = nil
        let report = PostgresRestoreReport(head: process.errorHead, tail: process.errorTail)
        let reason = "\(result): \(report.messages.joined(separator: "; "))"
        let outcome = ToolOutcome(result: result, head: [], errorHead: process.errorHead, errorTail: process.errorTail)
        if isScratch, !result.isSuccess {
            let blame = PostgresBlame.filling(outcome)
            if let failure = blame.failure(of: "pg_restore", reason) { throw failure }
        }
        guard result.isSuccess || (result == .exited(1) && report.isComplete) else {
            throw HoldfastError(
                isScratch ? .checkFailed : .targetFailed, "pg_restore failed: \(reason)",
                hint: "Look into the log of the target's server.")
        }
        try conclude(report)
    }

    /// The server is thrown away, and what is asked is whether the dump is sound.
    private var isScratch: Bool { target.workload.confinement != nil }

    private func readBack<Result>(
        _ body: (inout DumpScanner) throws(HoldfastError) -> Result
    ) throws(HoldfastError) -> Result {
        do throws(HoldfastError) {
            return try body(&scanner)
        } catch {
            throw error.ofReadBack
        }
    }

    func abort() {
        process?.terminate()
        close()
        _ = process?.wait()
        process = nil
        discardList()
        // What was made for this is of no use to anyone; if it cannot be dropped, its marker tells the next run.
        if isMade { _ = try? target.drop(working) }
        isMade = false
    }

    // MARK: Steps

    private func begin() throws(HoldfastError) {
        let selection: DumpSelection
        if plan.tables.isEmpty {
            selection = DumpSelection(allOf: scanner.items)
        } else {
            selection = try DumpSelection(tables: plan.tables, of: scanner.items) { (schema) throws(HoldfastError) in
                try !target.hasSchema(schema, in: plan.name)
            }
            try target.clear(selection.tables, in: plan.name, replacing: plan.replaces)
        }
        self.selection = selection
        if plan.isMade {
            if working != plan.name { try target.refuseUse(of: plan.name) }
            // One that was broken off between the drop of the old database and the name of the new one left it there.
            if try target.state(of: DumpTarget.provisional(plan.name)) == .unfinished {
                try target.drop(DumpTarget.provisional(plan.name))
            }
            if working != plan.name { try target.dropUnfinished(working) }
            let database = scanner.items.first { $0.kind == "DATABASE" }
            try target.make(working, like: plan.original, database?.definition ?? "")
            isMade = true
        }
        let confinement = target.workload.confinement
        list = try TemporaryList.write(selection.list, confinement, target.context)
        var arguments = [
            tool.path, "--format=custom", "--no-password", "--use-list=\(list ?? "")",
            "--dbname=\(try target.workload.address().connectionString(database: working))",
        ]
        if !plan.restoresOwners { arguments += ["--no-owner", "--no-privileges"] }
        var ends: [Int32] = [-1, -1]
        // A socket, so that a child that ends early is an error of the call and not a signal.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw HoldfastError.systemCall("make", errno, on: "a pipe", code: .processFailed)
        }
        pipe = ends[0]
        defer { Glibc.close(ends[1]) }
        let request =
            confinement?.request(arguments, input: .descriptor(ends[1]))
            ?? PostgresTool.request(arguments, input: .descriptor(ends[1]))
        process = try target.context.runner.start(request, cancellation: target.context.cancellation)
    }

    /// Writes into pg_restore; one that has ended by itself takes no more, which its status explains.
    private func send(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        var rest = bytes
        while rest.count > 0, pipe >= 0 {
            try target.context.cancellation.check()
            var watched = pollfd(fd: pipe, events: Int16(POLLOUT), revents: 0)
            guard poll(&watched, 1, Self.nap) > 0 else { continue }
            let count = Glibc.send(
                pipe, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } else if errno == EPIPE || errno == ECONNRESET {
                close()
            } else if errno != EINTR, errno != EAGAIN {
                throw HoldfastError.systemCall("write to", errno, on: "pg_restore")
            }
        }
    }

    private func close() {
        if pipe >= 0 { Glibc.close(pipe) }
        pipe = -1
    }

    /// pg_restore reads its list after the archive's table of contents, so the file goes when it has ended.
    private func discardList() {
        if let list { unlink(list) }
        list = nil
    }

    private func conclude(_ report: PostgresRestoreReport) throws(HoldfastError) {
        if working != plan.name {
            // What is there goes only when what comes for it holds what it should.
            let findings = try target.compare(working, plan.expected, tables: nil, schema: nil)
            if let error = findings.first(where: { $0.severity == .error }) {
                throw HoldfastError(
                    .targetFailed, "what was restored is not whole: \(error.message)",
                    hint:
                        "The database \(plan.name) was left as it was; restore under another name to see what came.",
                    context: [("pg_restore", report.messages.joined(separator: "; "))].filter { !$0.1.isEmpty })
            }
            try target.drop(plan.name)
            // Now it is the only one.
            isMade = false
            try target.rename(working, to: plan.name)
        }
        if plan.hasProperties {
            for error in try target.apply(scanner.items, to: plan.name, withOwners: plan.restoresOwners) {
                if isScratch, PostgresBlame.error(error) != .copy { throw error }
                further.append(error.message)
            }
        }
        let count = report.errors + further.count
        if count == 0 {
            findings.append(WorkloadFinding(.good, "pg_restore", "\(plan.name): no errors"))
        } else {
            let messages = (further + report.messages).prefix(PostgresRestoreReport.mostMessages)
            findings.append(
                WorkloadFinding(
                    .error, "pg_restore", "\(plan.name): \(count) errors: \(messages.joined(separator: "; "))",
                    hint:
                        "Make what they lack, such as roles and extensions, or give --no-ownership; then restore anew.",
                    code: .checkFailed))
        }
        for key in selection?.leftOut ?? [] {
            findings.append(
                WorkloadFinding(.warning, "foreign key", "\(plan.name): the foreign key \(key) is left out"))
        }
        let tables = plan.tables.isEmpty ? nil : selection?.tables
        do throws(HoldfastError) {
            findings += try target.compare(plan.name, plan.expected, tables: tables, schema: plan.schema)
        } catch {
            // What was restored stays, with all that is known of it.
            if error.code == .interrupted || isScratch && PostgresBlame.error(error) != .copy { throw error }
            findings.append(
                WorkloadFinding(.error, "contents", "\(plan.name): \(error.message)", code: .checkFailed))
        }
        if plan.isMade { try target.settle(plan.name) }
        isMade = false
    }
}

/// What pg_restore said on standard error, in English.
struct PostgresRestoreReport {
    static let mostMessages = 5

    /// Errors that it went on after.
    let errors: Int
    /// Whether it went on to the end.
    let isComplete: Bool
    let messages: [String]

    init(head: [UInt8], tail: [UInt8]) {
        let first = String(decoding: head, as: UTF8.self).split(separator: "\n")
        let last = String(decoding: tail, as: UTF8.self).split(separator: "\n")
        let mark = "errors ignored on restore: "
        let count = last.last { $0.contains(mark) }.flatMap { line in
            line.firstRange(of: mark).flatMap { Int(line[$0.upperBound...].prefix { $0.isNumber }) }
        }
        isComplete = count != nil
        let error = "pg_restore: error: "
        let found = first.filter { $0.hasPrefix(error) }.map { String($0.dropFirst(error.count)) }
        errors = count ?? found.count
        messages = Array((found.isEmpty ? first.suffix(3).map { String($0) } : found).prefix(Self.mostMessages))
    }
}

/// A file that a child reads and that is gone afterwards.
enum TemporaryList {
    /// - Parameter confinement: The file lies where the child sees it, and belongs to its user.
    static func write(
        _ bytes: [UInt8], _ confinement: ScratchConfinement?, _ context: WorkloadContext
    ) throws(HoldfastError) -> String {
        let directory = confinement?.directory ?? ProcessEnvironment.value("TMPDIR") ?? "/tmp"
        let path = "\(directory)/holdfast-list-" + Hex.encode(try context.entropy.bytes32().array.prefix(16))
        let number = holdfast_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: path) }
        let file = OwnedDescriptor(number)
        if let user = confinement?.user, user.isOther, fchown(number, user.number, user.group) != 0 {
            let reason = errno
            unlink(path)
            throw HoldfastError.systemCall("give away", reason, on: path)
        }
        var written = 0
        while written < bytes.count {
            let (count, error) = retryingInterrupts {
                bytes.withUnsafeBytes { raw in
                    Glibc.write(file.number, raw.baseAddress.map { $0 + written }, raw.count - written)
                }
            }
            guard count > 0 else {
                unlink(path)
                throw HoldfastError.systemCall("write to", error, on: path)
            }
            written += count
        }
        return path
    }
}
