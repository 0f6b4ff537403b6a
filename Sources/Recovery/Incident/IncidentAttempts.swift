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
                && record.environment.target == IncidentTarget.text(of: target)
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
                // The process may have died after it had left it, and somebody may have imported it by hand.
                try place.leave(record.fitting(repository.id), repository, isRepeated: true)
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
        do throws(HoldfastError) {
            let record = try outcome.record.fitting(repository.id)
            let kept = keep(record, journal)
            do throws(HoldfastError) {
                outcome.evidence = try settings.evidence.leave(record, repository)
                journal?.end()
            } catch {
                outcome.unleft = (error, kept ?? keepHere(record, journal))
            }
        } catch {
            outcome.unleft = (error, nil)
        }
    }

    /// The journal's file with `record`; nil where there is none.
    private func keep(_ record: EvidenceRecord, _ journal: DrillJournal?) -> String? {
        guard let journal, let directory = settings.journals else { return nil }
        do throws(HoldfastError) {
            try journal.note(record)
            return "\(directory)/\(record.id).drill"
        } catch {
            tell(.found(EvidenceFinding(severity: "warning", object: directory, message: error.message)))
            return nil
        }
    }

    /// A new file with `record` in the current directory; nil where that can't be either, which is told.
    private func keepHere(_ record: EvidenceRecord, _ journal: DrillJournal?) -> String? {
        let path = Host.absolutePath("holdfast-\(record.id).evidence")
        do throws(HoldfastError) {
            try EvidencePlace.file(path).leave(record, repository)
            // What it holds still would be left by the next restore as an attempt that was broken off.
            journal?.end()
            return path
        } catch {
            tell(.found(EvidenceFinding(severity: "warning", object: path, message: error.message)))
            return nil
        }
    }
}
