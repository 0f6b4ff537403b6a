// Earlier attempts at the same restore, and evidence of those that ended without a word.

import Glibc
import ObjectStore
import Primitives
import Repository
import Workloads

/// Attempts at one restore that were broken off, as far as records tell: those in the repository, and those that a
/// process which was killed left in the state directory.
package struct IncidentAttempts: Sendable {
    /// The oldest first.
    package let broken: [EvidenceRecord]

    /// - Parameters:
    ///   - overview: Holds the evidence of the repository.
    ///   - stateDirectory: Where killed restores left their records.
    package init(
        of snapshot: Snapshot, to target: any Workload, host: String, _ overview: RecoveryOverview,
        _ repository: Repository, stateDirectory: String?
    ) {
        let directory = stateDirectory.map { Host.absolutePath($0) + "/incidents" }
        let left = directory.map { DrillJournal.leftovers(of: repository.id, in: $0).map(\.record) } ?? []
        let known = overview.evidence + left.filter { one in !overview.evidence.contains { $0.id == one.id } }
        let same = known.filter { record in
            record.kind == .incident && record.environment.host == host
                && record.environment.target == target.identity.url
        }.sorted { $0.started < $1.started }
        // One that ended, with whatever snapshot, began a new count.
        let last = same.lastIndex { record in
            record.verdict != .interrupted || record.members.first?.snapshot?.digest != snapshot.digest
        }
        broken = Array(same[(last.map { $0 + 1 } ?? 0)...])
    }

    /// Says in `record` which attempt it is.
    func describe(_ record: inout EvidenceRecord) {
        record.facts["attempt"] = String(broken.count + 1)
        guard let first = broken.first, let last = broken.last else { return }
        record.facts["resumes"] = last.id.description
        record.facts["firstAttempt"] = first.started.description
    }
}

extension IncidentRestore {
    /// The journal of this restore; nil where there is no place for it, which is told.
    func journal(_ record: EvidenceRecord) -> DrillJournal? {
        guard let directory = settings.journals else { return nil }
        do throws(HoldfastError) {
            return try DrillJournal(record, of: repository.id, in: directory)
        } catch {
            tell(
                .found(
                    EvidenceFinding(
                        severity: "warning", object: directory,
                        message: "\(error.message); a restore that is killed leaves no evidence then")))
            return nil
        }
    }

    /// Leaves the evidence of restores whose processes are gone. What cannot be left stays for the next one: a restore
    /// never waits for it.
    func settle() {
        guard let directory = settings.journals else { return }
        for leftover in DrillJournal.leftovers(of: repository.id, in: directory) {
            var record = leftover.record
            if record.verdict == .interrupted {
                let phase = record.facts["phase"].map { " in the phase \($0)" } ?? ""
                record.findings.append(
                    EvidenceFinding(
                        severity: "error", object: record.environment.target,
                        message: "the restore ended without a word\(phase); the next one found that at "
                            + "\(repository.clock.now())"))
            }
            var place = settings.evidence
            if case .file(let path) = place { place = .file("\(path)-\(record.id)") }
            do throws(HoldfastError) {
                try place.leave(record, repository)
                leftover.journal.end()
                tell(.settled(record))
            } catch {
                tell(
                    .found(
                        EvidenceFinding(
                            severity: "warning", object: directory,
                            message: "the evidence of restore \(record.id) is still to be left: \(error.message)")))
            }
        }
    }

    /// Leaves the record where it belongs, else in a file.
    func leave(_ outcome: inout IncidentOutcome, _ journal: DrillJournal?) {
        let record = outcome.record
        var kept: String?
        if let journal, let directory = settings.journals, (try? journal.note(record)) != nil {
            kept = "\(directory)/\(record.id).drill"
        }
        do throws(HoldfastError) {
            outcome.evidence = try settings.evidence.leave(record, repository)
            journal?.end()
        } catch {
            if kept == nil {
                let path = Host.absolutePath("holdfast-\(record.id).evidence")
                if (try? EvidencePlace.file(path).leave(record, repository)) != nil { kept = path }
            }
            outcome.unleft = (error, kept)
        }
    }
}
