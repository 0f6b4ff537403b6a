// holdfast evidence: the group of verbs about records of drills and restores.

import ArgumentParser
import ObjectStore
import Primitives
import Recovery
import Repository

struct EvidenceVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evidence",
        abstract: "List, show, check, import and export records of drills and restores.",
        discussion: """
            A record tells what was recovered, how long each phase took and what each check expected and found. It is \
            sealed, signed by a key with the right to attest, and chained to the record before it; later snapshots \
            name the newest one, so that one that is gone is missed.
            """,
        subcommands: [
            EvidenceList.self, EvidenceShow.self, EvidenceVerify.self, EvidenceImport.self, EvidenceExport.self,
        ])
}

struct EvidenceList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List records.",
        discussion: """
            In order of time. A record that this key may not read is listed without its details. Damaged records are \
            named, and the exit status is 1; `holdfast check` also finds those that are missing.

            Example:

              holdfast evidence list
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let listing = try repository.evidence()
            let records = listing.evidence.sorted { ($0.object.stored, $0.id) < ($1.object.stored, $1.id) }
            var table = Table([
                ("ID", .left), ("STORED", .left), ("KIND", .left), ("VERDICT", .left), ("SYSTEMS", .left),
                ("RTO", .right), ("SIGNED BY", .left), ("FLAGS", .left),
            ])
            for evidence in records {
                let label = repository.keyring.roster[evidence.slot]?.label ?? ""
                let record = evidence.record
                table.add([
                    evidence.id.description, evidence.object.stored.description, record.map { "\($0.kind)" } ?? "-",
                    record.map { "\($0.verdict)" } ?? "sealed",
                    record.map { ShownText.name($0.members.map(\.name).joined(separator: ",")) } ?? "-",
                    record?.rtoMeasured?.lengthOfTime ?? "-",
                    label.isEmpty ? evidence.slot.description : ShownText.name(label),
                    EvidenceText.flags(evidence).joined(separator: " "),
                ])
            }
            for line in table.lines { try context.output.line(line) }
            for damaged in listing.damaged {
                context.output.warning("\(damaged.key) is damaged: \(ShownText.line(damaged.error.message))")
            }
            try context.output.json(
                EvidenceListReport(
                    repository: repository.id.description, adminKey: Hex.encode(repository.keyring.adminKey.array),
                    evidence: records.map { EvidenceSummary($0, repository.keyring.roster) },
                    damaged: listing.damaged.map { DamagedObject($0.key.path, $0.error) }))
            return listing.damaged.isEmpty ? .success : .failed
        }
    }
}

struct EvidenceShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a record.",
        discussion: """
            Everything is in the object of --json; the text leaves facts out.

            Example:

              holdfast evidence show latest
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The beginning of an id, or latest.", valueName: "id"))
    var id: String

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let evidence = try repository.findEvidence(id, in: try repository.evidence())
            guard let record = evidence.record else { throw repository.keyring.lacks("a key that opens this record") }
            let label = repository.keyring.roster[evidence.slot]?.label ?? ""
            for line in EvidenceText.lines(record, evidence.object, signer: label) { try context.output.line(line) }
            try context.output.json(EvidenceReport(evidence.object, record, signer: label))
            return .success
        }
    }
}

struct EvidenceImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Store a record that was left in a file.",
        discussion: """
            Nobody had signed it: the signature that it gets says who took it in and when, and the record says \
            `imported`. The same file again changes nothing. An admin's key or one with the right to attest is needed.

            Example:

              holdfast evidence import drill.evidence
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("A file that --evidence wrote.", valueName: "file"))
    var file: String

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            guard case .draft(let draft) = try EvidenceFiles.read(file) else {
                throw HoldfastError(
                    .usage, "\(file) holds evidence that was exported, and is signed already",
                    hint: "Check it with `holdfast evidence verify \(file)`.")
            }
            let repository = try context.openRepository()
            let (evidence, isNew) = try repository.importEvidence(draft)
            let place = "link \(evidence.number) of \(evidence.slot)"
            try context.output.line(
                isNew ? "imported record \(evidence.id) as \(place)" : "record \(evidence.id) is \(place) already")
            try context.output.json(
                EvidenceImportReport(
                    id: evidence.id.description, slot: evidence.slot.description, number: evidence.number, isNew: isNew)
            )
            return .success
        }
    }
}

struct EvidenceExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a record with all that it takes to check it elsewhere.",
        discussion: """
            The file opens this one record for whoever has it, and nothing else of the repository. It is checked with \
            `holdfast evidence verify`, without the repository and without a key.

            Example:

              holdfast evidence export latest drill.proof
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The beginning of an id, or latest.", valueName: "id"))
    var id: String

    @Argument(help: ArgumentHelp("A file that is not there yet.", valueName: "file"))
    var file: String

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let evidence = try repository.findEvidence(id, in: try repository.evidence())
            try EvidenceFiles.write(try repository.proof(of: evidence).encoded, to: file)
            try context.output.line("exported record \(evidence.id) to \(ShownText.name(file))")
            try context.output.json(
                EvidenceExportReport(
                    id: evidence.id.description, file: file,
                    adminKey: Hex.encode(repository.keyring.adminKey.array)))
            return .success
        }
    }
}
