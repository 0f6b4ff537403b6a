// holdfast config: the configuration file.

import ArgumentParser

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Look at the configuration file.",
        subcommands: [ConfigCheck.self, ConfigSchema.self])

    @OptionGroup(title: "Global Options") var global: GlobalOptions
}
