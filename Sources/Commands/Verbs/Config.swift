// holdfast config: the configuration file.

import ArgumentParser

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Look at the configuration file.",
        discussion: """
            The file declares repositories with their mirrors, and sources with what is to be kept of them. It is \
            --config or HOLDFAST_CONFIG, else ./holdfast.yaml, else /etc/holdfast/holdfast.yaml. No verb needs one.
            """,
        subcommands: [ConfigCheck.self, ConfigSchema.self])

    @OptionGroup(title: "Global Options") var global: GlobalOptions
}
