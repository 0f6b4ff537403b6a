// What a rotation is going to do, in words, before it does anything.

import Primitives
import SecretVaults

/// The effects of one rotation in their order; none of them was made.
package struct RotationEffects: Sendable {
    package private(set) var lines: [String] = []

    /// - Parameters:
    ///   - current: The version that is current, where it is known.
    ///   - emergency: Without grace.
    package init(
        _ policy: RotationPolicy, _ name: SecretName, current: String?, _ target: (any RotationTarget)?,
        _ capabilities: VaultCapabilities, emergency: Bool
    ) {
        let version = current.map { "version \($0)" } ?? "the current version"
        lines.append("read \(version) of \(name), for its fingerprint")
        lines.append(
            "look for \(version) in the newest snapshot of \(policy.source), and take one where it is not there")
        lines.append("make a new value: \(policy.generator.text); seal it into the journal")
        if let target {
            switch SidePlace(capabilities) {
            case .label(let label): lines.append("put it into the vault as a version with the label \(label)")
            case .path: lines.append("put it into the vault as _rotate/ID")
            case .neighbour: lines.append("put it into the vault as \(name)--pending")
            case .none: lines.append("put it nowhere in the vault: this one has no place beside a secret")
            }
            lines += target.effects.apply
            if !target.keepsOld, !target.effects.apply.isEmpty {
                lines.append("from here until the promotion readers may have a value that \(target.name) refuses")
            }
            lines += target.effects.verify
        }
        lines.append("make it the current version of \(name), if \(version) is current still")
        guard let target else { return }
        if !target.effects.retire.isEmpty {
            let wait = emergency || policy.grace == .zero ? "at once" : "after \(policy.grace.lengthOfTime)"
            lines += target.effects.retire.map { "\(wait): \($0)" }
        }
        if SidePlace(capabilities) != .none { lines.append("take away what was staged") }
    }
}
