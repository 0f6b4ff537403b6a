// A secret that is said to open what is backed up.

import Primitives
import SecretVaults

/// One secret of a vault, and as whom it logs in where.
package struct OpeningWish: Sendable {
    /// The name that snapshots of the vault go by.
    package var source: String
    package var address: VaultAddress
    package var opener: any VaultOpener
    package var secret: SecretName
    package var field: String?
    package var role: String
    package var database: String

    package init(
        source: String, address: VaultAddress, opener: any VaultOpener, secret: SecretName, field: String?,
        role: String, database: String
    ) {
        self.source = source
        self.address = address
        self.opener = opener
        self.secret = secret
        self.field = field
        self.role = role
        self.database = database
    }
}

/// The password in a secret.
enum OpeningPassword {
    /// The field of a secret with fields that is meant where nobody says one.
    static let standardField = "password"

    /// All of a text or of bytes, or the text in one field of an object.
    ///
    /// - Throws: `.usage` when there is no such text in it; no failure holds any of the value.
    static func read(_ value: SecretValue, field: String?) throws(HoldfastError) -> SecretBytes {
        guard let field = field ?? (value.form == .fields ? standardField : nil) else { return value.bytes }
        var found: SecretBytes?
        var isOnce = true
        do throws(HoldfastError) {
            guard value.form != .binary else { throw missing(field, "is of bytes") }
            try JSONScanner.read(value.bytes) { (scanner) throws(HoldfastError) in
                guard scanner.next() == UInt8(ascii: "{") else { throw missing(field, "is no object") }
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    guard key.utf8.elementsEqual(field.utf8), scanner.next() == UInt8(ascii: "\"") else {
                        _ = try scanner.skip()
                        return
                    }
                    if found != nil { isOnce = false }
                    var bytes = try scanner.stringBytes()
                    found = SecretBytes(wiping: &bytes)
                }
            }
        } catch {
            guard error.code == .corruptObject else { throw error }
            throw missing(field, "is no object")
        }
        guard let found, isOnce else { throw missing(field, found == nil ? "has no such text" : "has it twice") }
        return found
    }

    private static func missing(_ field: String, _ why: String) -> HoldfastError {
        HoldfastError(
            .usage, "the password should be in the field `\(field)` of the secret, which \(why)",
            hint: "Correct `field` in `opensWith`, or the secret.")
    }
}
