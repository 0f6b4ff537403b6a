// A report out of a repository.

import Compliance
import ObjectStore
import Primitives
import Repository

/// Who makes a report.
struct ReportMaker: Sendable {
    var host: String
    var `operator`: String
    var at: Timestamp
}

/// A report with the links that a file of it needs.
struct MadeReport {
    let document: ReportDocument
    let needed: [(slot: SlotID, number: UInt32, isUsed: Bool)]

    /// - Throws: `.notPermitted` for a key that cannot read all evidence; what the repository throws.
    init(
        of repository: Repository, _ framework: Framework, _ period: ReportPeriod, by maker: ReportMaker
    ) throws(HoldfastError) {
        var gatherer = ReportGatherer(period)
        var seen: [String] = []
        var sealed: ObjectKey?
        var newest: [SlotID: (evidence: Evidence, digests: [UInt32: Bytes32])] = [:]
        try repository.eachEvidence { (link) throws(HoldfastError) in
            guard let record = link.record else {
                sealed = sealed ?? ObjectNames.evidence(link.slot, link.number)
                return
            }
            newest[link.slot, default: (link, [:])].digests[link.number] = link.digest
            newest[link.slot]?.evidence = link
            gatherer.add(ReportLink(link.object, digest: link.digest, record: record))
        } damaged: { key, error in
            seen.append("\(key): \(error.message)")
        }
        if let sealed {
            throw HoldfastError(
                .notPermitted, "this key (role \(repository.keyring.role)) cannot read \(sealed)",
                hint: "Make reports with the key of an admin, a restorer or a maintainer.")
        }
        gatherer.close()
        seen += try Self.named(in: repository, newest.mapValues(\.digests))
        let report = try gatherer.report(
            framework, repository: repository.id, adminKey: repository.keyring.adminKey)
        document = try ReportDocument(
            report,
            origin: ReportOrigin(
                at: maker.at, operator: maker.operator, host: maker.host, toolVersion: ToolVersion.current, seen: seen))
        needed = gatherer.needed
    }

    /// Links that snapshots name, and that are not there as they name them.
    private static func named(
        in repository: Repository, _ known: [SlotID: [UInt32: Bytes32]]
    ) throws(HoldfastError) -> [String] {
        var missing: Set<String> = []
        for snapshot in try repository.snapshots().snapshots {
            for head in snapshot.record?.evidence ?? [] where known[head.slot]?[head.number] != head.digest {
                missing.insert(
                    "\(ObjectNames.evidence(head.slot, head.number)): it is not the link of which snapshot "
                        + "\(snapshot.id) tells"
                )
            }
        }
        return missing.sorted()
    }
}
