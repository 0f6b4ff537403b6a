// The zones of this machine's database, and their changes.

import Foundation
import Primitives
import Testing

enum Zones {
    /// A zone with the changes of its clocks in some years.
    struct Changing: Sendable {
        var rules: TimeZoneRules
        var changes: [Int64]
    }

    /// One zone of each content, in order of names, that changes its clocks in the years from 2025 up to 2028.
    static let changing: [Changing] = {
        let root = TimeZoneRules.databaseDirectory
        var seen: Set<Data> = []
        var found: [Changing] = []
        let names = (FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []).sorted()
        for name in names where name.first?.isUppercase == true && name.contains("/") {
            guard let data = FileManager.default.contents(atPath: "\(root)/\(name)"),
                data.starts(with: Data("TZif".utf8)),
                seen.insert(data).inserted, let rules = try? TimeZoneRules(named: name)
            else { continue }
            let changes = changes(
                rules, from: Timestamp.days(2025, 1, 1) * 86_400, to: Timestamp.days(2028, 1, 1) * 86_400)
            if !changes.isEmpty { found.append(Changing(rules: rules, changes: changes)) }
        }
        return found
    }()

    static func changes(_ rules: TimeZoneRules, from: Int64, to: Int64) -> [Int64] {
        var (changes, place): ([Int64], Int64) = ([], from)
        while let end = rules.segment(at: place).end, end < to {
            if rules.segment(at: place).offset != rules.segment(at: end).offset { changes.append(end) }
            place = end
        }
        return changes
    }
}
