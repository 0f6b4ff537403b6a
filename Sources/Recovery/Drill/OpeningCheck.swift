// Whether the secrets that a snapshot says open it can be had from the repository, and open what came back.

import Primitives
import Repository
import SecretVaults
import Workloads

/// Hears of each value of a snapshot before it is opened.
package protocol SecretWitness: Sendable {
    /// - Throws: what keeps the access from taking place.
    func willOpen(_ version: NeededVersion, of snapshot: SnapshotID) throws(HoldfastError)
}

/// The check `authentication` of one system: for each secret the version that logged in when the snapshot was taken is
/// opened out of a snapshot of its vault, in memory alone, and logs in to the restored copy.
///
/// Thread: one at a time.
struct OpeningCheck {
    static let kind = "authentication"
    static let expected = "a wrong password is refused, and the version that opened the source opens the copy"
    /// Snapshots of a vault that are looked at for the value of one version.
    private static let mostSnapshots = 100

    let name: String
    let record: SnapshotRecord
    /// The server over the copy; nil where none was started.
    let scratch: (any WorkloadScratch)?
    let shared: DrillShared

    private struct Outcome {
        var verdict: EvidenceCheckVerdict
        var actual: String
    }

    /// Makes the check of each secret; all but an interruption and the drill's limits is in the record.
    func run() throws(HoldfastError) {
        guard let openings = record.openings else { return }
        for opening in openings.openings {
            let start = shared.clock.uptime()
            var outcome: Outcome
            do throws(HoldfastError) {
                outcome = try check(opening, openings)
            } catch {
                if shared.watch.cancellation.isRaised { throw error }
                outcome = Outcome(verdict: .failed, actual: error.message)
            }
            shared.recorder.add(
                "\(name)/\(Self.kind)", name, kind: Self.kind, statement: opening.label, expected: Self.expected,
                actual: outcome.actual, outcome.verdict, output: Array(outcome.actual.utf8), from: start)
            if outcome.verdict == .skipped {
                shared.recorder.find("warning", name, "\(Self.kind): \(opening.label): \(outcome.actual)")
            }
        }
    }

    private func check(_ opening: SnapshotOpening, _ openings: SnapshotOpenings) throws(HoldfastError) -> Outcome {
        guard !opening.versions.isEmpty else {
            return Outcome(
                verdict: .failed,
                actual: "no version was seen to open it when the snapshot was taken: \(opening.failure ?? "no reason")")
        }
        let key = try OpeningKey(openings, shared.repository)
        var reasons: [String] = []
        // The one that was seen last first; where the secret was changed meanwhile, the other may be the right one.
        for version in opening.versions.sorted(by: { $0.last > $1.last }) {
            var needed = opening.needed(version)
            // What it is the fingerprint tells here.
            needed.seen = nil
            guard let (value, snapshot) = try value(of: needed, version.fingerprint, key, &reasons) else { continue }
            let found = "\(needed.label) from snapshot \(snapshot) of \(opening.source)"
            do throws(HoldfastError) {
                let password = try OpeningPassword.read(value, field: opening.field)
                return try prove(password, opening, found)
            } catch {
                if shared.watch.cancellation.isRaised { throw error }
                guard error.code == .accessDenied || error.code == .usage else { throw error }
                reasons.append("\(found): \(error.message)")
            }
        }
        return Outcome(verdict: .failed, actual: reasons.joined(separator: "; "))
    }

    /// The value of a version and the snapshot that it came from; nil, with reasons, when none has the value that
    /// logged in.
    private func value(
        of needed: NeededVersion, _ fingerprint: Bytes32, _ key: OpeningKey, _ reasons: inout [String]
    ) throws(HoldfastError) -> (SecretValue, SnapshotID)? {
        guard let witness = shared.witness else {
            throw HoldfastError(.usage, "nobody takes down that a secret is opened", hint: "Name a state directory.")
        }
        let repository = shared.repository
        let listing = try repository.snapshots(of: try repository.tag(ofSource: needed.source))
        let holders = try HeldVersions(repository, among: listing.snapshots).holders(of: needed)
        guard !holders.isEmpty else {
            reasons.append("no snapshot of \(needed.source) holds \(needed.label)")
            return nil
        }
        let reader = try SecretReader(repository, index: try repository.loadIndex(for: .reading).index)
        var damage: String?
        for (snapshot, content) in holders.prefix(Self.mostSnapshots) {
            try shared.watch.cancellation.check()
            try witness.willOpen(needed, of: snapshot.id)
            do throws(HoldfastError) {
                let value = try reader.value(content)
                let found = key.fingerprint(
                    of: value.bytes, form: value.form.rawValue, vault: needed.vault, secret: needed.secret,
                    version: needed.version)
                if found == fingerprint { return (value, snapshot.id) }
            } catch {
                guard [.corruptObject, .objectMissing, .unsupportedFormat].contains(error.code) else { throw error }
                damage = error.message
            }
        }
        reasons.append(
            damage.map { "\(needed.label) cannot be read: \($0)" }
                ?? "snapshots of \(needed.source) hold another value of \(needed.label) than the one that logged in")
        return nil
    }

    private func prove(
        _ password: SecretBytes, _ opening: SnapshotOpening, _ found: String
    ) throws(HoldfastError) -> Outcome {
        guard let prover = scratch as? any PasswordProver else {
            return Outcome(verdict: .skipped, actual: "\(found) was opened; there is no server to log in to")
        }
        let context = shared.context(shared.watch.cancellation)
        switch try prover.prove(password, opens: opening.database, as: opening.role, context) {
        case .opened: return Outcome(verdict: .passed, actual: "a wrong password was refused; \(found) logged in")
        case .noRole, .noVerifier:
            // What a dump brings of roles is a thing of its own, and may have been taken without passwords.
            guard record.workload == DumpWorkload.kind else {
                return Outcome(
                    verdict: .failed, actual: "\(found) was opened; the copy has no password of \(opening.role)")
            }
            return Outcome(
                verdict: .skipped,
                actual: "no verifier in this backup: \(found) was opened, and has to be set as the password of "
                    + "\(opening.role) after a restore")
        }
    }
}
