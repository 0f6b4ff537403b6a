// holdfast recovery-kit verify: does the page in the safe still open the repository?

import ArgumentParser
import ObjectStore
import Primitives
import Recovery
import Repository

struct RecoveryKitVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Prove that a recovery key opens the repository.",
        discussion: """
            Takes the key from a file, from standard input or typed on the terminal, as four lines or as the text of \
            the QR code; opens its slot with nothing else, reads the newest snapshot and a piece of its data, and says \
            which slot it is and what it may do. No other password is looked at.

            The exit status is 12 when the key opens nothing: mistyped, of another repository, its slot was removed, \
            or the repository is a mirror that is older than the kit.

            Examples:

              holdfast recovery-kit verify

              zbarimg --quiet --raw scan.png | holdfast --repo /mnt/second recovery-kit verify -
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("A file with the key, - for standard input; asked for without it.", valueName: "file"))
    var file: String?

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let store = context.decorated(try StoreLocation.open(try context.place().location), nil)
            // A missing repository is told before anyone types.
            _ = try Repository.readFormat(in: store, trusted: nil)
            let key = try SecretSource(context).recoveryKey(from: file)
            let proof = try RecoveryKitProof.prove(key, in: store, environment: context.environment)
            for warning in proof.warnings { context.output.warning(ShownText.line(warning)) }
            try context.output.line(
                "recovery kit \(proof.number) opens repository \(proof.repository) at \(ShownText.name(store.location))"
            )
            try context.output.line(
                "slot      \(proof.slot), \(ShownText.name(proof.label)), role \(proof.role)"
                    + (proof.created.map { ", created \($0)" } ?? ""))
            if let snapshot = proof.snapshot {
                try context.output.line(
                    "newest    \(snapshot.id), \(ShownText.name(snapshot.source)), as of \(snapshot.consistentAsOf)")
                try context.output.line("read      \(ByteCount(UInt64(proof.bytesRead))) of its data")
            }
            try context.output.json(KitProofReport(proof))
            return .success
        }
    }
}

/// `holdfast.recovery-kit-verify/1`.
struct KitProofReport: Encodable {
    let schema = "holdfast.recovery-kit-verify/1"
    let repository, kit, slot, label, role: String
    let created: String?
    /// Missing when there is no snapshot, or none that the key may read.
    let snapshot, source, consistentAsOf: String?
    let bytesRead: Int
    let warnings: [String]

    private enum CodingKeys: String, CodingKey {
        case schema, repository, kit, slot, label, role, created, snapshot, source, consistentAsOf, bytesRead, warnings
    }

    init(_ proof: RecoveryKitProof) {
        repository = proof.repository.description
        kit = proof.number.description
        slot = proof.slot.description
        label = proof.label
        role = proof.role.description
        created = proof.created?.description
        snapshot = proof.snapshot?.id.description
        source = proof.snapshot?.source
        consistentAsOf = proof.snapshot?.consistentAsOf.description
        bytesRead = proof.bytesRead
        warnings = proof.warnings
    }
}
