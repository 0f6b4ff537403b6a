// Dumps back into a server: one database, all of them with what they share, or single tables.

import Primitives
import Repository

extension DumpWorkload {
    // MARK: Before

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        let dumps = try record.dumps
        guard record.workload == Self.kind, !dumps.isEmpty else {
            throw HoldfastError(
                .usage, "the snapshot is of a \(record.workload) source and holds no dump of a database",
                hint: "Restore it to dir:PATH.")
        }
        let target = DumpTarget(workload: self, context: context)
        let client = Self.major(record.facts["clientVersion"])
        let tool: PostgresTool
        do throws(HoldfastError) {
            tool = try PostgresTool.best("pg_restore", for: client ?? 0, context)
        } catch {
            throw error.ofTarget
        }
        let isSameVersion = try target.major() == Self.major(record.facts["serverVersion"])
        var stage = RestoreStage([])
        func add(_ file: String, _ plan: DumpRestore) {
            stage.streams.append(.init([Array(file.utf8)], DumpReceiver(plan, target, tool)))
        }
        let name = try address().database
        guard let name else {
            guard options.tables.isEmpty, options.database == nil else {
                throw HoldfastError(
                    .usage, "--table and --database go with one database as the target",
                    hint: "Put its name at the end of the URL.")
            }
            // All are looked at before anything is changed.
            stage.streams.append(.init([Array(DumpDatabase.globals.utf8)], DumpGlobals(self, context)))
            for dump in dumps {
                add(
                    dump.file,
                    try plan(dump, as: dump.name, target, record, isSameVersion: isSameVersion, isOneOfAll: true))
            }
            return stage
        }
        let dump = try chosen(dumps, for: name)
        add(dump.file, try plan(dump, as: name, target, record, isSameVersion: isSameVersion, isOneOfAll: false))
        return stage
    }

    private static func major(_ version: String?) -> Int? { version.flatMap { Int($0.prefix { $0.isNumber }) } }

    /// The dump that goes to the database `name`.
    private func chosen(
        _ dumps: [(file: String, name: String)], for name: String
    ) throws(HoldfastError) -> (file: String, name: String) {
        let wanted = options.database ?? (dumps.count == 1 ? dumps[0].name : name)
        if let dump = dumps.first(where: { $0.name == wanted }) { return dump }
        throw HoldfastError(
            .usage, "the snapshot has no database \(wanted)",
            hint: "It has \(dumps.map(\.name).joined(separator: ", ")); choose one with --database.")
    }

    private func plan(
        _ dump: (file: String, name: String), as name: String, _ target: DumpTarget, _ record: SnapshotRecord,
        isSameVersion: Bool, isOneOfAll: Bool
    ) throws(HoldfastError) -> DumpRestore {
        let prefix = SnapshotRecord.prefix(ofRoot: dump.file)
        var expected: [String: String] = [:]
        for (key, value) in record.expectedContents where key.hasPrefix(prefix) {
            expected[String(key.dropFirst(prefix.count))] = value
        }
        var plan = DumpRestore(
            original: dump.name, name: name, isMade: false, replaces: false, hasProperties: false,
            tables: options.tables, restoresOwners: options.restoresOwners, expected: expected,
            schema: isSameVersion ? record.facts[prefix + DumpContents.schemaFact] : nil)
        let state = try target.state(of: name)
        if !options.tables.isEmpty {
            guard state != .absent else {
                throw HoldfastError(
                    .targetFailed, "there is no database \(name) to restore tables into",
                    hint: "Make it, or restore the whole database.")
            }
            plan.replaces = options.replaces
            return plan
        }
        switch state {
        case .absent: plan.isMade = true
        case .empty: break
        case .unfinished:
            plan.isMade = true
            plan.replaces = true
        case .full:
            guard options.replaces, name != DumpDatabase.maintenance, name != "template1" else {
                throw HoldfastError(
                    .targetFailed, "the database \(name) is not empty",
                    hint: options.replaces
                        ? "Every server needs this one: restore to a cluster that was made anew."
                        : "Restore under another name, or add --replace to drop what is there.")
            }
            plan.isMade = true
            plan.replaces = true
        }
        // pg_restore restores what belongs to the database itself under the name that it had.
        plan.hasProperties = name == dump.name && (plan.isMade || isOneOfAll)
        return plan
    }

    // MARK: After

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        stage.streams.flatMap { stream in
            (stream.receiver as? DumpReceiver)?.findings ?? (stream.receiver as? DumpGlobals)?.findings ?? []
        }
    }
}

extension SnapshotRecord {
    /// The dumps of databases that the snapshot holds: their files, and the databases' names.
    ///
    /// - Throws: `.corruptObject` for a file that is no plain name: it becomes a part of paths.
    var dumps: [(file: String, name: String)] {
        get throws(HoldfastError) {
            let end = ": database"
            var found: [(file: String, name: String)] = []
            for (key, value) in facts.sorted(by: { $0.key < $1.key }) where key.hasSuffix(end) {
                let file = String(key.dropLast(end.count))
                guard isSafeName(Array(file.utf8)) else {
                    throw HoldfastError(
                        .corruptObject, "the snapshot holds a dump with the impossible file name `\(file)`",
                        hint: "Do not trust this snapshot: such a name is made to lead elsewhere.")
                }
                found.append((file, value))
            }
            return found
        }
    }
}
