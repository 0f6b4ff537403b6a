// A report held against the records in it, with public keys alone.

import FoundationEssentials
import Primitives
import Repository
import Sealing

/// A link that somebody wrote down at another time: `SLOT/NUMBER/SHA256`.
package struct EvidenceAnchor: Sendable, Hashable {
    package var slot: String
    package var number: UInt32
    package var sha256: String

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, Hex.decode(parts[0])?.count == 16, let number = UInt32(parts[1]), number > 0,
            "\(number)" == parts[1], Hex.decode(parts[2])?.count == 32
        else { return nil }
        (slot, self.number, sha256) = (String(parts[0]), number, String(parts[2]))
    }
}

/// What became of a verification.
package struct ReportVerification: Sendable {
    /// What does not hold; empty for a report that is as its records say.
    package private(set) var problems: [String] = []
    package private(set) var links = 0
    package private(set) var records = 0
    package let document: ReportDocument
    package let signer: String
    package let isSignerRevoked: Bool
    /// Anchors that the file holds as they are.
    package private(set) var anchored: [EvidenceAnchor] = []

    /// Checks the signature of the whole, each record, the chains, and that the report follows from them.
    ///
    /// - Parameters:
    ///   - trusted: The admin key of the repository; without it the file's own word counts.
    ///   - anchors: Heads from elsewhere that the file must hold.
    /// - Throws: `.corruptObject` for what is no report or bears a key that nobody granted; `.checkFailed` when it is
    /// of
    ///   another admin key. What does not hold within is in ``problems``.
    package init(
        _ bytes: [UInt8], trusted: Bytes32?, anchors: [EvidenceAnchor] = [], name: String
    ) throws(HoldfastError) {
        let file = try ReportFile(bytes, name: name)
        document = try ReportDocument(file.report, origin: file.origin)
        let roster = try EvidenceRoster(
            format: try Self.decoded(file.evidence.format, name),
            grants: try file.evidence.grants.map { (text) throws(HoldfastError) in try Self.decoded(text, name) },
            trusted: trusted, name: name)
        let slot = Self.slot(file.signature.slot)
        let member = slot.flatMap { roster.members[$0] }
        signer = member?.label ?? ""
        isSignerRevoked = member?.isRevoked ?? false
        try checkSignature(file, bytes, roster, slot)
        let gathered = try gather(file, roster)
        try compare(file.report, gathered, roster)
        checkAnchors(anchors, file, roster)
    }

    private static func decoded(_ text: String, _ name: String) throws(HoldfastError) -> [UInt8] {
        guard let data = Data(base64Encoded: text) else {
            throw HoldfastError(
                .corruptObject, "\(name) holds a text that is not base 64",
                hint: "Take the file as it was written; it was changed since.")
        }
        return Array(data)
    }

    private static func slot(_ text: String) -> SlotID? {
        guard let bytes = Hex.decode(text), bytes.count == 16 else { return nil }
        return SlotID(Bytes16(bytes.span.bytes))
    }

    private mutating func checkSignature(
        _ file: ReportFile, _ bytes: [UInt8], _ roster: EvidenceRoster, _ slot: SlotID?
    ) throws(HoldfastError) {
        let suffix = try file.canonicalSuffix()
        let head = bytes.count - suffix.count
        let digest = try file.signedDigest()
        let isCanonical =
            head > 0 && bytes[head...].elementsEqual(suffix)
            && SHA256.digest(bytes.span.bytes.extracting(..<head)) == digest
        if !isCanonical { problems.append("the file is not in the form in which it was written") }
        guard let slot, let value = Hex.decode(file.signature.value), roster.holds(value, by: slot, over: digest) else {
            problems.append("the signature over the whole file is not that of a key that the admin granted")
            return
        }
    }

    /// Opens all links and takes them as the repository's were taken.
    private mutating func gather(
        _ file: ReportFile, _ roster: EvidenceRoster
    ) throws(HoldfastError) -> ReportGatherer? {
        guard let from = Timestamp(text: file.report.from), let to = Timestamp(text: file.report.to) else {
            problems.append("its period cannot be read")
            return nil
        }
        var gatherer = ReportGatherer(try ReportPeriod(from: from, to: to))
        var lastSlot = ""
        for chain in file.evidence.chains {
            if chain.slot <= lastSlot { problems.append("its chains are out of order at \(chain.slot)") }
            lastSlot = chain.slot
            var last: UInt32 = 0
            for link in chain.links {
                let place = "evidence/\(chain.slot)/\(link.number)"
                if link.number <= last { problems.append("\(place) is out of order") }
                last = link.number
                do throws(HoldfastError) {
                    gatherer.add(try Self.open(link, chain.slot, roster, place))
                    links += 1
                    if link.seed != nil { records += 1 }
                } catch {
                    problems.append("\(place) does not hold: \(error.message)")
                }
            }
        }
        gatherer.close()
        return gatherer
    }

    private static func open(
        _ link: ReportFile.Link, _ slot: String, _ roster: EvidenceRoster, _ place: String
    ) throws(HoldfastError) -> ReportLink {
        let parsed = try roster.open(try decoded(link.object, place), name: place)
        guard parsed.object.slot.description == slot, parsed.object.number == link.number else {
            throw HoldfastError(
                .corruptObject, "it is not the link that its place says", hint: "It was put there from elsewhere.")
        }
        var record: EvidenceRecord?
        if let text = link.seed {
            guard let bytes = Hex.decode(text), bytes.count == 32 else {
                throw HoldfastError(.corruptObject, "its seed is none", hint: "The file was changed.")
            }
            record = try parsed.record(seed: SecretBytes(Bytes32(bytes.span.bytes)), name: place)
        }
        return ReportLink(parsed.object, digest: parsed.digest, record: record)
    }

    /// Makes the report again and holds the one in the file to it, part by part.
    private mutating func compare(
        _ report: Report, _ gatherer: ReportGatherer?, _ roster: EvidenceRoster
    ) throws(HoldfastError) {
        guard let gatherer else { return }
        guard let framework = Framework(rawValue: report.framework) else {
            problems.append("this version knows no framework \(report.framework)")
            return
        }
        for problem in gatherer.chainProblems { problems.append(problem) }
        let again = try gatherer.report(framework, repository: roster.repository, adminKey: roster.adminKey)
        guard again != report else { return }
        var differing: [String] = []
        func compare<Part: Equatable>(_ name: String, _ path: KeyPath<Report, Part>) {
            if again[keyPath: path] != report[keyPath: path] { differing.append(name) }
        }
        compare("framework", \.frameworkName)
        compare("repository", \.repository)
        compare("admin key", \.adminKey)
        compare("period", \.from)
        compare("period", \.to)
        compare("chains", \.chains)
        compare("coverage", \.coverage)
        compare("totals", \.totals)
        compare("jobs", \.jobs)
        compare("sources", \.sources)
        compare("tests", \.drills)
        compare("exceptions", \.exceptions)
        compare("isolation", \.isolation)
        compare("rotation", \.rotation)
        compare("audit heads", \.auditHeads)
        compare("copies", \.copies)
        compare("trends", \.trends)
        compare("findings", \.findings)
        compare("controls", \.controls)
        problems.append("the report is not what its records come to, in: \(differing.joined(separator: ", "))")
    }

    private mutating func checkAnchors(_ anchors: [EvidenceAnchor], _ file: ReportFile, _ roster: EvidenceRoster) {
        for anchor in anchors {
            let place = "\(anchor.slot)/\(anchor.number)"
            guard let chain = file.evidence.chains.first(where: { $0.slot == anchor.slot }) else {
                problems.append("the file has no chain of the slot of the anchor \(place)")
                continue
            }
            if let link = chain.links.first(where: { $0.number == anchor.number }) {
                let bytes = Data(base64Encoded: link.object).map { Array($0) } ?? []
                if Hex.encode(SHA256.digest(bytes.span.bytes).array) == anchor.sha256 {
                    anchored.append(anchor)
                } else {
                    problems.append("the link \(place) is another one than the anchor says")
                }
            } else if let last = chain.links.map(\.number).max(), last < anchor.number {
                problems.append(
                    "the file ends at link \(last) and the anchor is link \(anchor.number): its end was cut off, "
                        + "or it was "
                        + "made before the anchor was")
            } else {
                problems.append("the file does not reach back to the anchor \(place), and says nothing of it")
            }
        }
    }
}
