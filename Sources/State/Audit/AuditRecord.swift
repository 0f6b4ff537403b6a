// What the audit log says of an access to a secret value, and the one line that says it.

import FoundationEssentials
import Primitives
import Sealing

/// What was done. The vocabulary is open: a word that is not listed here may be read.
package struct AuditAction: RawRepresentable, Sendable, Hashable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }

    /// A program read a value, as a backup does.
    package static let read = AuditAction(rawValue: "value.read")
    /// A value was shown to a person.
    package static let revealed = AuditAction(rawValue: "value.revealed")
    /// A value of a vault was held against one of a snapshot, for which both were opened.
    package static let compared = AuditAction(rawValue: "value.compared")
    /// A value went from a snapshot into a vault.
    package static let restored = AuditAction(rawValue: "value.restored")
    /// A vault was changed: a version put, a state, a removal, a password.
    package static let changed = AuditAction(rawValue: "vault.changed")
    /// The log itself: a record that was not finished was set aside.
    package static let recovered = AuditAction(rawValue: "log.recovered")
}

/// How an access ended, or that it may begin.
package enum AuditOutcome: String, Sendable, Hashable, CaseIterable {
    /// Written before the access: it may begin.
    case allowed
    /// It was refused for want of a right.
    case denied
    /// It failed otherwise.
    case failed
}

/// Who asks.
package struct AuditActor: Sendable, Hashable {
    package var user: String
    package var uid: UInt32
    package var host: String
    /// The key of the job's run; nil for what was typed.
    package var run: String?

    package init(user: String, uid: UInt32, host: String, run: String? = nil) {
        self.user = user
        self.uid = uid
        self.host = host
        self.run = run
    }
}

/// One access, as whoever is about to make it tells the log. It never holds a value.
package struct AuditEntry: Sendable, Hashable {
    package var action: AuditAction
    /// Where the vault is, without credentials.
    package var vault: String
    package var secret: String?
    package var version: String?
    package var reason: String?
    package var outcome: AuditOutcome
    /// Why it did not succeed.
    package var code: String?
    /// The number of the record that this one tells the end of.
    package var about: UInt64?

    package init(
        _ action: AuditAction, vault: String, secret: String? = nil, version: String? = nil, reason: String? = nil,
        outcome: AuditOutcome = .allowed, code: String? = nil, about: UInt64? = nil
    ) {
        self.action = action
        self.vault = vault
        self.secret = secret
        self.version = version
        self.reason = reason
        self.outcome = outcome
        self.code = code
        self.about = about
    }
}

/// One link of the chain.
package struct AuditRecord: Sendable, Hashable {
    /// The log that it is of; drawn at random when the log is made.
    package var log: Bytes16
    /// Counts from one.
    package var sequence: UInt64
    package var time: Timestamp
    package var actor: AuditActor
    package var entry: AuditEntry
    /// The digest of the record before; zeros for the first.
    package var previous: Bytes32

    package init(
        log: Bytes16, sequence: UInt64, time: Timestamp, actor: AuditActor, entry: AuditEntry, previous: Bytes32
    ) {
        self.log = log
        self.sequence = sequence
        self.time = time
        self.actor = actor
        self.entry = entry
        self.previous = previous
    }

    /// A line is no longer, its end included.
    package static let maximumLine = 1 << 16
    static let format = 1

    /// SHA-256 of the canonical text without its `sha256`.
    package var digest: Bytes32 {
        let text = text(sha256: nil)
        return SHA256.digest(text.span.bytes)
    }

    /// The line with its end, and the digest in it.
    package var line: (bytes: [UInt8], digest: Bytes32) {
        let digest = digest
        return (text(sha256: digest) + [UInt8(ascii: "\n")], digest)
    }

    /// The canonical form of RFC 8785: names in order, no spaces, the fewest escapes. All numbers are integers.
    private func text(sha256: Bytes32?) -> [UInt8] {
        var writer = CanonicalObject()
        if let about = entry.about { writer.add("about", number: about) }
        writer.add("action", entry.action.rawValue)
        writer.add("actor") { inner in
            inner.add("host", actor.host)
            if let run = actor.run { inner.add("run", run) }
            inner.add("uid", number: UInt64(actor.uid))
            inner.add("user", actor.user)
        }
        if let code = entry.code { writer.add("code", code) }
        writer.add("format", number: UInt64(Self.format))
        writer.add("log", Hex.encode(log.array))
        writer.add("outcome", entry.outcome.rawValue)
        writer.add("previous", Hex.encode(previous.array))
        if let reason = entry.reason { writer.add("reason", reason) }
        if let secret = entry.secret { writer.add("secret", secret) }
        writer.add("sequence", number: sequence)
        if let sha256 { writer.add("sha256", Hex.encode(sha256.array)) }
        writer.add("time", Self.text(of: time))
        writer.add("vault", entry.vault)
        if let version = entry.version { writer.add("version", version) }
        return writer.finished
    }

    /// RFC 3339 with nanoseconds.
    package static func text(of time: Timestamp) -> String {
        let digits = "\(time.nanoseconds - time.seconds &* 1_000_000_000)"
        let fraction = String(repeating: "0", count: max(0, 9 - digits.utf8.count)) + digits
        return time.description.dropLast() + ".\(fraction)Z"
    }
}

