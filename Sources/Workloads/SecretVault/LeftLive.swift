// What can be read in a vault after a restore, and should not be by the snapshot.

import Primitives
import SecretVaults

/// A version, or a secret as a whole, that is live in a vault where the snapshot has it otherwise.
///
/// A restore takes nothing away that was in the vault before it began, and between the put of a version and its
/// deletion it may be killed: all that it can do about what is there then is to name it.
struct LeftLive: Sendable, Hashable {
    let secret: SecretName
    /// Nil for a secret that the snapshot has as removed.
    var version: SecretVersion?
    /// As the vault names that version.
    var id: SecretVersionID?
    /// It is no value at all but what keeps the place of one; nobody is to take it for one.
    var isPlaceholder = false

    /// How the snapshot has it.
    private var standing: String {
        switch version?.state {
        case nil: "removed"
        case .live: "without a value"
        case .disabled: "disabled"
        case .softDeleted: "deleted"
        case .destroyed: "destroyed"
        }
    }

    /// The change that makes it as it is in the snapshot.
    private var wanted: SecretStateChange? {
        if isPlaceholder { return .destroy }
        switch version?.state {
        case nil, .live: return nil
        case .disabled: return .disable
        case .softDeleted: return .softDelete
        case .destroyed: return .destroy
        }
    }

    /// Whether a vault of this kind can have it as the snapshot has it. Where it can't, that it is live is how the
    /// snapshot looks there; else something kept it from being so.
    func isAvoidable(in capabilities: VaultCapabilities) -> Bool {
        guard id != nil else { return capabilities.removals.contains(.recoverable) }
        return wanted.map { capabilities.stateChanges.contains($0) } ?? false
    }

    /// What it is found as.
    ///
    /// - Parameter url: Of the vault, as verbs take it.
    func finding(_ capabilities: VaultCapabilities, _ url: String) -> WorkloadFinding {
        let what = id.map { "version \($0) of the secret \(secret)" } ?? "the secret \(secret)"
        let message =
            isPlaceholder
            ? "\(what) is live and is a placeholder, no value: a restore broke off before it destroyed it"
            : "\(what) is live, and the snapshot has it \(standing)"
        return WorkloadFinding(
            isAvoidable(in: capabilities) ? .error : .warning, "left-live", message, hint: hint(capabilities, url),
            code: .checkFailed)
    }

    private func hint(_ capabilities: VaultCapabilities, _ url: String) -> String {
        let words = "\(Self.quoted(url)) \(Self.quoted(secret.text))"
        let reason = "A restore takes nothing away that was there before it."
        guard let id else {
            if capabilities.removals.contains(.recoverable) {
                return "\(reason) Remove it with `holdfast vault remove \(words)` if nobody needs it."
            }
            return
                "The vault has no removal that can be undone; `holdfast vault remove \(words) --permanently` takes it "
                + "out for good, and the snapshot keeps it."
        }
        // The nearest that the vault has, for people to choose.
        let near: [SecretStateChange] = [wanted, .softDelete, .disable].compactMap { $0 }
        guard let change = near.first(where: { capabilities.stateChanges.contains($0) }) else {
            return
                "\(capabilities.kind.words) can't take a single version away: change what the value opens, or remove "
                + "the secret with `holdfast vault remove \(words)`."
        }
        let command = "holdfast vault state \(words) \(Self.quoted(id.text)) \(change.rawValue)"
        if change == wanted { return "\(reason) Run `\(command)` if nobody needs it." }
        return "The vault has no such state; `\(command)` is the nearest to it."
    }

    /// As a shell takes it for one word.
    private static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: "/_+=.@-:".utf8.contains(byte)
            }
        }
        if isPlain, !text.isEmpty { return text }
        return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

extension VaultKind {
    /// As people call it.
    var words: String {
        switch self {
        case .embedded: "an embedded vault"
        case .keyValue1: "KV 1"
        case .keyValue2: "KV 2"
        case .aws: "AWS Secrets Manager"
        case .azure: "Azure Key Vault"
        }
    }
}

/// Gathers what is left live, the first ones by name.
struct LeftLiveAccount: Sendable {
    /// So many have findings of their own; all are counted.
    static let named = 10_000

    private(set) var count = 0
    private var first: [LeftLive] = []

    mutating func add(_ more: [LeftLive]) {
        count += more.count
        first += more.prefix(max(0, Self.named - first.count))
    }

    func findings(_ capabilities: VaultCapabilities, _ url: String) -> [WorkloadFinding] {
        var findings = first.map { $0.finding(capabilities, url) }
        if count > first.count {
            findings.append(
                WorkloadFinding(
                    .error, "left-live", "\(count - first.count) more versions or secrets are live so",
                    hint: "Deal with those that are named, and restore again: it names the next ones.",
                    code: .checkFailed))
        }
        return findings
    }
}
