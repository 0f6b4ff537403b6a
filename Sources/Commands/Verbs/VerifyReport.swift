// holdfast verify-report: a report held against the records in it, without the repository.

import ArgumentParser
import Compliance
import Primitives
import Recovery
import Repository

struct VerifyReport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-report",
        abstract: "Check a report offline: its signature, each record, the chains, and that it follows from them.",
        discussion: """
            It takes the file of `holdfast report --format json`, and neither the repository nor a key of it. Every \
            signature hangs on the repository's admin key: get that by another way than the file, and give it by \
            --admin-key. Without it the file's own word counts, and the key is printed.

            The report is made anew from the records and must be the same, so that a number that was changed is found, \
            and so is a record that was changed, removed, put elsewhere, or taken from another repository. Records at \
            the end of a chain that were cut off are found by a later head alone: --anchor takes one, as \
            SLOT/NUMBER/SHA256, that was written down elsewhere. Without one they cannot be found. What does not hold \
            makes the exit status 4.

            Examples:

              holdfast verify-report october.json --admin-key 0f3a…

              holdfast verify-report october.json --anchor 33bd…/42/9c1e…
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The report as JSON.", valueName: "file"))
    var file: String

    @Option(name: .long, help: ArgumentHelp("The admin key that the repository must have.", valueName: "hex"))
    var adminKey: AdminKeyArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("A head that the report must reach; may be given again.", valueName: "slot/number/sha256"))
    var anchor: [AnchorArgument] = []

    /// A report over five years of two hundred sources has some hundred mebibytes.
    private static let maximumSize = ByteCount.mebi(2048)

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let bytes = try EvidenceFiles.bytes(file, Self.maximumSize, waits: true)
            let found: ReportVerification
            do throws(HoldfastError) {
                found = try ReportVerification(
                    bytes, trusted: adminKey?.key, anchors: anchor.map(\.anchor), name: file)
            } catch {
                guard error.code == .corruptObject || error.code == .cryptography else { throw error }
                throw HoldfastError(
                    .checkFailed, "\(file) does not hold: \(error.message)",
                    hint: "Have the report made again where the repository is, and find out who changed the file.",
                    cause: error)
            }
            let report = VerifyReportReport(found, isAdminKeyTrusted: adminKey != nil, isAnchored: !anchor.isEmpty)
            for line in report.lines { try context.output.line(line) }
            if adminKey == nil {
                context.output.remark(
                    "the admin key is \(report.adminKey), on the file's own word; compare it, or give --admin-key")
            }
            if anchor.isEmpty {
                context.output.remark(
                    "whether records were cut off at the end of a chain cannot be found without --anchor, a later head")
            }
            if found.isSignerRevoked {
                context.output.warning("the key that signed the report was removed from the repository")
            }
            try context.output.json(report)
            return found.problems.isEmpty ? .success : .checkFailed
        }
    }
}

/// `holdfast.verify-report/1`.
struct VerifyReportReport: Encodable {
    struct Chain: Encodable {
        let slot: String
        let first, last: UInt32
        let lastSha256: String
    }

    let schema = "holdfast.verify-report/1"
    let isGood: Bool
    let problems: [String]
    let framework, from, to, sha256, repository, adminKey, signer: String
    let isAdminKeyTrusted, isAnchored, isSignerRevoked: Bool
    let links, records: Int
    let chains: [Chain]
    /// On the word of whoever made the report: what it was told then of the repository.
    let seen: [String]

    private enum CodingKeys: String, CodingKey {
        case schema, isGood, problems, framework, from, to, sha256, repository, adminKey, signer, isAdminKeyTrusted
        case isAnchored, isSignerRevoked, links, records, chains, seen
    }

    init(_ found: ReportVerification, isAdminKeyTrusted: Bool, isAnchored: Bool) {
        let report = found.document.report
        (isGood, problems) = (found.problems.isEmpty, found.problems)
        (framework, from, to) = (report.framework, report.from, report.to)
        (sha256, repository, adminKey) = (found.document.sha256, report.repository, report.adminKey)
        signer = found.signer
        self.isAdminKeyTrusted = isAdminKeyTrusted
        self.isAnchored = isAnchored
        isSignerRevoked = found.isSignerRevoked
        (links, records) = (found.links, found.records)
        chains = report.chains.map { Chain(slot: $0.slot, first: $0.first, last: $0.last, lastSha256: $0.lastSha256) }
        seen = found.document.origin.seen
    }

    var lines: [String] {
        var lines = [
            "report    \(ShownText.line(framework)), \(ShownText.line(from)) to \(ShownText.line(to))",
            "sha256    \(sha256)", "signed    by \(ShownText.line(signer))",
        ]
        lines += chains.map { "chain     \(ShownText.line($0.slot))/\($0.last)/\(ShownText.line($0.lastSha256))" }
        lines += seen.map { "seen      \(ShownText.line($0))" }
        lines += problems.map { "error: \(ShownText.line($0))" }
        if isGood {
            lines.append("good: \(links) links hold, and the report is what their \(records) records come to")
        }
        return lines
    }
}
