// Short words for the steps of the vaults' suite.

import Foundation
import Primitives
import SecretVaults
import Testing

extension VaultFixture {
    var capabilities: VaultCapabilities { vault.capabilities }

    /// A name of the test's own, in the characters that the kind takes.
    func name(_ text: String) throws -> SecretName {
        let fit =
            switch capabilities.nameRule {
            case .any, .path, .awsName: text
            case .azureName: text.replacingOccurrences(of: "/", with: "-")
            }
        return try SecretName(prefix + fit)
    }

    /// A value in the kind's plainest form.
    func value(_ text: String) -> SecretValue {
        capabilities.forms.contains(.text)
            ? SecretValue(.text, secret(Array(text.utf8)))
            : SecretValue(.fields, secret(Array("{\"value\":\"\(text)\"}".utf8)))
    }

    @discardableResult
    func put(
        _ name: SecretName, _ text: String, _ expected: SecretExpectation = .anything,
        _ staging: SecretStaging = .current
    ) throws -> SecretVersion {
        try vault.put(SecretPut(name, value(text), expected: expected, staging: staging))
    }

    /// Whether the version, or the current one, has this value.
    func holds(_ name: SecretName, _ text: String, _ version: SecretVersionID? = nil) throws -> Bool {
        try same(try vault.read(name, version).value, value(text))
    }

    func state(_ name: SecretName, _ version: SecretVersionID) throws -> SecretVersionState? {
        try vault.describe(name)[version]?.state
    }

    /// All pages from the first to the last, of at most `limit` secrets each.
    func list(_ prefix: String, by limit: Int) throws -> [SecretPage] {
        var pages: [SecretPage] = []
        var mark: VaultPageMark?
        repeat {
            let page = try vault.list(under: self.prefix + prefix, after: mark, limit: limit)
            #expect(page.secrets.count <= limit && page.refused.isEmpty)
            pages.append(page)
            mark = page.next
        } while mark != nil && pages.count < 1000
        #expect(mark == nil)
        return pages
    }

    /// The record from the listing, or as it is described.
    func record(_ listing: SecretListing) throws -> SecretRecord {
        try listing.record ?? vault.describe(listing.name)
    }
}

/// Whether two values are one; objects are compared by what they say, since servers write them anew.
func same(_ a: SecretValue, _ b: SecretValue) throws -> Bool {
    guard a.form == .fields, b.form == .fields else { return a.equals(b) }
    func object(_ value: SecretValue) throws -> NSDictionary? {
        try JSONSerialization.jsonObject(with: value.bytes.withBytes { Data($0) }) as? NSDictionary
    }
    guard let one = try object(a), let other = try object(b) else { return false }
    return one == other
}

extension SecretVersionState {
    var isSoftDeleted: Bool { if case .softDeleted = self { true } else { false } }
    var isDestroyed: Bool { if case .destroyed = self { true } else { false } }
}
