// A source on the command line: a URL.

import Primitives
import Workloads

/// A source as it is typed: a URL of a scheme that can be backed up.
struct SourceArgument: Sendable {
    private let text: String
    let scheme: WorkloadScheme
    /// The URL by which the source is known when it has no name.
    let canonical: String

    init?(argument: String) {
        guard let scheme = WorkloadScheme.named(argument.prefix { $0 != ":" }), scheme.capabilities.canBeRead,
            let workload = WorkloadScheme.workload(argument)
        else { return nil }
        text = argument
        self.scheme = scheme
        canonical = workload.identity.url
    }

    /// Why `argument` is no source, and what may have been meant.
    static func refusal(of argument: String) -> String {
        let text = "A source is \(WorkloadScheme.forms), not \(argument.isEmpty ? "nothing" : argument)."
        if let why = WorkloadScheme.refusal(of: argument) { return "\(argument): \(why)." }
        return argument.isEmpty || argument.contains(":") ? text : text + " For a directory write dir:\(argument)."
    }

    /// The workload with what the options say of it.
    ///
    /// - Throws: `.usage`; what was typed has been looked at before.
    func workload(_ options: WorkloadOptions) throws(HoldfastError) -> any Workload {
        guard let workload = WorkloadScheme.workload(text, options) else {
            throw HoldfastError(.usage, Self.refusal(of: text))
        }
        return workload
    }
}
