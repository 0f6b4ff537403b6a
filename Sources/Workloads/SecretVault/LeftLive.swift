// What can be read in a vault after a restore, and should not be by the snapshot.

import Primitives
import SecretVaults

/// A version, or a secret as a whole, that is live in a vault where the snapshot has it otherwise.
///
/// A restore takes nothing away that was in the vault before it began, and between the put of a version and its
/// deletion it may be killed: all that it can do about what is there then is to name it.
struct LeftLive: Sendable, Hashable {
    enum What: Sendable, Hashable {
        /// The snapshot has it removed.
        case secret
        /// The same, of one that was put or recovered by a call to which no answer came.
        case unsureSecret
        /// It was removed, and the restore recovered it to put a version on top, which failed.
        case recovered
        /// One of the snapshot, and its id in the vault.
        case version(SecretVersion, SecretVersionID)
        /// It is no value at all but what keeps the place of one; nobody is to take it for one.
        case placeholder(SecretVersionID)
        /// One of the snapshot that was put, to be made otherwise at once, and to whose put no answer came.
        case unsure(SecretVersion)
    }

    let secret: SecretName
    let what: What

    init(_ secret: SecretName, _ what: What) {
        self.secret = secret
        self.what = what
    }

    /// What a vault had live before a restore put anything.
    ///
    /// - Parameter match: Only what is known to be the snapshot's.
    static func found(_ secret: SecretRecord, _ match: SecretMatch) -> [LeftLive] {
        guard match.there.removal == nil else { return [] }
        if secret.removal != nil { return [LeftLive(secret.name, .secret)] }
        return inside(secret, match)
    }

    /// The same of a secret that is removed in the vault, once it is recovered.
    static func inside(_ secret: SecretRecord, _ match: SecretMatch) -> [LeftLive] {
        secret.versions.compactMap { version in
            guard let found = match.ids[version.id].flatMap({ match.there[$0] }), found.state == .live else {
                return nil
            }
            if match.placeholders.contains(found.id) { return LeftLive(secret.name, .placeholder(found.id)) }
            return version.state == .live ? nil : LeftLive(secret.name, .version(version, found.id))
        }
    }

    /// How the snapshot has a version.
    private static func standing(_ version: SecretVersion) -> String {
        switch version.state {
        case .live: "without a value"
        case .disabled: "disabled"
        case .softDeleted: "deleted"
        case .destroyed: "destroyed"
        }
    }

    /// The change that makes it as it is in the snapshot.
    private var wanted: SecretStateChange? {
        switch what {
        case .secret, .unsureSecret, .recovered: nil
        case .placeholder: .destroy
        case .version(let version, _), .unsure(let version):
            switch version.state {
            case .live: nil
            case .disabled: .disable
            case .softDeleted: .softDelete
            case .destroyed: .destroy
            }
        }
    }

    /// Whether a vault of this kind can have it as the snapshot has it. Where it can't, that it is live is how the
    /// snapshot looks there; else something kept it from being so.
    func isAvoidable(in capabilities: VaultCapabilities) -> Bool {
        switch what {
        case .secret, .unsureSecret, .recovered: capabilities.removals.contains(.recoverable)
        case .version, .placeholder, .unsure: wanted.map { capabilities.stateChanges.contains($0) } ?? false
        }
    }

    private var message: String {
        switch what {
        case .secret: "the secret \(secret) is live, and the snapshot has it removed"
        case .unsureSecret:
            "the secret \(secret) may be live, and the snapshot has it removed: the vault did not answer when it was "
                + "put or recovered"
        case .recovered:
            "the secret \(secret) is live, and was removed before this restore, which recovered it and then failed: "
                + "its current value may not be the snapshot's"
        case .version(let version, let id):
            "version \(id) of the secret \(secret) is live, and the snapshot has it \(Self.standing(version))"
        case .placeholder(let id):
            "version \(id) of the secret \(secret) is live and is a placeholder, no value: a restore broke off before "
                + "it destroyed it"
        case .unsure(let version):
            "the secret \(secret) may have a live version that the snapshot has \(Self.standing(version)), its version "
                + "\(version.id): the vault did not answer when it was put"
        }
    }

    /// What it is found as.
    ///
    /// - Parameter url: Of the vault, as verbs take it.
    func finding(_ capabilities: VaultCapabilities, _ url: String) -> WorkloadFinding {
        WorkloadFinding(
            isAvoidable(in: capabilities) ? .error : .warning, "left-live", message, hint: hint(capabilities, url),
            code: .checkFailed)
    }

    private func hint(_ capabilities: VaultCapabilities, _ url: String) -> String {
        let words = "\(Self.quoted(url)) \(Self.quoted(secret.text))"
        let reason = "A restore takes nothing away that was there before it."
        let removal =
            capabilities.removals.contains(.recoverable)
            ? "`holdfast vault remove \(words)`" : "`holdfast vault remove \(words) --permanently`"
        switch what {
        case .recovered: return "Remove it again with \(removal), or restore again."
        case .secret, .unsureSecret:
            if capabilities.removals.contains(.recoverable) {
                return "\(reason) Remove it with \(removal) if nobody needs it."
            }
            return
                "The vault has no removal that can be undone; \(removal) takes it out for good, with all that it has."
        case .unsure: return "Restore again: it compares what is there, and names it."
        case .version(_, let id), .placeholder(let id):
            // The nearest that the vault has, for people to choose.
            let near: [SecretStateChange] = [wanted, .softDelete, .disable].compactMap { $0 }
            guard let change = near.first(where: { capabilities.stateChanges.contains($0) }) else {
                return
                    "\(capabilities.kind.words) can't take a single version away: change what the value opens, or "
                    + "remove the secret with \(removal)."
            }
            let command = "holdfast vault state \(words) \(Self.quoted(id.text)) \(change.rawValue)"
            if change == wanted { return "\(reason) Run `\(command)` if nobody needs it." }
            return "The vault has no such state; `\(command)` is the nearest to it."
        }
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
    /// Of those that are not named, whether a vault of its kind could have one as the snapshot has it.
    private var isRestAvoidable = false

    mutating func add(_ more: [LeftLive], _ capabilities: VaultCapabilities) {
        count += more.count
        let room = max(0, Self.named - first.count)
        first += more.prefix(room)
        isRestAvoidable = isRestAvoidable || more.dropFirst(room).contains { $0.isAvoidable(in: capabilities) }
    }

    func findings(_ capabilities: VaultCapabilities, _ url: String) -> [WorkloadFinding] {
        var findings = first.map { $0.finding(capabilities, url) }
        let rest = count - first.count
        guard rest > 0 else { return findings }
        findings.append(
            WorkloadFinding(
                isRestAvoidable ? .error : .warning, "left-live", "\(rest) more versions or secrets are live so",
                hint: isRestAvoidable
                    ? "Deal with those that are named, and restore again: it names the next ones."
                    : "Restore parts of the snapshot with --secret to have them named.",
                code: .checkFailed))
        return findings
    }
}
