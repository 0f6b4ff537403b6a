// What snapshots of vaults say of secrets and versions, in a line and without a value.

import Recovery

enum SecretText {
    /// How it stands, where it is not live: ` (deleted)`.
    static func standing(_ entry: SecretEntry) -> String {
        entry.standing == .live ? "" : " (\(entry.standing.rawValue))"
    }

    /// What differs: `state live -> deleted; labels +previous -current; expires changed; tag owner added`.
    static func line(_ difference: SecretDifference, of kind: PathChange.Kind) -> String {
        var parts: [String] = []
        let (before, after) = (difference.standingBefore, difference.standingAfter)
        switch kind {
        case .added: if let after, after != .live { parts.append("state \(after.rawValue)") }
        case .removed: if let before, before != .live { parts.append("state \(before.rawValue)") }
        case .type, .content, .metadata:
            if before != after {
                parts.append("state \(before?.rawValue ?? "none") -> \(after?.rawValue ?? "none")")
            }
            let (old, new) = (difference.currentBefore, difference.currentAfter)
            if old != new {
                parts.append(
                    "current \(old.map { ShownText.name($0) } ?? "none") -> "
                        + (new.map { ShownText.name($0) } ?? "none"))
            }
        }
        let labels =
            difference.labelsAdded.map { "+" + ShownText.name($0) }
            + difference.labelsRemoved.map { "-" + ShownText.name($0) }
        if !labels.isEmpty { parts.append("labels " + labels.joined(separator: " ")) }
        for attribute in difference.attributes {
            let key = attribute.key.map { " " + ShownText.name($0) } ?? ""
            parts.append("\(attribute.name)\(key) \(attribute.act.rawValue)")
        }
        return parts.joined(separator: "; ")
    }
}
