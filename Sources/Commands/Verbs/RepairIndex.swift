// holdfast repair index: builds the index anew from what packs say of themselves.

import ArgumentParser
import Primitives
import Repository

struct RepairIndex: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index",
        abstract: "Rebuild the index from packs.",
        discussion: """
            Index runs that are damaged, missing or list lost packs are replaced by new ones, made from the tables of \
            contents of packs. Good runs stay. With --read-data every pack is read, and those whose bytes do not match \
            their names are set aside, so that the next backup stores their chunks again. Packs that cannot be read \
            are named and left. Needs the role admin or maintainer.

            Examples:

              holdfast repair index --dry-run

              holdfast repair index --read-data
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Flag(name: .long, help: "Read every pack, and set rotten ones aside.")
    var readData = false

    @Flag(name: .long, help: "Say what would be done, and do nothing.")
    var dryRun = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository(transfer)
            let report = try context.withProgress { (progress) throws(HoldfastError) in
                var options = RepairOptions()
                options.isDryRun = dryRun
                options.readsData = readData
                if let threads = transfer.threads { options.threads = threads }
                options.progress = progress
                return try repository.repairIndex(options)
            }
            for line in lines(report) { try context.output.line(line) }
            for failure in report.unreadable {
                context.output.warning("\(failure.object) is left as it is: \(ShownText.line(failure.message))")
            }
            try context.output.json(RepairSummary(report))
            return report.unreadable.isEmpty ? .success : .failed
        }
    }

    private func lines(_ report: RepairReport) -> [String] {
        let would = report.isDryRun ? "would be " : ""
        guard report.isNeeded else { return ["the index is good: \(report.runsKept) runs"] }
        var lines = ["\(report.runsKept) runs are good, \(report.runsReplaced.count) \(would)replaced"]
        for pack in report.packsSetAside { lines.append("pack \(pack) is rotten: \(would)set aside") }
        for pack in report.packsMissing { lines.append("pack \(pack) is missing") }
        lines.append("\(report.packsIndexed) packs with \(report.chunksIndexed) chunks \(would)indexed")
        if report.packsOfNobody > 0 {
            lines.append(
                "\(report.packsOfNobody) of them have no known writer: they are read, and no backup relies on them")
        }
        if !report.packsSetAside.isEmpty || !report.packsMissing.isEmpty {
            lines.append("the next backup of what was in lost packs stores it again")
        }
        return lines
    }
}

/// `holdfast.repair-index/1`.
struct RepairSummary: Encodable {
    let schema = "holdfast.repair-index/1"
    let isDryRun, isNeeded: Bool
    let runsKept, packsIndexed, chunksIndexed, packsVerified, packsOfNobody: Int
    let runsReplaced, runsWritten, packsMissing, packsSetAside: [String]
    let unreadable: [Unreadable]

    struct Unreadable: Encodable {
        let object, message: String
    }

    private enum CodingKeys: String, CodingKey {
        case schema, isDryRun, isNeeded, runsKept, packsIndexed, chunksIndexed, packsVerified, packsOfNobody
        case runsReplaced, runsWritten, packsMissing, packsSetAside, unreadable
    }

    init(_ report: RepairReport) {
        isDryRun = report.isDryRun
        isNeeded = report.isNeeded
        runsKept = report.runsKept
        packsIndexed = report.packsIndexed
        chunksIndexed = report.chunksIndexed
        packsVerified = report.packsVerified
        packsOfNobody = report.packsOfNobody
        runsReplaced = report.runsReplaced.map(\.description)
        runsWritten = report.runsWritten.map(\.description)
        packsMissing = report.packsMissing.map(\.description)
        packsSetAside = report.packsSetAside.map(\.description)
        unreadable = report.unreadable.map { Unreadable(object: $0.object, message: $0.message) }
    }
}
