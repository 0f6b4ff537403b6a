// Signed frames and what they hold. The fuzzer signs each body, so that every input reaches the decoder.

import Primitives
import Repository
import Sealing
import TestSupport

extension Fuzzer {
    /// The frame alone, whose digest is whatever the input says.
    func frame(_ bytes: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let (body, signature) = try SignedFrame.open(bytes, name: "frame")
        return body.count + signature.count + 32 == bytes.count ? .accepted : .wrong("a frame lost bytes")
    }

    func format(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try FormatObject(bytes, name: "format", trusted: keys.signer.publicKey)
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    func epoch(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try EpochObject(bytes, name: "epoch", adminKey: keys.signer.publicKey)
        } _: { (object) throws(HoldfastError) in
            try object.encoded(admin: keys.signer)
        }
    }

    /// The slot's own key signs it and its id is made of its keys: the fuzzer's signing key is written into the body.
    func slot(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var body = body
        let signing = body.count - 112 - 32
        patch(&body, signing, keys.signer.publicKey.array)
        if signing >= 32 {
            let sealing = Bytes32(body.span.bytes, at: signing - 32)
            patch(&body, 32, SlotObject.id(sealing: sealing, signing: keys.signer.publicKey).bytes.array)
        }
        return try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            let slot = try SlotObject(bytes, name: "slot")
            // A raw key costs nothing to try; scrypt would take all the time there is.
            if slot.derivation == .rawKey { _ = try slot.open(with: keys.secret) }
            return slot
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    func grant(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var body = body
        if body.count >= 112 {
            let sealing = Bytes32(body.span.bytes, at: 48)
            let signing = Bytes32(body.span.bytes, at: 80)
            patch(&body, 32, SlotObject.id(sealing: sealing, signing: signing).bytes.array)
        }
        let grant = try GrantObject(
            try keys.frame(body), name: "grant", adminKey: keys.signer.publicKey)
        _ = try? grant.keys(keys.agreement, name: "grant")
        return grant.sources.count <= GrantObject.maximumSources ? .accepted : .wrong("sources are over their limit")
    }

    func grantedKeys(_ plain: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let found = try GrantObject.readKeys(SecretBytes(copying: plain.span.bytes), name: "grant")
        return found.values.allSatisfy { $0.count == 32 } ? .accepted : .wrong("a key is not of 32 bytes")
    }

    func lease(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try LeaseObject(bytes, name: "lease")
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    func collection(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try CollectionObject(bytes, name: "collection")
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    func tombstone(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try TombstoneObject(bytes, name: "tombstone")
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    func hold(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(try keys.frame(body)) { (bytes) throws(HoldfastError) in
            try HoldObject(bytes, name: "hold")
        } _: { (object) throws(HoldfastError) in
            try object.encoded(signer: keys.signer)
        }
    }

    /// The clear part of a snapshot and its envelope; the record behind the seal is a target of its own.
    func snapshot(_ body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let parsed = try SnapshotObject.parse(try keys.frame(body), name: "snapshot")
        _ = try? parsed.record(with: [keys.agreement], name: "snapshot")
        _ = parsed.object.id.time
        // Header, length, clear part, sealed part: nothing may be left out.
        return 20 + parsed.clear.count + parsed.sealed.count == body.count ? .accepted : .wrong("a snapshot lost bytes")
    }

    /// Maps may come unsorted from other writers, and fields may grow at their ends, so that one turn may normalise.
    func record(_ plain: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(plain, isCanonical: false) { (bytes) throws(HoldfastError) in
            try SnapshotRecord(bytes, name: "record")
        } _: { (record) throws(HoldfastError) in
            record.encoded
        }
    }
}
