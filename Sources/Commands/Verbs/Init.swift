// holdfast init: a new repository and its first key.

import ArgumentParser
import Compression
import ObjectStore
import Primitives
import Repository

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a repository and its first key.",
        discussion: """
            The directory is made when it is not there; it must be empty otherwise. The first key has the role admin: \
            it may do everything. Whoever loses the password and every other key loses the data: nobody can recover it.

            Examples:

              holdfast --repo /mnt/backup init

              holdfast --repo /mnt/backup init --compression zstd:6

              holdfast --repo /mnt/backup init --raw-key-file /etc/holdfast/key
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How new data is compressed: zstd[:1-19], zlib[:1-9], none or auto[:1-19].",
            discussion: """
                auto gives up at once on what does not shrink. Where level 2 or 3 of zstd is asked for, blocks of \
                database files take level 1, which is smaller and faster for them.
                """,
            valueName: "codec"))
    var compression = CompressionSetting.standard

    @Option(name: .long, help: ArgumentHelp("A name for the first key.", valueName: "text"))
    var label = "first"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Use a raw key of 32 bytes instead of a password; the file is made when it is not there.",
            discussion: "Set HOLDFAST_KEY_FILE to it afterwards.", valueName: "file"))
    var rawKeyFile: String?

    func validate() throws {
        try LabelText.validate(label)
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let place = try context.place()
            let store = context.decorated(try StoreLocation.create(place.location), nil)
            let key = try key(context, place)
            let repository = try Repository.create(
                in: store, secret: key.secret, derivation: key.isRaw ? .rawKey : .standard, label: label,
                compression: compression.description, environment: context.environment)
            let report = InitReport(
                repository: repository.id.description, location: repository.store.location,
                slot: repository.keyring.slot.description, compression: compression.description)
            try context.output.line("made the repository \(report.repository) at \(ShownText.name(report.location))")
            try context.output.line("first key: slot \(report.slot) (role admin)")
            context.output.remark("Keep the password safe: without it the data is lost.")
            try context.output.json(report)
            return .success
        }
    }

    private func key(_ context: CommandContext, _ place: RepositoryPlace) throws(HoldfastError) -> SlotKey {
        let source = SecretSource(context)
        guard let rawKeyFile else { return try source.key(confirming: true, opening: place.opening) }
        return try source.madeRawKey(rawKeyFile, context)
    }
}

/// `holdfast.init/1`.
struct InitReport: Encodable {
    let schema = "holdfast.init/1"
    let repository: String
    let location: String
    let slot: String
    let compression: String

    private enum CodingKeys: String, CodingKey { case schema, repository, location, slot, compression }
}

extension CompressionSetting: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

/// Names of keys.
enum LabelText {
    static let longest = 256

    static func validate(_ label: String) throws {
        guard !label.isEmpty, label.utf8.count <= longest else {
            throw ValidationError("--label takes a text of 1 to \(longest) bytes.")
        }
    }
}
