// A source's URL in the configuration.

import SecretVaults
import Workloads

/// A source's URL: a scheme of the table, and text that means something to its workload alone.
package struct SourceURL: Sendable, Hashable {
    package var text: String
    package var scheme: String

    /// - Returns: nil for a scheme that is not in the table, nothing behind it, or what can't be meant.
    package init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), !text[colon...].dropFirst().isEmpty, !text.utf8.contains(0),
            WorkloadScheme.sources.contains(where: { $0.name == text[..<colon] }),
            WorkloadScheme.refusal(of: text) == nil
        else { return nil }
        self.text = text
        scheme = String(text[..<colon])
    }

    package var kind: WorkloadScheme? { WorkloadScheme.named(scheme) }

    /// What stands behind the scheme.
    package var rest: String { String(text.dropFirst(scheme.count + 1)) }

    /// The same with an absolute path, when it is one of a file or directory.
    func resolved(from directory: String) -> SourceURL {
        if scheme == VaultWorkload.kind, let address = VaultAddress(rest) {
            var resolved = self
            resolved.text = "\(scheme):\(address.resolved(from: directory).text)"
            return resolved
        }
        guard kind?.isPath == true, !rest.hasPrefix("/") else { return self }
        var resolved = self
        resolved.text = "\(scheme):\(directory)/\(rest)"
        return resolved
    }

    static func refusal(of text: String) -> String {
        let known = WorkloadScheme.sources.map(\.name)
        guard let colon = text.firstIndex(of: ":") else {
            return "a source's URL is \(WorkloadScheme.forms); for a directory write dir:PATH"
        }
        let scheme = String(text[..<colon])
        if known.contains(scheme) {
            if text[colon...].dropFirst().isEmpty { return "nothing stands behind \(scheme):" }
            return WorkloadScheme.refusal(of: text) ?? "nothing can be meant by it"
        }
        let hint = Nearest.word(to: scheme, among: known).map { "; did you mean `\($0):`?" } ?? ""
        return "unknown scheme `\(scheme):`; a source's URL is \(WorkloadScheme.forms)\(hint)"
    }
}
