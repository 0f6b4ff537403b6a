// Whole verbs on a generated tree: what a command does after its password is known.

import Glibc
import Logging
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Workloads

extension Bench {
    /// Backup, the same again with every byte read, a backup after changes, restore, and a check of every byte.
    ///
    /// The tree has a file of table pages, one of noise, and small files, about `size` bytes in all. Repository, cache,
    /// source and target are in one temporary directory.
    mutating func endToEnd(size: Int = 256 << 20) throws(HoldfastError) {
        guard wants("end-to-end/") else { return }
        let directory = TemporaryDirectory()
        let source = "\(directory.path)/source"
        mkdir(source, 0o755)
        var pages = SyntheticPages(count: size / 2, seed: 3)
        try writeFile("\(source)/pages", pages.bytes)
        let entropy = SeededEntropy(seed: 5)
        try writeFile("\(source)/noise", try entropy.bytes(size / 4))
        let small = size / 4 / 16_384
        for number in 0..<small {
            if number % 500 == 0 { mkdir("\(source)/\(number / 500)", 0o755) }
            let line = Array("line \(number) of a small text file\n".utf8)
            let text = (0..<(200 + number % 700)).flatMap { _ in line }
            try writeFile("\(source)/\(number / 500)/\(number)", text)
        }
        var logger = Logger(label: "benchmarks") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let environment = Environment(logger: logger, cacheDirectory: "\(directory.path)/cache")
        let repository = try Repository.create(
            in: try LocalStore.create(at: "\(directory.path)/repository"),
            secret: TestRepository.secret(TestRepository.password), derivation: TestRepository.derivation,
            label: "benchmark", compression: "zstd:3", environment: environment)

        func backUp(reread: Bool = false) throws(HoldfastError) -> BackupSummary {
            var options = BackupOptions(source: "benchmark", host: "benchmark", toolVersion: "benchmark")
            options.reread = reread
            return try Backup(repository, options: options).run([.directory(Array(source.utf8))])
        }
        let (first, firstSeconds, firstPeak) = try ProcessMemory.watching { () throws(HoldfastError) in try backUp() }
        let counts = first.record.counts
        let bytes = Double(counts.bytes)
        func keep(_ name: String, _ seconds: Double, _ peak: Double, _ note: String) {
            add(
                Measurement(
                    name: "end-to-end/\(name)", rate: bytes / seconds / 1e6,
                    note: "\(note), peak \(Int(peak)) MiB anonymous, inputs included"))
        }
        keep(
            "backup", firstSeconds, firstPeak,
            "\(counts.files) files, \(percent(Int(counts.bytesStored), of: Int(bytes))) stored"
        )
        let (_, unchanged, unchangedPeak) = try ProcessMemory.watching { () throws(HoldfastError) in try backUp() }
        keep("unchanged", unchanged, unchangedPeak, "nothing read")
        let (_, again, againPeak) = try ProcessMemory.watching { () throws(HoldfastError) in try backUp(reread: true) }
        keep("reread", again, againPeak, "every byte read")
        _ = pages.update(rows: 2_000)
        try writeFile("\(source)/pages", pages.bytes)
        let (second, changed, changedPeak) = try ProcessMemory.watching { () throws(HoldfastError) in try backUp() }
        keep("changed", changed, changedPeak, "\(second.record.counts.bytesStored) bytes stored")
        try restoreAndCheck(repository, second, to: "\(directory.path)/target", keep)
    }

    private func restoreAndCheck(
        _ repository: Repository, _ summary: BackupSummary, to target: String,
        _ keep: (String, Double, Double, String) -> Void
    ) throws(HoldfastError) {
        let (result, restoring, restorePeak) = try ProcessMemory.watching { () throws(HoldfastError) in
            let index = try repository.loadIndex().index
            guard let snapshot = try repository.snapshots().snapshots.first(where: { $0.id == summary.snapshot }) else {
                throw HoldfastError(.corruptObject, "the snapshot is not there", hint: "Report this.")
            }
            let plan = try RestorePlan.make(repository, snapshot: snapshot, index: index)
            let writer = try TreeWriter(target: Array(target.utf8), options: Restorer.writerOptions())
            return try Restorer(repository, index: index)
                .run(plan, target: writer, threads: 2, cancellation: Cancellation())
        }
        guard result.isComplete else {
            throw HoldfastError(.corruptObject, "the restore is not complete", hint: "Report this.")
        }
        keep("restore", restoring, restorePeak, "\(result.files) files, on stable storage")
        let (report, checking, checkPeak) = try ProcessMemory.watching { () throws(HoldfastError) in
            var options = CheckOptions()
            options.data = .all
            return try repository.check(options)
        }
        guard report.findings.allSatisfy({ $0.severity == .info }) else {
            throw HoldfastError(.corruptObject, "the check found damage", hint: "Report this.")
        }
        keep("check", checking, checkPeak, "every byte of every pack")
    }
}

/// Makes or replaces a file.
func writeFile(_ path: String, _ bytes: [UInt8]) throws(HoldfastError) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw HoldfastError.systemCall("open", errno, on: path) }
    defer { close(file) }
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        guard count > 0 else { throw HoldfastError.systemCall("write", errno, on: path) }
        rest = rest.dropFirst(count)
    }
}
