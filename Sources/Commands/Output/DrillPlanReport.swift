// A plan of a drill as `config check` shows it.

import Configuring
import Primitives

extension ConfigCheckReport {
    /// A plan with what the sources add.
    struct Plan: Encodable {
        let name: String
        let repository: String?
        let systems: [System]
        let checks: [String]
        let directory: String?
        let disk, memory: UInt64?
        let time, rpo, rto, detect, decide, cutover, approver: String?

        struct System: Encodable {
            let name, source, point: String
            let after, checks: [String]
            let rpo, rto: String?
        }

        init(_ drill: ConfiguredDrill) {
            name = drill.name
            repository = drill.repository
            systems = drill.systems.map { system in
                System(
                    name: system.name, source: system.source, point: system.point, after: system.after,
                    checks: system.checks.map(\.name), rpo: system.rpo?.lengthOfTime, rto: system.rto?.lengthOfTime)
            }
            checks = drill.checks.map(\.name)
            directory = drill.directory
            disk = drill.disk?.bytes
            memory = drill.memory?.bytes
            time = drill.time?.lengthOfTime
            rpo = drill.rpo?.lengthOfTime
            rto = drill.rto?.lengthOfTime
            detect = drill.detect?.lengthOfTime
            decide = drill.decide?.lengthOfTime
            cutover = drill.cutover?.lengthOfTime
            approver = drill.approver
        }

        /// The same for people.
        var lines: [String] {
            var lines = ["drill \(name)"]
            for system in systems {
                let after = system.after.isEmpty ? "" : " after \(system.after.joined(separator: " "))"
                let own = system.checks.isEmpty ? "" : ", checks \(system.checks.joined(separator: " "))"
                lines.append("  system       \(system.name): \(system.source), \(system.point)\(after)\(own)")
            }
            let values: [(String, String?)] = [
                ("checks", checks.isEmpty ? nil : checks.joined(separator: " ")), ("directory", directory),
                ("disk", disk.map { "\(ByteCount($0))" }), ("memory", memory.map { "\(ByteCount($0))" }),
                ("time", time), ("rpo", rpo), ("rto", rto), ("detect", detect), ("decide", decide),
                ("cutover", cutover), ("approver", approver),
            ]
            for (name, value) in values {
                guard let value else { continue }
                lines.append(
                    "  \(name)\(String(repeating: " ", count: max(1, 13 - name.count)))\(ShownText.line(value))")
            }
            return lines
        }
    }
}
