// The value of a secret with one part of it replaced.

import Primitives
import SecretVaults

/// Which part of a value a rotation replaces.
package struct ValuePlace: Sendable, Hashable {
    /// The field of an object; nil for the whole of a text, and for the one field of an object that can be meant.
    package var field: String?
    /// The field that gets the public half of a key pair.
    package var publicField: String?

    package init(field: String? = nil, publicField: String? = nil) {
        self.field = field
        self.publicField = publicField
    }
}

/// Reads and replaces fields of objects without a copy of any value that is not wiped.
package enum ValueDocument {
    /// `current` with `fresh` at its place; the other fields stay, byte for byte.
    ///
    /// - Parameter forms: What the vault takes.
    /// - Throws: `.usage` when it can't be told which part is meant, or the vault does not take what was made.
    package static func replacing(
        _ place: ValuePlace, of current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>
    ) throws(HoldfastError) -> SecretValue {
        guard current.form == .fields || place.field != nil else {
            let form: SecretForm = fresh.isText ? .text : .binary
            guard forms.contains(form) else {
                throw HoldfastError(
                    .usage, "this vault takes no value of the form \(form)",
                    hint: "Choose a generator of text, such as `bytes` with the encoding base64.")
            }
            return SecretValue(form, fresh.bytes)
        }
        guard fresh.isText else {
            throw HoldfastError(
                .usage, "bytes can't be in a field of an object", hint: "Give the generator the encoding base64.")
        }
        var changes = [(field: try field(place, of: current), text: fresh.bytes)]
        if let name = place.publicField, let key = fresh.publicKey {
            var bytes = Array(key.utf8)
            changes.append((name, SecretBytes(wiping: &bytes)))
        }
        return SecretValue(current.form, try replacing(changes, in: current.bytes))
    }

    /// The texts of fields; nil for a field that is not there or has no text.
    package static func texts(
        _ fields: [String], of value: SecretValue
    ) throws(HoldfastError) -> [SecretBytes?] {
        var found = [SecretBytes?](repeating: nil, count: fields.count)
        try read(value.bytes) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                guard let index = fields.firstIndex(where: { $0.utf8.elementsEqual(key.utf8) }),
                    scanner.next() == UInt8(ascii: "\"")
                else {
                    try scanner.skip()
                    return
                }
                var bytes = try scanner.stringBytes()
                found[index] = SecretBytes(wiping: &bytes)
            }
        }
        return found
    }

    /// `object` with texts in place of the values of some fields, which are added where they are not there.
    package static func replacing(
        _ changes: [(field: String, text: SecretBytes)], in object: SecretBytes
    ) throws(HoldfastError) -> SecretBytes {
        var buffer = SecretBuffer(capacity: object.count + 1024)
        var left = changes
        var separator = "{"
        try object.withBytes { (raw) throws(HoldfastError) in
            var scanner = JSONScanner(raw)
            try scanner.members { (scanner, key) throws(HoldfastError) in
                buffer.append(separator)
                separator = ","
                buffer.appendJSON(key)
                buffer.append(":")
                guard let index = left.firstIndex(where: { $0.field.utf8.elementsEqual(key.utf8) }) else {
                    let kept = try scanner.cut()
                    kept.withBytes { buffer.append($0) }
                    return
                }
                try scanner.skip()
                let text = left.remove(at: index).text
                text.withBytes { buffer.appendJSON($0) }
            }
            guard scanner.next() == nil else { throw noObject }
        }
        for change in left {
            buffer.append(separator)
            separator = ","
            buffer.appendJSON(change.field)
            buffer.append(":")
            change.text.withBytes { buffer.appendJSON($0) }
        }
        buffer.append(separator == "{" ? "{}" : "}")
        return buffer.taken()
    }

    /// An object of texts.
    package static func object(_ fields: [(field: String, text: SecretBytes)]) throws(HoldfastError) -> SecretBytes {
        var empty = Array("{}".utf8)
        return try replacing(fields, in: SecretBytes(wiping: &empty))
    }

    private static func field(_ place: ValuePlace, of value: SecretValue) throws(HoldfastError) -> String {
        if let field = place.field { return field }
        var names: [String] = []
        try read(value.bytes) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                names.append(key)
                try scanner.skip()
            }
        }
        if names.count == 1 { return names[0] }
        if names.contains("password") { return "password" }
        throw HoldfastError(
            .usage, "the secret is an object of \(names.count) fields, and none is named",
            hint: "Say with `field` which one is replaced.")
    }

    private static func read(
        _ bytes: SecretBytes, _ body: (inout JSONScanner) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            try JSONScanner.read(bytes, body)
        } catch {
            throw error.code == .corruptObject ? noObject : error
        }
    }

    private static let noObject = HoldfastError(
        .usage, "the current value is no JSON object, and a field of it is to be replaced",
        hint: "Leave `field` out, or put an object into the secret.")
}
