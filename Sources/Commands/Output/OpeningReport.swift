// What a snapshot says of the secrets that open it, for programs; never a value, nor its fingerprint.

import Primitives
import Repository

/// One secret that opens a database.
struct OpeningReport: Encodable {
    let vault, source, secret: String
    let field: String?
    let role, database: String
    /// Those that logged in when the snapshot was taken.
    let versions: [Version]
    /// Why, at the end, nothing was seen to log in.
    let failure: String?

    struct Version: Encodable {
        let id: String
        let created: String?
        let firstLogin, lastLogin: String
    }

    init(_ opening: SnapshotOpening) {
        vault = opening.vault
        source = opening.source
        secret = opening.secret
        field = opening.field
        role = opening.role
        database = opening.database
        versions = opening.versions.map { version in
            Version(
                id: version.id, created: version.created?.description, firstLogin: version.first.description,
                lastLogin: version.last.description)
        }
        failure = opening.failure
    }
}
