// Evidence: links as stored, their records, and the files that carry both.

import Primitives
import Repository
import Sealing

extension Fuzzer {
    /// The clear part of a link and its envelope; the record behind the seal is a target of its own.
    func evidence(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let parsed = try EvidenceObject.parse(try keys.frame(body), name: "evidence")
        _ = try? parsed.record(with: [keys.agreement], name: "evidence")
        // Header, length, clear part, sealed part: nothing may be left out.
        return 20 + parsed.clear.count + parsed.sealed.count == body.count ? .accepted : .wrong("a link lost bytes")
    }

    func evidenceRecord(_ plain: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(plain) { (bytes) throws(HoldfastError) in
            try EvidenceRecord(bytes, name: "record")
        } _: { (record) throws(HoldfastError) in
            _ = record.memberSkew
            return record.encoded
        }
    }

    /// A draft or a proof without its digest.
    func evidenceFile(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let bytes = body + SHA256.digest(body.span.bytes).array
        return try turn(bytes) { (bytes) throws(HoldfastError) in
            try EvidenceFile(bytes, name: "file")
        } _: { (file) throws(HoldfastError) in
            switch file {
            case .draft(let draft): return try draft.encoded()
            case .proof(let proof):
                _ = try? proof.verify(trusted: nil, name: "file")
                return proof.encoded
            }
        }
    }
}
