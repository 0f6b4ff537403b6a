// What Azure Key Vault answers, in the words of the model.

import Primitives
import SecretVaults

/// `https://HOST/secrets/NAME/VERSION`, by which the service names things; listings have no version in it.
struct KeyVaultID: Hashable {
    let name: SecretName
    let version: SecretVersionID?
}

extension KeyVaultID {
    /// - Throws: `.corruptObject` for anything else.
    init(_ text: String) throws(HoldfastError) {
        let parts = WebAddress(text)?.path.split(separator: "/", omittingEmptySubsequences: false) ?? []
        guard (3...4).contains(parts.count), parts[0].isEmpty, parts[1] == "secrets",
            let text = PercentText.decode(String(parts[2])), let name = try? SecretName(text)
        else {
            throw HoldfastError(
                .corruptObject, "an answer names a secret as Azure Key Vault does not",
                hint: "See whether something between here and Azure answers in its place.")
        }
        guard parts.count == 4 else {
            self.init(name: name, version: nil)
            return
        }
        guard let version = try? SecretVersionID(String(parts[3])) else {
            throw HoldfastError(
                .corruptObject, "an answer names a version of \(name) as Azure Key Vault does not",
                hint: "See whether something between here and Azure answers in its place.")
        }
        self.init(name: name, version: version)
    }
}

/// One secret or version as the service writes it, with or without its value.
struct KeyVaultItem {
    private(set) var id: KeyVaultID
    private(set) var value: SecretValue?
    private(set) var attributes = SecretVersionAttributes()
    private(set) var isEnabled = true
    private(set) var created: Timestamp?
    private(set) var changed: Timestamp?
    private(set) var recoveryLevel: String?
    private(set) var removal = SecretRemoval(at: nil, purge: nil)
    private(set) var extras = SecretTags()

    /// What ``Timestamp`` holds, in whole seconds since 1970.
    private static let instants: ClosedRange<Int64> = -9_200_000_000...9_200_000_000

    init(_ scanner: inout JSONScanner) throws(HoldfastError) {
        var (id, value): (KeyVaultID?, SecretValue?) = (nil, nil)
        var item = KeyVaultItem(id: KeyVaultID(name: SecretName(validated: []), version: nil))
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "id": id = try KeyVaultID(try scanner.string())
            case "value":
                guard try !scanner.null() else { return }
                var bytes = try scanner.stringBytes()
                value = SecretValue(.text, SecretBytes(wiping: &bytes))
            case "contentType":
                let text = try scanner.optionalString()
                item.attributes.contentType = text == "" ? nil : text
            case "tags":
                guard try !scanner.null() else { return }
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    item.attributes.tags[key] = try scanner.optionalString() ?? ""
                }
            case "attributes":
                guard try !scanner.null() else { return }
                try scanner.members { (scanner, key) throws(HoldfastError) in try item.read(key, &scanner) }
            case "deletedDate": item.removal.at = try Self.instant(&scanner, key, &item.extras)
            case "scheduledPurgeDate": item.removal.purge = try Self.instant(&scanner, key, &item.extras)
            case "managed": if try !scanner.null(), try scanner.bool() { item.extras[key] = "true" }
            case "kid": item.extras[key] = try scanner.optionalString()
            default: try scanner.skip()
            }
        }
        guard let id else {
            throw HoldfastError(
                .corruptObject, "an answer has a secret without an id",
                hint: "See whether something between here and Azure answers in its place.")
        }
        self = item
        (self.id, self.value) = (id, value)
    }

    private init(id: KeyVaultID) { self.id = id }

    private mutating func read(_ key: String, _ scanner: inout JSONScanner) throws(HoldfastError) {
        switch key {
        case "enabled": if try !scanner.null() { isEnabled = try scanner.bool() }
        case "nbf": attributes.notBefore = try Self.instant(&scanner, key, &extras)
        case "exp": attributes.expires = try Self.instant(&scanner, key, &extras)
        case "created": created = try Self.instant(&scanner, key, &extras)
        case "updated": changed = try Self.instant(&scanner, key, &extras)
        case "recoveryLevel": recoveryLevel = try scanner.optionalString()
        default: try scanner.skip()
        }
    }

    /// Whole seconds since 1970; nil for null. One that ``Timestamp`` can't hold, such as an end in the year 9999, is
    /// kept as the service writes it.
    private static func instant(
        _ scanner: inout JSONScanner, _ key: String, _ extras: inout SecretTags
    ) throws(HoldfastError) -> Timestamp? {
        if try scanner.null() { return nil }
        let text = scanner.text(try scanner.number())
        if let seconds = Int64(text), instants.contains(seconds) { return Timestamp(seconds: seconds) }
        extras[key] = String(text.prefix(40))
        return nil
    }

    /// - Parameter earlier: How many versions of the same second are before it.
    /// - Returns: nil without the id of a version.
    func version(after earlier: Int = 0) -> SecretVersion? {
        guard let version = id.version else { return nil }
        var found = SecretVersion(
            id: version, order: Self.order(created, after: earlier), created: created,
            state: isEnabled ? .live : .disabled)
        found.changed = changed
        found.attributes = attributes
        found.extras = extras
        return found
    }

    /// The second, with room for as many versions as a secret may have: a number that is the same whichever of the
    /// other versions are told, so that a version of a removed secret is known again.
    static func order(_ created: Timestamp?, after earlier: Int) -> UInt64 {
        let seconds = UInt64(max(created?.seconds ?? 0, 0))
        return seconds * UInt64(SecretBounds.versions) + UInt64(min(earlier, SecretBounds.versions - 1))
    }
}

/// A page of a listing.
struct KeyVaultPage {
    private(set) var items: [KeyVaultItem] = []
    private(set) var next: String?

    init(_ scanner: inout JSONScanner) throws(HoldfastError) {
        var (items, next): ([KeyVaultItem], String?) = ([], nil)
        var hasItems = false
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "value":
                hasItems = true
                if try scanner.null() { return }
                try scanner.elements { (scanner) throws(HoldfastError) in items.append(try KeyVaultItem(&scanner)) }
            case "nextLink":
                let link = try scanner.optionalString()
                next = link == "" ? nil : link
            default: try scanner.skip()
            }
        }
        // Any other JSON is no empty listing.
        guard hasItems else {
            throw HoldfastError(
                .corruptObject, "a listing has no list",
                hint: "See whether something between here and Azure answers in its place.")
        }
        (self.items, self.next) = (items, next)
    }
}
