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

    @Option(
        name: .customLong("text-field"),
        help: ArgumentHelp(
            "Put texts that are no JSON objects as this field of one, into vaults of fields.",
            discussion: "Into vaults of texts, objects that have this field alone go back as its text.",
            valueName: "name"))
    var textField: String?

    /// - Throws: `.usage` for names and versions that cannot be, and for a target that is no vault.
    func apply(to options: inout WorkloadOptions, target: any Workload) throws(HoldfastError) {
        guard !names.isEmpty || version != nil || newer != nil || textField != nil else { return }
        guard target is VaultWorkload else {
            throw HoldfastError(
                .usage, "--secret, --secret-version, --newer and --text-field go with --to vault:…",
                hint: "Leave them out.")
        }
        for name in names { options.secrets.names.append(try SecretName(name)) }
        if let version {
            guard names.count == 1 else {
                throw HoldfastError(.usage, "--secret-version is of one --secret", hint: "Name the secret.")
            }
            options.secrets.version = try SecretVersionID(version)
        }
        options.secrets.newer = newer ?? .refuse
        if let textField {
            let hasControl = textField.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            guard !textField.isEmpty, textField.utf8.count <= 128, !hasControl else {
                throw HoldfastError(
                    .usage, "--text-field is no name of a field", hint: "Give 1 to 128 bytes, such as `value`.")
            }
            options.secrets.textField = textField
        }
    }
}

extension SecretSelection.Newer: ExpressibleByArgument {}
