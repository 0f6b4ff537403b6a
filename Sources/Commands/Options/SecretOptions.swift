// Which secrets of a snapshot are restored into a vault.

import ArgumentParser
import Primitives
import SecretVaults
import Workloads

struct SecretOptions: ParsableArguments {
    @Option(
        name: .customLong("secret"),
        help: ArgumentHelp("Restore this secret alone; may be given again.", valueName: "name"))
    var names: [String] = []

    @Option(
        name: .customLong("secret-version"),
        help: ArgumentHelp(
            "Put this version of the one --secret on top, as the current one.", valueName: "id"))
    var version: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What becomes of secrets with versions that the snapshot has not: refuse, keep or append.",
            discussion: "keep leaves them as they are, append puts the snapshot's current value on top.",
            valueName: "way"))
    var newer: SecretSelection.Newer?

    /// - Throws: `.usage` for names and versions that cannot be, and for a target that is no vault.
    func apply(to options: inout WorkloadOptions, target: any Workload) throws(HoldfastError) {
        guard !names.isEmpty || version != nil || newer != nil else { return }
        guard target is VaultWorkload else {
            throw HoldfastError(
                .usage, "--secret, --secret-version and --newer go with --to vault:…", hint: "Leave them out.")
        }
        for name in names { options.secrets.names.append(try SecretName(name)) }
        if let version {
            guard names.count == 1 else {
                throw HoldfastError(.usage, "--secret-version is of one --secret", hint: "Name the secret.")
            }
            options.secrets.version = try SecretVersionID(version)
        }
        options.secrets.newer = newer ?? .refuse
    }
}

extension SecretSelection.Newer: ExpressibleByArgument {}
