// What a vault can take of what a snapshot has, and the account of what it cannot.

import Primitives
import SecretVaults
import Synchronization

/// Makes what is put fit a kind of vault, and counts what that costs: nothing is dropped without a word.
final class SecretFit: Sendable {
    /// Names that a finding has at most.
    private static let examples = 10

    let capabilities: VaultCapabilities
    /// The kind of vault that the snapshot is of; nil when that is not known.
    let source: VaultKind?
    /// The field of an object that stands for a text, where a vault has the other of the two forms alone.
    let textField: String?

    /// How often something could not be taken back, and where.
    private struct Loss: Sendable {
        var count = 0
        var places: [String] = []
    }

    private let lost = Mutex<[String: Loss]>([:])

    init(_ capabilities: VaultCapabilities, from source: VaultKind? = nil, textField: String? = nil) {
        self.capabilities = capabilities
        self.source = source
        self.textField = textField
    }

    /// - Parameter place: Whose it is, and what; a finding names the first ones.
    func lose(_ what: String, _ count: Int = 1, _ place: String? = nil) {
        guard count > 0 else { return }
        lost.withLock { lost in
            lost[what, default: Loss()].count += count
            guard let place, let loss = lost[what], loss.places.count <= Self.examples else { return }
            lost[what]?.places.append(place)
        }
    }

    /// In words, in order.
    func losses(of location: String) -> [String] {
        lost.withLock { $0 }.sorted { $0.key < $1.key }.map { what, loss in
            let names = loss.places.prefix(Self.examples).joined(separator: ", ")
            let more = loss.places.count > Self.examples ? " and others" : ""
            return "\(loss.count) \(what) could not be taken back by \(location)"
                + (names.isEmpty ? "" : ": \(names)\(more)")
        }
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

    // MARK: Values

    /// The value in a form that the vault takes.
    ///
    /// - Throws: `.targetFailed` for a value that it cannot hold.
    func value(_ value: SecretValue, of name: SecretName) throws(HoldfastError) -> SecretValue {
        let fitting = try formed(value, of: name)
        guard fitting.bytes.count <= Int(clamping: capabilities.maximumValue.bytes) else {
            throw HoldfastError(
                .targetFailed, "a value of the secret \(name) has more than \(capabilities.maximumValue)",
                hint: "The vault takes no larger ones; restore into a vault of another kind.")
        }
        return fitting
    }

    private func formed(_ value: SecretValue, of name: SecretName) throws(HoldfastError) -> SecretValue {
        if capabilities.forms.contains(value.form) { return value }
        if value.form == .fields, capabilities.forms.contains(.text) {
            if let textField, let text = JSONObjectText.unwrapping(value.bytes, from: textField) {
                lose("forms of values (the one field of an object became a text)")
                return SecretValue(.text, text)
            }
            // A JSON object is text as well.
            lose("forms of values (a JSON object became a text)")
            return SecretValue(.text, value.bytes)
        }
        guard value.form == .text, capabilities.forms.contains(.fields) else {
            throw HoldfastError(
                .targetFailed, "the vault takes no value of the form `\(value.form)`, as the secret \(name) has",
                hint: "Restore into a vault of the same kind, or into an embedded one.")
        }
        if JSONObjectText.isPortable(value.bytes) {
            lose("forms of values (a text that is a JSON object became fields)")
            return SecretValue(.fields, value.bytes)
        }
        guard let textField else {
            throw HoldfastError(
                .targetFailed,
                "the vault takes objects of fields alone, and a value of the secret \(name) is a text that is none; "
                    + "--text-field NAME makes it the field of one",
                hint: "Give --text-field NAME to put such texts as the field NAME of an object, such as `value`.")
        }
        lose("forms of values (a text became the one field of an object)")
        return SecretValue(.fields, JSONObjectText.wrapping(value.bytes, in: textField))
    }

    /// Whether `found` is what the vault makes of `wanted`: servers of fields write an object in their own way.
    func isHeld(_ found: SecretValue, for wanted: SecretValue) -> Bool {
        if found.equals(wanted) { return true }
        let isChanged = !capabilities.forms.contains(wanted.form)
        switch (wanted.form, found.form) {
        case (.fields, .fields):
            return !capabilities.forms.contains(.text) && JSONText.isSame(found.bytes, wanted.bytes)
        case (.text, .fields) where isChanged, (.fields, .text) where isChanged:
            if JSONText.isSame(found.bytes, wanted.bytes) { return true }
            guard let textField else { return false }
            let (object, text) = found.form == .fields ? (found, wanted) : (wanted, found)
            return JSONObjectText.unwrapping(object.bytes, from: textField).map { $0.equals(text.bytes) } ?? false
        default: return false
        }
    }

    /// What keeps the place of a version of which there is no value, until it is destroyed right after; nil where no
    /// version can be destroyed. Should a restore be killed in between, nobody takes these words for a secret.
    var placeholder: SecretValue? {
        guard capabilities.stateChanges.contains(.destroy) else { return nil }
        if capabilities.forms.contains(.text) { return Self.placeholder(.text, Self.placeholderWords) }
        return Self.placeholder(.fields, "{\"holdfast\":\"\(Self.placeholderWords)\"}")
    }

    private static let placeholderWords = "PLACEHOLDER, NOT A SECRET: the snapshot has no value of this version"

    private static func placeholder(_ form: SecretForm, _ text: String) -> SecretValue {
        SecretValue(form, SecretBytes(copying: Array(text.utf8).span.bytes))
    }

    func isPlaceholder(_ found: SecretValue) -> Bool {
        guard let placeholder, found.form == placeholder.form else { return false }
        return found.equals(placeholder)
            || found.form == .fields && JSONText.isSame(found.bytes, placeholder.bytes)
    }
}
