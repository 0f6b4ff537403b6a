// Snapshots that the store must show, for a client that has not seen it before.

import ArgumentParser
import Primitives
import Repository

/// `--expect-head`.
struct ExpectedHeads: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A snapshot that must be there, from a report or another client; may be given again.",
            discussion:
                "A client that never saw the newest snapshot cannot miss it. `snapshots --json` and `check --json` "
                + "print the heads to note.",
            valueName: "source=id"))
    var expectHead: [ExpectedHead] = []

    /// - Throws: `.rollbackDetected` when the store does not show one of them.
    func verify(in repository: Repository) throws(HoldfastError) {
        if expectHead.isEmpty { return }
        let listing = try repository.snapshots()
        for expected in expectHead {
            let own = listing.snapshots.filter {
                $0.record?.source == expected.source || $0.tag.description == expected.source
            }
            if own.contains(where: { $0.id.description.hasPrefix(expected.id) }) { continue }
            let newest = own.max { ($0.sequence, $0.id) < ($1.sequence, $1.id) }
            let shown = newest.map { "the newest is \($0.id), number \($0.sequence)" } ?? "it shows none of it"
            throw HoldfastError(
                .rollbackDetected,
                "the store does not show snapshot \(expected.id) of \(ShownText.name(expected.source)); \(shown)",
                hint: "It was put back, hides something, or the snapshot was forgotten since; leave --expect-head out "
                    + "to go on with what is there.")
        }
    }
}

/// `SOURCE=ID`; the source's name, which may hold `=`, or its tag.
struct ExpectedHead: ExpressibleByArgument, Hashable, Sendable {
    let source: String
    let id: String

    init?(argument: String) {
        guard let sign = argument.lastIndex(of: "="), sign != argument.startIndex else { return nil }
        source = String(argument[..<sign])
        id = argument[argument.index(after: sign)...].lowercased()
        guard id.utf8.count >= 4, id.utf8.count <= 26, id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
        else { return nil }
    }
}

/// The newest snapshot of a source, as it is noted in a report.
struct HeadSummary: Encodable {
    let source: String?
    let sourceTag: String
    let id: String
    let sequence: UInt64
    let digest: String

    /// Of all sources, in order of their names.
    static func all(_ listing: SnapshotListing) -> [HeadSummary] {
        Set(listing.snapshots.map(\.tag)).compactMap { listing.latest(of: $0) }.map { head in
            HeadSummary(
                source: head.record?.source, sourceTag: head.tag.description, id: head.id.description,
                sequence: head.sequence, digest: Hex.encode(head.digest.array))
        }.sorted { ($0.source ?? "", $0.sourceTag) < ($1.source ?? "", $1.sourceTag) }
    }
}
