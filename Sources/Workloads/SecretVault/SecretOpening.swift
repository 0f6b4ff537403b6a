// Values of a snapshot on their way into a vault: none is opened before it was announced.

import Primitives
import SecretVaults

/// Opens the values of one secret of a snapshot. The watcher of the vault hears of each before it is opened: of many
/// together where they are announced, else of that one. Thread: one at a time.
final class SecretOpening {
    private let vault: any SecretInventory
    private let name: SecretName
    private var announced: Set<SecretVersionID> = []

    init(_ vault: any SecretInventory, _ name: SecretName) {
        self.vault = vault
        self.name = name
    }

    /// - Throws: what keeps them from being opened.
    func announce(_ versions: [SecretVersion]) throws(HoldfastError) {
        var rest = versions.map(\.id).filter { !announced.contains($0) }[...]
        while !rest.isEmpty {
            let part = rest.prefix(SecretBounds.announced)
            rest = rest.dropFirst(part.count)
            try vault.announce(.restore, part.map { SecretAccess(name, $0) })
            announced.formUnion(part)
        }
    }

    func open(
        _ version: SecretVersion, _ value: () throws(HoldfastError) -> SecretValue?
    ) throws(HoldfastError) -> SecretValue? {
        try announce([version])
        do throws(HoldfastError) {
            return try value()
        } catch {
            vault.failed(SecretAccess(name, version.id), error)
            throw error
        }
    }
}
