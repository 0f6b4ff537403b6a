// The listing of a vault, page by page, each secret once.

import Primitives
import SecretVaults

/// Goes through all that a vault lists.
///
/// Memory: the names that were seen, and a page.
struct VaultPages {
    /// Pages in a row without a name that was not seen before; a service may give some while it looks.
    static let barrenPages = 1000
    static let size = 200

    let vault: any SecretInventory
    let prefix: String
    let cancellation: Cancellation

    /// - Parameter visit: Gets each page, and those of its secrets that were on none before it.
    /// - Returns: All names.
    /// - Throws: `.corruptObject` for a listing that does not end; what the vault and `visit` throw.
    func visit(
        _ visit: (SecretPage, [SecretListing]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) -> Set<SecretName> {
        var seen: Set<SecretName> = []
        var mark: VaultPageMark?
        var barren = 0
        repeat {
            try cancellation.check()
            let page = try vault.list(under: prefix, after: mark, limit: Self.size)
            let fresh = page.secrets.filter { seen.insert($0.name).inserted }
            barren = fresh.isEmpty ? barren + 1 : 0
            guard barren <= Self.barrenPages else {
                throw HoldfastError(
                    .corruptObject, "the listing of \(vault.location) goes on and names no further secret",
                    hint: "See whether something between here and the vault answers in its place.")
            }
            try visit(page, fresh)
            guard page.next == nil || page.next != mark else {
                throw HoldfastError(
                    .corruptObject, "the listing of the vault \(vault.location) does not get any further",
                    hint: "See whether something between here and the vault answers in its place.")
            }
            mark = page.next
        } while mark != nil
        return seen
    }
}
