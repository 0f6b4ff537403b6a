// What a vault can take of what a snapshot has, and the account of what it cannot.

import Primitives
import SecretVaults
import Synchronization

/// Makes what is put fit a kind of vault, and counts what that costs: nothing is dropped without a word.
final class SecretFit: Sendable {
    let capabilities: VaultCapabilities
    /// How often something could not be taken back, by what it is.
    private let lost = Mutex<[String: Int]>([:])

    init(_ capabilities: VaultCapabilities) { self.capabilities = capabilities }

    func lose(_ what: String, _ count: Int = 1) {
        guard count > 0 else { return }
        lost.withLock { $0[what, default: 0] += count }
    }

    /// By what it is, in order.
    var losses: [(what: String, count: Int)] {
        lost.withLock { $0.map { (what: $0.key, count: $0.value) } }.sorted { $0.what < $1.what }
    }

    private func has(_ field: VaultCapabilities.Field, _ what: String, _ count: Int) -> Bool {
        if capabilities.fields.contains(field) { return true }
        lose(what, count)
        return false
    }

    func attributes(_ attributes: SecretAttributes) -> SecretAttributes {
        var fit = SecretAttributes()
        if has(.description, "descriptions", attributes.description == nil ? 0 : 1) {
            fit.description = attributes.description
        }
        if has(.secretTags, "tags of secrets", attributes.tags.count) { fit.tags = attributes.tags }
        if has(.limits, "limits of secrets", attributes.limits == SecretLimits() ? 0 : 1) {
            fit.limits = attributes.limits
        }
        return fit
    }

    func attributes(_ attributes: SecretVersionAttributes) -> SecretVersionAttributes {
        var fit = SecretVersionAttributes()
        if has(.notBefore, "times from which versions hold", attributes.notBefore == nil ? 0 : 1) {
            fit.notBefore = attributes.notBefore
        }
        if has(.expires, "times at which versions end", attributes.expires == nil ? 0 : 1) {
            fit.expires = attributes.expires
        }
        if has(.contentType, "content types", attributes.contentType == nil ? 0 : 1) {
            fit.contentType = attributes.contentType
        }
        if has(.versionTags, "tags of versions", attributes.tags.count) { fit.tags = attributes.tags }
        return fit
    }

    /// The value in a form that the vault takes.
    ///
    /// - Throws: `.targetFailed` for a value that it cannot hold.
    func value(_ value: SecretValue, of name: SecretName) throws(HoldfastError) -> SecretValue {
        guard value.bytes.count <= Int(clamping: capabilities.maximumValue.bytes) else {
            throw HoldfastError(
                .targetFailed, "a value of the secret \(name) has more than \(capabilities.maximumValue)",
                hint: "The vault takes no larger ones; restore into a vault of another kind.")
        }
        if capabilities.forms.contains(value.form) { return value }
        // A JSON object is text as well.
        if value.form == .fields, capabilities.forms.contains(.text) {
            lose("forms of values (a JSON object became a text)")
            return SecretValue(.text, value.bytes)
        }
        throw HoldfastError(
            .targetFailed, "the vault takes no value of the form `\(value.form)`, as the secret \(name) has",
            hint: "Restore into a vault of the same kind, or into an embedded one.")
    }

    /// What keeps the place of a version of which there is no value; nil where no version can be destroyed.
    var placeholder: SecretValue? {
        guard capabilities.stateChanges.contains(.destroy) else { return nil }
        let form: SecretForm = capabilities.forms.contains(.text) ? .text : .fields
        let bytes = form == .fields ? Array("{}".utf8) : []
        return SecretValue(form, SecretBytes(copying: bytes.span.bytes))
    }
}
