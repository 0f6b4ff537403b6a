// Options that bound a prune, of `prune` and of `forget --prune`.

import ArgumentParser
import Primitives
import Repository

/// How much a prune may do.
struct PruneSettings: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Copy at most so much out of packs that are partly needed.", valueName: "size"))
    var maxRepack: ByteCount?

    @Option(
        name: .long,
        help: ArgumentHelp("Spend at most so long on copying, as 90s, 15m or 2h.", valueName: "duration"))
    var maxTime: DurationArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Let so much of the repository lie unneeded in packs that are partly needed.", valueName: "percent"))
    var maxUnused: Double = 5

    func validate() throws {
        guard (0...100).contains(maxUnused) else { throw ValidationError("--max-unused takes a number from 0 to 100.") }
    }

    func options(exclusive: Bool) -> PruneOptions {
        var options = PruneOptions()
        options.isExclusive = exclusive
        options.maximumUnused = maxUnused
        if let maxRepack { options.maximumRepack = maxRepack }
        options.maximumTime = maxTime?.duration
        return options
    }
}
