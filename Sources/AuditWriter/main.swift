// Appends to an audit log until it is killed. Tests start it; it ships with nothing.

import Foundation
import Glibc
import Primitives
import State

/// Appends groups of records: `begin NUMBER` before, `done SEQUENCE COUNT` after each.
///
/// Arguments: the state's directory, the writer's name, how many groups (0 for no end), the size of segments.
func run(_ arguments: [String]) throws(HoldfastError) {
    guard arguments.count == 4, let groups = Int(arguments[2]), let size = UInt64(arguments[3]) else {
        throw HoldfastError(.usage, "AuditWriter STATE NAME GROUPS SEGMENT", hint: "A test calls it.")
    }
    let log = AuditLog(
        state: arguments[0], actor: AuditActor(user: arguments[1], uid: 1000, host: "test"), clock: SystemClock(),
        entropy: SystemEntropy(), patience: .seconds(120), segmentSize: ByteCount(size),
        // In pieces, with time in between, so that a kill in the middle of a record is no rarity.
        write: { number, bytes, count in
            if groups == 0 { SystemClock().sleep(for: .milliseconds(1), unless: Cancellation()) }
            return Glibc.write(number, bytes, groups == 0 ? min(count, 1000) : count)
        })
    FileHandle.standardOutput.write(Data("\n".utf8))
    var group = 0
    while groups == 0 || group < groups {
        group += 1
        // Those that are killed do not get far.
        let count = group % (groups == 0 ? 2 : 7) == 0 ? 64 : 1
        let entries = (0..<count).map {
            AuditEntry(.read, vault: "embedded:/vault", secret: "secret/\(group)/\($0)", version: "\(group)")
        }
        let first = try log.append(entries)
        FileHandle.standardOutput.write(Data("done \(first) \(count)\n".utf8))
    }
}

do throws(HoldfastError) {
    try run(Array(CommandLine.arguments.dropFirst()))
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
