// holdfast evidence verify: one record, held against its signature and its chain.

import ArgumentParser
import Primitives
import Recovery
import Repository

struct EvidenceVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a record: its signature, its chain, and what later snapshots know of it.",
        discussion: """
            An exported file is checked by itself, without a repository and without a key: its signature, the right \
            of the signer, and the link to the record before. All of that hangs on the admin key of the repository; \
            --admin-key says which it must be, else the file's own word counts, and the key is printed. A file \
            cannot tell whether later records were taken away, or whether the signer's key was removed since: \
            whoever made it chose the grants in it. A key that was removed can still sign under the epochs that it \
            had; a warning says that the signer's was, and whether a snapshot names the record. A record in the \
            repository is checked with its whole chain and with what later snapshots know of its end; where no later \
            snapshot does, an end that was cut off cannot be found. What does not hold makes the exit status 4. A \
            file whose name could be an id is written ./NAME.

            Examples:

              holdfast evidence verify latest

              holdfast evidence verify drill.proof --admin-key 0f3a…
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("A file, the beginning of an id, or latest.", valueName: "file or id"))
    var record: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The admin key that the repository must have, as `evidence list --json` prints it.", valueName: "hex"))
    var adminKey: AdminKeyArgument?

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            isID ? try verifyStored(context) : try verifyFile(context)
        }
    }

    private var isID: Bool {
        let letters = Set("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        return record == "latest" || (record.utf8.count <= 26 && record.lowercased().utf8.allSatisfy(letters.contains))
    }

    // MARK: A file

    private func verifyFile(_ context: CommandContext) throws(HoldfastError) -> ExitStatus {
        let proof: EvidenceProof
        switch try damageAsFailure({ () throws(HoldfastError) in try EvidenceFiles.read(record) }) {
        case .proof(let found): proof = found
        case .draft(let draft):
            throw HoldfastError(
                .checkFailed, "\(record) holds record \(draft.record.id), which nobody signed",
                hint: "Have it imported with `holdfast evidence import`, and check it then.")
        }
        let shown = try damageAsFailure { () throws(HoldfastError) in
            try proof.verify(trusted: adminKey?.key, name: record)
        }
        let key = Hex.encode(shown.adminKey.array)
        for line in EvidenceText.lines(shown.record, shown.object, signer: shown.signer.label) {
            try context.output.line(line)
        }
        let link = shown.hasPrevious ? "it follows the record before it" : "it is the first of its chain"
        try context.output.line("good: the signature holds, the signer had the right, and \(link)")
        if adminKey == nil {
            context.output.remark("the admin key is \(key), on the file's own word; compare it, or give --admin-key")
        }
        context.output.remark("whether later records were taken away, a file cannot tell")
        context.output.remark(
            "whether the signer's key was removed since, it cannot tell either: its maker chose the grants")
        if shown.signer.isRevoked { context.output.warning(Self.revoked) }
        try context.output.json(
            EvidenceVerifyReport(
                evidence: EvidenceReport(shown.object, shown.record, signer: shown.signer.label), isGood: true,
                problems: [], adminKey: key, isAdminKeyTrusted: adminKey != nil, chainLength: nil, isWitnessed: nil,
                isSignerRevoked: shown.signer.isRevoked))
        return .success
    }

    /// Damage is what this verb looks for.
    private func damageAsFailure<R>(_ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            guard error.code == .corruptObject || error.code == .unsupportedFormat || error.code == .cryptography else {
                throw error
            }
            throw HoldfastError(
                .checkFailed, "\(record) does not hold: \(error.message)",
                hint: "Export the record again where the repository is, and find out who changed the file.",
                cause: error)
        }
    }

    /// A right is of an epoch, and nothing tells when within it, or after it, a link was put.
    private static let revoked =
        "the signer's key was removed; who kept it can sign under its old epochs still, with any time that they like"

    // MARK: In the repository

    private func verifyStored(_ context: CommandContext) throws(HoldfastError) -> ExitStatus {
        let repository = try context.openRepository()
        if let adminKey, adminKey.key != repository.keyring.adminKey {
            throw HoldfastError(
                .checkFailed, "the repository has another admin key: \(Hex.encode(repository.keyring.adminKey.array))",
                hint: "It is not the repository that you expect.")
        }
        let listing = try repository.evidence()
        let evidence = try repository.findEvidence(record, in: listing)
        guard let record = evidence.record else { throw repository.keyring.lacks("a key that opens this record") }
        let standing = try repository.standing(of: evidence, in: listing)
        let label = repository.keyring.roster[evidence.slot]?.label ?? ""
        for line in EvidenceText.lines(record, evidence.object, signer: label) { try context.output.line(line) }
        for problem in standing.problems {
            try context.output.line("error: \(problem.object): \(ShownText.line(problem.message))")
        }
        if standing.problems.isEmpty {
            try context.output.line(
                "good: the signature holds, the signer had the right, and its chain of \(standing.length) is whole")
        }
        let isRevoked = repository.keyring.roster[evidence.slot]?.isRevoked ?? false
        if isRevoked {
            let unnamed = standing.isWitnessed ? "" : ", and no snapshot names this record: it may be younger than that"
            context.output.warning(Self.revoked + unnamed)
        }
        if !standing.isWitnessed {
            context.output.remark(
                "no later snapshot knows of it yet: if records after it were taken away, that cannot be found")
        }
        try context.output.json(
            EvidenceVerifyReport(
                evidence: EvidenceReport(evidence.object, record, signer: label), isGood: standing.problems.isEmpty,
                problems: standing.problems.map { .init(object: $0.object, message: $0.message) },
                adminKey: Hex.encode(repository.keyring.adminKey.array), isAdminKeyTrusted: true,
                chainLength: standing.length, isWitnessed: standing.isWitnessed, isSignerRevoked: isRevoked))
        return standing.problems.isEmpty ? .success : .checkFailed
    }
}

/// An admin key in hexadecimal.
struct AdminKeyArgument: ExpressibleByArgument, Hashable, Sendable {
    let key: Bytes32

    init?(argument: String) {
        guard let bytes = Hex.decode(argument.lowercased()), bytes.count == 32 else { return nil }
        key = Bytes32(bytes.span.bytes)
    }
}
