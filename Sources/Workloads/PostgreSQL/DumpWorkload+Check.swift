// Dumps looked through as files, and restored into a server of their own where its programs are.

import Glibc
import Primitives
import Repository

extension DumpWorkload {
    /// Reads each dump through: its parts are whole, and hold the rows that were counted when it was taken; and lets
    /// pg_restore list it. With a scratch server what came of their restore into it is told as well.
    ///
    /// - Throws: What keeps a dump from being looked at that is not of the dump, unless another one is found bad. What
    ///   was found is with the scratch server then. `.interrupted`.
    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard let place = copy.places[Self.rootPath] else {
            return [WorkloadFinding(.error, "dump", "the restored copy has no dumps", code: .checkFailed)]
        }
        var findings: [WorkloadFinding] = []
        var failure: HoldfastError?
        for dump in try copy.record.dumps {
            do throws(HoldfastError) {
                findings += try Self.check("\(place)/\(dump.file)", dump, copy.record, context)
            } catch {
                if error.code == .interrupted { throw error }
                if PostgresBlame.error(error) == .copy {
                    findings.append(
                        WorkloadFinding(.error, "dump", "\(dump.name): \(error.message)", code: .checkFailed))
                } else {
                    failure = failure ?? error
                    findings.append(
                        WorkloadFinding(.warning, "dump", "\(dump.name) was not looked at: \(error.message)"))
                }
            }
        }
        if let scratch = scratch as? PostgresScratch {
            findings += scratch.findings
            guard let failure else { return findings }
            scratch.findings = findings
            throw failure
        }
        if let failure, !findings.contains(where: { $0.severity == .error }) { throw failure }
        return findings + [
            WorkloadFinding(
                .warning, "server", "the dumps were looked through, and not restored into a server",
                hint: "Install the server's programs of the version of the source.")
        ]
    }

    private static func check(
        _ path: String, _ dump: (file: String, name: String), _ record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        let scanner = try scan(path, context)
        let prefix = SnapshotRecord.prefix(ofRoot: dump.file)
        var found = [
            DumpContents.largeObjectsKey: String(scanner.largeObjects),
            DumpContents.entriesKey: scanner.entriesDigest,
        ]
        for (table, count) in scanner.rows { found[DumpContents.rowsPrefix + table.text] = String(count) }
        var findings: [WorkloadFinding] = []
        var compared = 0
        for (key, due) in record.expectedContents.sorted(by: { $0.key < $1.key }) where key.hasPrefix(prefix) {
            let name = String(key.dropFirst(prefix.count))
            compared += 1
            if found[name] != due {
                findings.append(
                    WorkloadFinding(
                        .error, "rows", "\(dump.name): \(name) is \(found[name] ?? "missing") instead of \(due)",
                        code: .checkFailed))
            }
        }
        findings.append(WorkloadFinding(.good, "rows", "\(dump.name): \(compared) numbers compared"))
        let tool = try PostgresTool.best(
            "pg_restore", for: Int(scanner.clientVersion.prefix { $0.isNumber }) ?? 0, context)
        // By a descriptor: its user need not get to the file.
        let file = try openRegular(path, shown: path, contents: .checkFailed)
        let confinement = ScratchConfinement(
            isolation: try context.settledIsolation(), user: try ServerUser.unprivileged(), directory: "/",
            place: "/usr")
        let listing = try ToolRun(confinement.request([tool.path, "--list"], input: .descriptor(file.number)))
            .run(context)
        guard listing.result.isSuccess else {
            let reason = "\(listing.result): \(listing.complaint)"
            if let failure = PostgresBlame.program(listing).failure(of: "pg_restore", reason) { throw failure }
            findings.append(
                WorkloadFinding(
                    .error, "pg_restore", "\(dump.name): its list cannot be read: \(reason)", code: .checkFailed))
            return findings
        }
        findings.append(WorkloadFinding(.good, "pg_restore", "\(dump.name): its list can be read"))
        return findings
    }

    private static func scan(_ path: String, _ context: WorkloadContext) throws(HoldfastError) -> DumpScanner {
        do throws(HoldfastError) {
            return try read(path, context)
        } catch {
            throw error.ofReadBack
        }
    }

    private static func read(_ path: String, _ context: WorkloadContext) throws(HoldfastError) -> DumpScanner {
        let file = try openRegular(path, shown: path, contents: .checkFailed)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var scanner = DumpScanner()
        while true {
            try context.cancellation.check()
            let (count, number) = retryingInterrupts { Glibc.read(file.number, buffer.baseAddress, buffer.count) }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: path) }
            guard count > 0 else { break }
            var rest = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            while rest.count > 0 {
                let step = try scanner.advance(rest)
                rest = UnsafeRawBufferPointer(rebasing: rest[step.count...])
            }
        }
        try scanner.finish()
        return scanner
    }
}
