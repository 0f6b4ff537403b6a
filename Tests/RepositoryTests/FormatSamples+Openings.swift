// Samples of what a snapshot's record says of the secrets that open it.

import Primitives
import Repository
import Sealing
import TestSupport

extension FormatSamples {
    static func value(_ text: String) -> SecretBytes {
        var bytes = Array(text.utf8)
        return SecretBytes(wiping: &bytes)
    }

    /// Two secrets: one with two versions, and one that did not open.
    func recordWithOpenings() throws -> SnapshotRecord {
        let made = try OpeningKey.make(
            repository, epoch: 2, dataKey: dataKey.publicKey, entropy: SeededEntropy(seed: 6))
        let instant = self.made
        var opened = SnapshotOpening(
            vault: "https://vault.example.com/kv", source: "secrets", secret: "app/db", field: "password", role: "app",
            database: "shop")
        let versions: [(id: String, created: Timestamp?)] = [("3", instant), ("4", nil)]
        opened.versions = versions.map { id, created in
            OpenedVersion(
                id: id, created: created, first: instant + .seconds(1), last: instant + .seconds(2),
                fingerprint: made.key.fingerprint(
                    of: Self.value("value \(id)"), form: 1, vault: opened.vault, secret: opened.secret, version: id))
        }
        opened.versions[1].unknown[9] = [1]
        var closed = SnapshotOpening(
            vault: "embedded:/v", source: "other", secret: "größe", field: nil, role: "a b", database: "d")
        closed.failure = "refused"
        closed.unknown[77] = [1, 2]
        var openings = made.openings
        openings.openings = [opened, closed]
        openings.unknown[8] = []
        var record = record
        record.openings = openings
        return record
    }
}
