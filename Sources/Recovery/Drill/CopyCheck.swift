// What is held against a restored copy, whoever restored it: a drill in scratch space, a restore in the real place.

import ObjectStore
import Primitives
import Repository
import Workloads

/// The checks of one recovered system, each written into the record.
struct CopyCheck {
    /// Where the copy stands.
    enum Place {
        case tree(String, SnapshotLayout, PathFilter)
        /// A file root that was put under a name of its own.
        case file(String, PlacedRoot)
    }

    /// The member's name.
    let name: String
    let record: SnapshotRecord
    let recorder: DrillRecorder
    let clock: any Clock
    let cancellation: Cancellation
    let progress: Progress

    /// Notes what could not be restored.
    ///
    /// - Throws: `.checkFailed` when not all was restored; what is damaged is in the findings by the objects' names.
    func judge(_ result: RestoreResult) throws(HoldfastError) {
        var objects: [String] = []
        for damaged in result.damaged.prefix(20) {
            for part in damaged.parts.prefix(4) {
                guard let pack = part.pack else { continue }
                let object = ObjectNames.pack(pack).path
                if !objects.contains(object) { objects.append(object) }
            }
            recorder.find(
                "error", objects.last ?? name, "\(printablePath(damaged.path)) is damaged: \(damaged.error.message)")
        }
        for failure in result.failures.prefix(20) {
            recorder.find("error", name, "\(printablePath(failure.path)): \(failure.error.message)")
        }
        guard !result.isComplete else { return }
        let named = objects.isEmpty ? "" : "; damaged: \(objects.joined(separator: ", "))"
        throw HoldfastError(
            .checkFailed, "\(result.damagedCount + result.failureCount) paths could not be restored\(named)",
            hint: "Run `holdfast check --read-data`, and repair from a mirror.")
    }

    /// What ``compare(_:_:expected:least:isAlone:)`` asks.
    static let comparison = "every byte of the copy against the snapshot"

    /// The copy against the list of the snapshot of `session`, byte by byte.
    ///
    /// - Parameters:
    ///   - expected: Bytes to be read, for the progress.
    ///   - least: Fewer files are not what was to be compared.
    ///   - isAlone: What lies beside the snapshot's own is a difference.
    func compare(
        _ session: RestoreSession, _ place: Place, expected: UInt64, least: UInt64 = 0, isAlone: Bool = false
    ) throws(HoldfastError) {
        let start = clock.uptime()
        progress.enter(.validating, bytesTotal: expected)
        let comparison = try CopyComparison(
            session, isAlone: isAlone, cancellation: cancellation, progress: progress)
        switch place {
        case .tree(let directory, let layout, let filter): try comparison.run(directory, layout, filter: filter)
        case .file(let path, let root): try comparison.run(file: path, root)
        }
        comparison.expect(atLeast: least)
        let same = "\(comparison.files) files of \(ByteCount(comparison.bytes)) as in the snapshot"
        let differences = comparison.named.joined(separator: "; ")
        recorder.add(
            "\(name)/contents", name, kind: "contents", statement: Self.comparison,
            expected: same,
            actual: comparison.isSame ? same : "\(comparison.differing) differ: \(differences)",
            comparison.isSame ? .passed : .failed, output: Array((same + differences).utf8), from: start)
    }

    /// What ``judgeFlags()`` asks.
    static let wholeness = "the snapshot is whole"

    /// The snapshot's own word that it does not hold all of its source.
    func judgeFlags() {
        for flag in record.flags {
            recorder.add(
                "\(name)/snapshot", name, kind: "contents", statement: Self.wholeness, expected: "whole",
                actual: flag, .failed, output: Array(flag.utf8), from: clock.uptime())
        }
    }

    private static let aboutContents: Set<String> = ["rows", "schema", "globals", "contents", "files", "identity"]

    func add(_ finding: WorkloadFinding, from start: Duration) {
        // What could not be looked at is no pass.
        let verdict: EvidenceCheckVerdict =
            switch finding.severity {
            case .good: .passed
            case .warning: finding.isOnlyTold ? .passed : .skipped
            case .error: .failed
            }
        recorder.add(
            "\(name)/\(finding.subject)", name,
            kind: Self.aboutContents.contains(finding.subject) ? "contents" : "engine",
            statement: finding.subject, expected: finding.isOnlyTold ? "to be told" : "sound",
            actual: finding.message, verdict, output: Array(finding.message.utf8), from: start)
        if finding.severity == .warning { note(finding) }
    }

    func note(_ finding: WorkloadFinding) {
        recorder.find("\(finding.severity)", name, "\(finding.subject): \(finding.message)")
    }
}
