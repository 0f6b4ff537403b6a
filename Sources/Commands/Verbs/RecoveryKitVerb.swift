// holdfast recovery-kit: a page with a key of its own, for the day on which nothing else is left.

import ArgumentParser
import Configuring
import Glibc
import ObjectStore
import Primitives
import Printing
import Recovery
import Repository

struct RecoveryKitVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery-kit",
        abstract: "Print a page with a recovery key, or prove that one works.",
        discussion: """
            A recovery kit is a page for a safe: a key of its own, as a QR code and as letters, and the commands that \
            bring everything back on a machine that has nothing. Its key opens the repository wherever a password is \
            asked for.

            Examples:

              holdfast recovery-kit --output kit.pdf

              holdfast recovery-kit verify
            """,
        subcommands: [RecoveryKitMake.self, RecoveryKitVerify.self], defaultSubcommand: RecoveryKitMake.self)
}

struct RecoveryKitMake: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Add a recovery key and print its page.",
        discussion: """
            Adds a key slot of its own for 32 random bytes, and writes a page with the key as a QR code and as four \
            lines of letters, each with a check of its own; with where the repository and its mirrors are; and with \
            the commands that bring everything back on a machine that has nothing. No other key or password is on it. \
            The letters can be typed wherever a password is asked for. Only an admin may make one.

            The page is made in memory and written to the named file alone, which must not exist and gets mode 0600. \
            Print it, take it to a safe, and delete the file. `make` need not be typed.

            Examples:

              holdfast recovery-kit --output kit.pdf

              holdfast recovery-kit --text - | lpr

              holdfast recovery-kit --role admin --label "safe in Bern" --output kit.pdf
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the page as PDF; - for standard output, unless that is a terminal.", valueName: "file"))
    var output: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Write the page as text of 80 columns; - for standard output.", valueName: "file"))
    var text: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What the key may do: restorer or admin.",
            discussion: """
                A restorer reads everything and changes nothing. With an admin the repository can also be kept in use \
                when every other key is lost; whoever finds the page can then delete the backups too.
                """))
    var role = Role.restorer

    @Flag(name: .long, help: "The key may sign evidence of restores and drills; an admin always may.")
    var attest = false

    @Option(name: .long, help: ArgumentHelp("A name for the key; its number is put behind it.", valueName: "text"))
    var label = "recovery kit"

    func validate() throws {
        guard output != nil || text != nil else {
            throw ValidationError("Say where the page goes: --output FILE.pdf or --text FILE.")
        }
        guard role == .restorer || role == .admin else {
            throw ValidationError("--role takes restorer or admin: no other role can bring data back.")
        }
        guard !label.isEmpty, label.utf8.count <= RecoveryKit.longestLabel else {
            throw ValidationError("--label takes a text of 1 to \(RecoveryKit.longestLabel) bytes.")
        }
        guard output != text else { throw ValidationError("--output and --text name the same place.") }
        guard !global.json || (output != "-" && text != "-") else {
            throw ValidationError("With --json the page goes to a file: standard output holds the object.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            if output == "-", Terminal.isTerminal(1) {
                throw HoldfastError(
                    .usage, "a PDF is not for the terminal", hint: "Name a file, or show the page with --text -.")
            }
            let place = try context.place()
            let repository = try context.openRepository(at: place)
            try repository.keyring.require(.admin, toDo: "make a recovery kit")
            let pages = try pages()
            let kit: RecoveryKit
            do throws(HoldfastError) {
                kit = try RecoveryKit.make(try wish(place, context), in: repository)
            } catch {
                for page in pages { page.file?.discard() }
                throw error
            }
            do throws(HoldfastError) {
                for page in pages { try page.write(kit.page) }
            } catch {
                for page in pages { page.file?.discard() }
                throw RecoveryKit.takeBack(kit.slot, from: repository, after: error)
            }
            try report(kit, context)
            return .success
        }
    }

    /// Where the page goes, in the forms that were asked for. Files are taken before the key is made.
    private func pages() throws(HoldfastError) -> [KitPage] {
        var pages: [KitPage] = []
        do throws(HoldfastError) {
            for (path, isPDF) in [(output, true), (text, false)] {
                if let path { pages.append(try KitPage(path, isPDF: isPDF)) }
            }
        } catch {
            for page in pages { page.file?.discard() }
            throw error
        }
        return pages
    }

    private func wish(
        _ place: RepositoryPlace, _ context: CommandContext
    ) throws(HoldfastError) -> RecoveryKit.Wish {
        var mirrors: [String] = []
        let named = place.configured?.mirrors ?? []
        let configuration = named.isEmpty ? nil : try context.configuration()
        for mirror in named {
            mirrors.append(try Self.shown(configuration?.repository(named: mirror)?.location ?? mirror))
        }
        return RecoveryKit.Wish(
            label: label, role: role, rights: attest ? [.attest] : [], location: try Self.shown(place.location),
            mirrors: mirrors, host: Host.name, toolVersion: ToolVersion.current)
    }

    /// A location that means the same from every directory.
    private static func shown(_ location: String) throws(HoldfastError) -> String {
        switch try StoreLocation(location) {
        case .local(let path): Host.absolutePath(path)
        }
    }

    private func report(_ kit: RecoveryKit, _ context: CommandContext) throws(HoldfastError) {
        let files = [output, text].compactMap { $0 }.filter { $0 != "-" }
        if output != "-", text != "-" {
            try context.output.line("made recovery kit \(kit.number), key slot \(kit.slot) (role \(kit.role))")
            for file in files { try context.output.line("wrote \(ShownText.name(file))") }
        }
        context.output.remark(
            "Print it, prove it with `holdfast recovery-kit verify`, take it to a safe, and delete the file. "
                + "Then mirror: a copy that was made before has no slot for this key.")
        try context.output.json(
            RecoveryKitReport(
                repository: kit.repository.description, kit: kit.number.description, slot: kit.slot.description,
                role: kit.role.description, files: files))
    }
}

/// A place for the page, in one form.
private struct KitPage {
    let isPDF: Bool
    /// Nil for standard output.
    let file: NewSecretFile?

    init(_ path: String, isPDF: Bool) throws(HoldfastError) {
        self.isPDF = isPDF
        guard path != "-" else {
            file = nil
            return
        }
        guard let made = try NewSecretFile(path) else {
            throw HoldfastError(
                .usage, "there is a file \(ShownText.name(path)) already",
                hint: "A page with a key replaces nothing: name a new file, or delete that one.")
        }
        file = made
    }

    func write(_ page: PrintedDocument) throws(HoldfastError) {
        let bytes = isPDF ? try PDFPage.render(page) : try TextPage.render(page)
        guard let file else { return try Self.writeOut(bytes) }
        try file.fill(bytes)
    }

    private static func writeOut(_ bytes: SecretBytes) throws(HoldfastError) {
        try bytes.withBytes { (raw) throws(HoldfastError) in
            var start = 0
            while start < raw.count {
                let (count, number) = retryingInterrupts {
                    Glibc.write(1, raw.baseAddress.map { $0 + start }, raw.count - start)
                }
                guard count > 0 else {
                    throw HoldfastError.systemCall("write", count < 0 ? number : EIO, on: "standard output")
                }
                start += count
            }
        }
    }
}

/// `holdfast.recovery-kit/1`.
struct RecoveryKitReport: Encodable {
    let schema = "holdfast.recovery-kit/1"
    let repository: String
    let kit: String
    let slot: String
    let role: String
    let files: [String]

    private enum CodingKeys: String, CodingKey { case schema, repository, kit, slot, role, files }
}
