// The keys of secrets that open what is backed up.

import Primitives
import SecretVaults

extension ConfigurationSchema {
    static let opensWith = Key(
        name: "opensWith", type: .items(of: .secret, or: opening),
        doc: """
            The secrets that open the restored data. Snapshots keep the references, never the secrets. Of a secret in \
            a vault a snapshot of PostgreSQL keeps which version logged in when it was taken, and a drill logs in with \
            that version.
            """,
        absence: "none", example: "[{vault: secrets, secret: app/database, role: app, database: shop}]")

    static let openingVault = Key(
        name: "vault", type: .text(.name),
        doc: "The name of the source of this file that is the vault. It goes to the same repository.",
        example: "secrets", isRequired: true)
    static let openingSecret = Key(
        name: "secret", type: .text(.secretName), doc: "The name or path of the secret in the vault.",
        example: "app/database", isRequired: true)
    static let openingField = Key(
        name: "field", type: .text(.line), doc: "The field of an object that is the password.",
        absence: "`password` of a secret with fields, else all of the text", example: "password")
    static let openingRole = Key(
        name: "role", type: .text(.line), doc: "The role that logs in with it.", example: "app", isRequired: true)
    static let openingDatabase = Key(
        name: "database", type: .text(.line), doc: "The database that the role logs in to.", example: "shop",
        isRequired: true)

    static let opening = Section(
        name: "Opening",
        doc: "A secret in a vault that opens a database. See [VAULTS.md](VAULTS.md#coherent-recovery).",
        keys: [openingVault, openingSecret, openingField, openingRole, openingDatabase])
}

extension TextForm {
    static let secretName = TextForm(
        name: "name of a secret", doc: "the name of a secret, as its vault writes it", pattern: "^.+$"
    ) { text in
        do throws(HoldfastError) {
            _ = try SecretName(text)
            return nil
        } catch {
            return error.message
        }
    }
}
