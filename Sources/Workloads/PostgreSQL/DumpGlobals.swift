// Roles and tablespaces on their way back into a server.

import Primitives

/// Runs what pg_dumpall printed. Roles that are there already are left as they are.
final class DumpGlobals: StreamReceiver, @unchecked Sendable {
    // Sendable: used by one thread at a time.

    private static let mostBytes = 64 << 20
    private static let mostMessages = 5

    private let workload: DumpWorkload
    private let context: WorkloadContext
    private var script: [UInt8] = []
    private(set) var findings: [WorkloadFinding] = []
    private var errors: [String] = []
    private var errorCount = 0
    private var kept: [String] = []

    init(_ workload: DumpWorkload, _ context: WorkloadContext) {
        self.workload = workload
        self.context = context
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        guard script.count + bytes.count <= Self.mostBytes else {
            throw HoldfastError(.limitExceeded, "\(DumpDatabase.globals) is longer than \(Self.mostBytes) bytes")
        }
        script.append(contentsOf: bytes)
    }

    func abort() {}

    func finish() throws(HoldfastError) {
        let connection = try workload.connect(nil, context)
        let statements = SQLStatements(script).all.filter { !$0.hasPrefix("SET ") }
        // Roles are made whole or not at all, so that what an interrupted run left is not taken for what was there.
        _ = try connection.rows("BEGIN", for: "restore roles")
        var skipped: [String] = []
        for statement in statements where !Self.isOfTablespace(statement) {
            if skipped.contains(where: { statement.hasPrefix($0) }) { continue }
            _ = try connection.rows("SAVEPOINT one", for: "restore roles")
            guard let error = try run(statement, connection) else { continue }
            _ = try connection.rows("ROLLBACK TO one", for: "restore roles")
            let make = "CREATE ROLE "
            if Self.state(error) == "42710", statement.hasPrefix(make) {
                let name = statement.dropFirst(make.count)
                kept.append(String(name))
                skipped.append("ALTER ROLE \(name) ")
            } else {
                note(error, statement)
            }
        }
        _ = try connection.rows("COMMIT", for: "restore roles")
        for statement in statements where Self.isOfTablespace(statement) {
            if let error = try run(statement, connection) { note(error, statement) }
        }
        report(statements.count)
    }

    private func run(_ statement: String, _ connection: PostgresConnection) throws(HoldfastError) -> HoldfastError? {
        do throws(HoldfastError) {
            _ = try connection.rows(statement, for: "restore roles and tablespaces")
            return nil
        } catch {
            guard Self.state(error) != nil else { throw error.ofTarget }
            // In a server that is thrown away the dump is in question, and not what that server lacks.
            if workload.confinement != nil, PostgresBlame.error(error) != .copy { throw error }
            return error
        }
    }

    /// Messages name the kind of statement, not its text: it can hold a password's hash.
    private func note(_ error: HoldfastError, _ statement: String) {
        errorCount += 1
        guard errors.count < Self.mostMessages else { return }
        errors.append("\(statement.split(separator: " ").prefix(3).joined(separator: " ")): \(error.message)")
    }

    private func report(_ count: Int) {
        if !kept.isEmpty {
            findings.append(
                WorkloadFinding(
                    .good, "globals", "roles that were there are left as they were: \(kept.joined(separator: ", "))"))
        }
        findings.append(
            errorCount == 0
                ? WorkloadFinding(.good, "globals", "\(count) statements")
                : WorkloadFinding(
                    .error, "globals", "\(errorCount) of \(count) statements failed: \(errors.joined(separator: "; "))",
                    hint: "Put right what they name, and run the restore again.", code: .checkFailed))
    }

    private static func isOfTablespace(_ statement: String) -> Bool {
        statement.hasPrefix("CREATE TABLESPACE ") || statement.hasPrefix("ALTER TABLESPACE ")
            || statement.hasPrefix("COMMENT ON TABLESPACE ") || statement.contains(" ON TABLESPACE ")
    }

    private static func state(_ error: HoldfastError) -> String? {
        error.context.first { $0.key == "sqlstate" }?.value
    }
}

extension HoldfastError {
    /// A failure of the target's server, where those of sources are told by ``postgres(_:during:)``.
    var ofTarget: HoldfastError {
        guard code == .sourceFailed else { return self }
        return HoldfastError(
            .targetFailed, message, hint: hint, context: context.map { ($0.key, $0.value) }, retry: retry)
    }
}
