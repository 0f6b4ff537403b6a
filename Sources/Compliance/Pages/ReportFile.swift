// A report with the signed records that it was made from, as one JSON file that can be checked without the repository.
//
// {"evidence":…,"origin":…,"report":…,"schema":…,"signature":…} in the canonical form. The signature is over all before
// it, so that nothing in the file can be changed without the key of whoever made it; and what it says of the evidence
// follows from records that others signed.

import FoundationEssentials
import Primitives
import Repository
import Sealing

/// Where a file goes, piece by piece.
package protocol ReportSink {
    /// - Throws: what the place throws.
    mutating func write(_ bytes: [UInt8]) throws(HoldfastError)
}

/// A file in memory, for small reports and for tests.
package struct MemorySink: ReportSink {
    package var bytes: [UInt8] = []
    package init() {}
    package mutating func write(_ bytes: [UInt8]) throws(HoldfastError) { self.bytes += bytes }
}

/// Nothing but the digest of what is written.
struct DigestSink: ReportSink {
    mutating func write(_ bytes: [UInt8]) throws(HoldfastError) {}
}

/// The parts of a file as they are decoded.
package struct ReportFile: Decodable, Sendable {
    package static let schema = "holdfast.report/1"

    package struct Evidence: Codable, Sendable {
        package var chains: [Chain]
        /// Base 64 of the format object, which has the admin key.
        package var format: String
        /// Base 64 of the grants of everybody, as the admin signed them.
        package var grants: [String]
    }

    package struct Chain: Codable, Sendable {
        package var links: [Link]
        package var slot: String
    }

    package struct Link: Codable, Sendable {
        package var number: UInt32
        /// Base 64 of the signed object.
        package var object: String
        /// Opens this record and no other; missing for one that stays sealed.
        package var seed: String?
    }

    package struct Signature: Codable, Sendable, Hashable {
        package var slot: String
        package var value: String

        package init(slot: String, value: String) {
            self.slot = slot
            self.value = value
        }
    }

    package var evidence: Evidence
    package var origin: ReportOrigin
    package var report: Report
    package var schema: String
    package var signature: Signature
}

/// Writes the canonical form.
package struct ReportWriter<Sink: ReportSink> {
    package private(set) var sink: Sink
    private let digest = SHA256Stream()
    private var isFirstChain = true
    private var isFirstLink = true

    package init(_ sink: Sink) { self.sink = sink }

    private mutating func put(_ bytes: [UInt8]) throws(HoldfastError) {
        digest.update(bytes.span.bytes)
        try sink.write(bytes)
    }

    private mutating func put(_ text: String) throws(HoldfastError) { try put(Array(text.utf8)) }

    package mutating func begin() throws(HoldfastError) { try put("{\"evidence\":{\"chains\":[") }

    package mutating func chain(_ slot: String) throws(HoldfastError) {
        try put(isFirstChain ? "{\"links\":[" : ",{\"links\":[")
        (isFirstChain, isFirstLink) = (false, true)
    }

    package mutating func link(_ link: ReportFile.Link) throws(HoldfastError) {
        let bytes = try CanonicalJSON.encode(link)
        try put(isFirstLink ? bytes : [UInt8(ascii: ",")] + bytes)
        isFirstLink = false
    }

    package mutating func endChain(_ slot: String) throws(HoldfastError) {
        try put("],\"slot\":" + String(decoding: try CanonicalJSON.encode(slot), as: UTF8.self) + "}")
    }

    /// Ends the evidence and writes the rest up to the signature.
    ///
    /// - Returns: the digest that is to be signed.
    package mutating func finish(
        format: String, grants: [String], origin: ReportOrigin, report: [UInt8], schema: String
    ) throws(HoldfastError) -> Bytes32 {
        try put("],\"format\":\"\(format)\",\"grants\":")
        try put(try CanonicalJSON.encode(grants))
        try put("},\"origin\":")
        try put(try CanonicalJSON.encode(origin))
        try put(",\"report\":")
        try put(report)
        try put(",\"schema\":")
        try put(try CanonicalJSON.encode(schema))
        return digest.finish()
    }

    package mutating func sign(_ signature: ReportFile.Signature) throws(HoldfastError) {
        try sink.write(Array(",\"signature\":".utf8) + (try CanonicalJSON.encode(signature)) + Array("}\n".utf8))
    }
}

extension ReportFile {
    /// Writes a report with the links that it needs, one after the other.
    ///
    /// - Throws: what the repository and the sink throw.
    package static func write<Sink: ReportSink>(
        _ document: ReportDocument, needed: [(slot: SlotID, number: UInt32, isUsed: Bool)], of repository: Repository,
        to sink: Sink
    ) throws(HoldfastError) -> Sink {
        var writer = ReportWriter(sink)
        try writer.begin()
        var slot: SlotID?
        for link in needed {
            if link.slot != slot {
                if let slot { try writer.endChain(slot.description) }
                slot = link.slot
                try writer.chain(link.slot.description)
            }
            let disclosed = try repository.disclose(link.slot, link.number, disclosing: link.isUsed)
            try writer.link(
                Link(
                    number: link.number, object: Data(disclosed.bytes).base64EncodedString(),
                    seed: disclosed.seed.map { Hex.encode($0.array) }))
        }
        if let slot { try writer.endChain(slot.description) }
        let keys = try repository.publicKeys()
        let digest = try writer.finish(
            format: Data(keys.format).base64EncodedString(),
            grants: keys.grants.map { Data($0).base64EncodedString() }, origin: document.origin,
            report: document.canonical, schema: schema)
        try writer.sign(
            Signature(slot: repository.keyring.slot.description, value: Hex.encode(try repository.sign(digest))))
        return writer.sink
    }

    /// - Throws: `.corruptObject` for what is no such file.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        do {
            self = try JSONDecoder().decode(ReportFile.self, from: Data(bytes))
        } catch {
            throw HoldfastError(
                .corruptObject, "\(name) is no report of holdfast",
                hint: "Give the file that `holdfast report --format json` wrote, as it was written.", cause: error)
        }
        guard schema == Self.schema else {
            throw HoldfastError(
                .unsupportedFormat, "\(name) has the schema \(schema), and this version knows \(Self.schema)",
                hint: "Upgrade holdfast.")
        }
    }

    /// What was signed, made again from the parts: any other text of the same parts has another digest.
    func signedDigest() throws(HoldfastError) -> Bytes32 {
        var writer = ReportWriter(DigestSink())
        try writer.begin()
        for chain in evidence.chains {
            try writer.chain(chain.slot)
            for link in chain.links { try writer.link(link) }
            try writer.endChain(chain.slot)
        }
        return try writer.finish(
            format: evidence.format, grants: evidence.grants, origin: origin,
            report: try CanonicalJSON.encode(report), schema: schema)
    }

    /// The whole file as it must be.
    func canonicalSuffix() throws(HoldfastError) -> [UInt8] {
        Array(",\"signature\":".utf8) + (try CanonicalJSON.encode(signature)) + Array("}\n".utf8)
    }
}
