// A login of PostgreSQL as it is in a secret.

import Primitives
import SecretVaults

/// Which fields of a secret's object hold a login.
package struct LoginFields: Sendable, Hashable {
    package var user: String
    package var password: String

    package init(user: String = "username", password: String = "password") {
        self.user = user
        self.password = password
    }
}

/// A user with a password.
struct PostgresLogin: Sendable {
    var user: String
    var password: SecretBytes

    init(user: String, password: SecretBytes) {
        self.user = user
        self.password = password
    }

    /// Reads the login of a value: an object, or a text that is the password of the one user there is.
    ///
    /// - Throws: `.configuration` for an object without these fields.
    init(_ value: SecretValue, _ fields: LoginFields, onlyUser: String?) throws(HoldfastError) {
        if let onlyUser, !Self.isObject(value) {
            user = onlyUser
            password = value.bytes
            return
        }
        let texts: [SecretBytes?]
        do throws(HoldfastError) {
            texts = try ValueDocument.texts([fields.user, fields.password], of: value)
        } catch {
            throw error.code == .usage ? Self.missing(fields) : error
        }
        guard let password = texts[1] else { throw Self.missing(fields) }
        let user = texts[0].map { $0.withBytes { String(decoding: $0, as: UTF8.self) } } ?? onlyUser
        guard let user else { throw Self.missing(fields) }
        self.user = user
        self.password = password
    }

    static func isObject(_ value: SecretValue) -> Bool {
        if value.form == .fields { return true }
        return value.bytes.withBytes { $0.first == UInt8(ascii: "{") }
    }

    /// `current` with this login in it.
    func written(into current: SecretValue, _ fields: LoginFields) throws(HoldfastError) -> SecretValue {
        guard Self.isObject(current) else { return SecretValue(.text, password) }
        var name = Array(user.utf8)
        let changes = [(fields.user, SecretBytes(wiping: &name)), (fields.password, password)]
        return SecretValue(
            current.form, try ValueDocument.replacing(changes.map { (field: $0.0, text: $0.1) }, in: current.bytes))
    }

    private static func missing(_ fields: LoginFields) -> HoldfastError {
        HoldfastError(
            .configuration, "the secret has no fields `\(fields.user)` and `\(fields.password)` with texts",
            hint: "Put an object with both into the secret, or name the fields in the policy.")
    }
}
