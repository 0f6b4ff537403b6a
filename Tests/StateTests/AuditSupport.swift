// What the tests of the audit log share.

import Foundation
import Glibc
import Primitives
import State
import TestSupport
import Testing

/// A state with an audit log.
struct AuditStage {
    let directory = TemporaryDirectory()
    let clock = HandClock()
    var state: String { directory.path + "/state" }
    var audit: String { state + "/audit" }

    func log(
        _ user: String = "ann", segment: UInt64 = 16 << 20, patience: Duration = .seconds(10),
        sync: @escaping @Sendable (Int32) -> Int32 = { fsync($0) },
        remark: @escaping @Sendable (String) -> Void = { _ in }
    ) -> AuditLog {
        AuditLog(
            state: state, actor: AuditActor(user: user, uid: 1000, host: "here", run: "nightly@2026"), clock: clock,
            entropy: SystemEntropy(), patience: patience, segmentSize: ByteCount(segment), sync: sync, remark: remark)
    }

    func entry(_ number: Int) -> AuditEntry {
        AuditEntry(.read, vault: "embedded:/vault", secret: "app/\(number)", version: "1", reason: "ticket \(number)")
    }

    /// Appends records, each by itself.
    func fill(_ count: Int, segment: UInt64 = 16 << 20) throws {
        let log = log(segment: segment)
        for number in 0..<count { _ = try log.append([entry(number)]) }
    }

    func segments() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: audit).filter { $0.hasSuffix(".audit") }.sorted()
    }

    /// The lines of the one segment.
    func lines() throws -> [String] {
        let name = try #require(try segments().first)
        let text = try String(contentsOfFile: audit + "/" + name, encoding: .utf8)
        return text.split(separator: "\n").map(String.init)
    }

    func write(_ lines: [String], end: String = "\n") throws {
        let name = try #require(try segments().first)
        try (lines.joined(separator: "\n") + end).write(
            toFile: audit + "/" + name, atomically: false, encoding: .utf8)
    }

    func verify(_ heads: [AuditHead] = []) throws -> AuditVerdict {
        try AuditVerifier.verify(AuditReader(state: state, clock: clock), against: heads)
    }

    /// `kind sequence` of each problem.
    func problems(_ heads: [AuditHead] = []) throws -> [String] {
        try verify(heads).problems.map { "\($0.kind.rawValue) \($0.sequence.map { "\($0)" } ?? "-")" }
    }
}

/// The failure of `body`.
func auditFailure(_ body: () throws -> Void) -> HoldfastError? {
    do {
        try body()
        return nil
    } catch {
        return error as? HoldfastError
    }
}

/// `line` with other values of some fields, and with the digest that fits them.
func forged(_ line: String, _ changes: [String: Any]) throws -> String {
    var object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    for (key, value) in changes { object[key] = value }
    object["sha256"] = nil
    func canonical() throws -> String {
        let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data, as: UTF8.self)
    }
    // The digest is computed here by other means than the log's.
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(canonical().utf8))
    try input.fileHandleForWriting.close()
    let digest = String(decoding: output.fileHandleForReading.readDataToEndOfFile().prefix(64), as: UTF8.self)
    process.waitUntilExit()
    object["sha256"] = digest
    return try canonical()
}

func field(_ name: String, of line: String) throws -> String {
    let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    return try #require(object[name] as? String)
}