/// What a line of the log turns out to be.
package enum AuditLineContent: Sendable, Hashable {
    case record(AuditRecord, digest: Bytes32)
    /// It is no record, or another than the digest in it is of; with the number that it claims.
    case damaged(String, sequence: UInt64?)
    /// A later version of the format.
    case newer(Int)

    private struct Actor: Decodable {
        var host, user: String
        var run: String?
        var uid: UInt32
    }

    private struct Wire: Decodable {
        var about: UInt64?
        var action: String
        var actor: Actor
        var code: String?
        var log, outcome, previous: String
        var reason, secret: String?
        var sequence: UInt64
        var sha256, time, vault: String
        var version: String?
    }

    private struct Version: Decodable {
        var format: Int
        var sequence: UInt64?
    }

    /// - Parameter line: Without its end.
    package init(_ line: [UInt8]) {
        let decoder = JSONDecoder()
        let data = Data(line)
        guard line.count < AuditRecord.maximumLine, let version = try? decoder.decode(Version.self, from: data) else {
            self = .damaged("it is no record", sequence: nil)
            return
        }
        guard version.format <= AuditRecord.format else {
            self = .newer(version.format)
            return
        }
        guard let wire = try? decoder.decode(Wire.self, from: data), let outcome = AuditOutcome(rawValue: wire.outcome),
            let log = Hex.decode(wire.log), log.count == 16, let previous = Hex.decode(wire.previous),
            previous.count == 32, let time = Timestamp(text: wire.time)
        else {
            self = .damaged("a field is missing or makes no sense", sequence: version.sequence)
            return
        }
        var entry = AuditEntry(
            AuditAction(rawValue: wire.action), vault: wire.vault, secret: wire.secret, version: wire.version)
        entry.reason = wire.reason
        entry.outcome = outcome
        entry.code = wire.code
        entry.about = wire.about
        let actor = AuditActor(user: wire.actor.user, uid: wire.actor.uid, host: wire.actor.host, run: wire.actor.run)
        let record = AuditRecord(
            log: Bytes16(log.span.bytes), sequence: wire.sequence, time: time, actor: actor, entry: entry,
            previous: Bytes32(previous.span.bytes))
        // Made anew and compared, so that no byte of the line is outside of what its digest tells.
        let (again, digest) = record.line
        guard Hex.encode(digest.array) == wire.sha256 else {
            self = .damaged("its SHA-256 is that of another record", sequence: wire.sequence)
            return
        }
        guard again.dropLast().elementsEqual(line) else {
            self = .damaged("it is not in the canonical form", sequence: wire.sequence)
            return
        }
        self = .record(record, digest: digest)
    }
}

/// Writes one object of RFC 8785; names are added in their order.
private struct CanonicalObject {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    var finished: [UInt8] { bytes + [UInt8(ascii: "}")] }

    private mutating func name(_ name: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        string(name)
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func add(_ name: String, _ text: String) {
        self.name(name)
        string(text)
    }

    mutating func add(_ name: String, number: UInt64) {
        self.name(name)
        bytes += "\(number)".utf8
    }

    mutating func add(_ name: String, _ body: (inout CanonicalObject) -> Void) {
        self.name(name)
        var inner = CanonicalObject()
        body(&inner)
        bytes += inner.finished
    }

    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 8: bytes += "\\b".utf8
            case 9: bytes += "\\t".utf8
            case 10: bytes += "\\n".utf8
            case 12: bytes += "\\f".utf8
            case 13: bytes += "\\r".utf8
            case 0..<32: bytes += "\\u00\(Hex.encode([byte]))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
