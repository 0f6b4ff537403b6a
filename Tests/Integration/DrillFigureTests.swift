// What drills say of the future and of the past: estimates of full size, and points that were found damaged.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("Drills of several sizes", .waiting)
struct DrillFigureTests {
    private func facts(_ record: [String: Any]?) throws -> [String: String] {
        let member = try #require((record?["members"] as? [[String: Any]])?.first)
        return try #require(member["facts"] as? [String: String])
    }

    @Test("estimate a recovery of full size from three on, with an interval, and call it measured only when it was")
    func estimates() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        func grow(to bytes: Int) throws {
            try drill.run.randomFile("source/data", bytes, seed: UInt64(bytes))
            try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        }
        try grow(to: 1_000_000)
        let full = try facts(try drill("web").records.first)
        #expect(full["estimate.basis"] == "measured" && full["estimate.low90.seconds"] == nil, "\(full)")
        try grow(to: 3_000_000)
        // The first snapshot again says nothing new, and one size is not enough.
        let (few, records) = try drill("web", "--point", "oldest")
        let none = try facts(records.first)
        #expect(few.status == 0 && none["estimate.confidence"] == "insufficient", "\(none)")
        #expect(none["estimate.seconds"] == nil && none["estimate.basis"] == "extrapolated")
        #expect(try drill("web").result.status == 0)
        try grow(to: 6_000_000)
        #expect(try drill("web").result.status == 0)
        try grow(to: 66_000_000)
        let text = try drill.run("drill", "web", "--point", "oldest", "--scratch", drill.scratch)
        let line = try #require(text.output.split(separator: "\n").first { $0.hasPrefix("estimate  web") })
        #expect(line.contains("extrapolated from 5 drills, nine of ten within"), "\(line)")
        #expect(
            line.contains("at 62.9 MiB") && line.contains("confidence low") && !line.contains("measured"), "\(line)")
        let shown = try drill.run("evidence", "show", "latest", "--json").json()
        let kept = try facts(shown)
        #expect(kept["estimate.basis"] == "extrapolated" && kept["estimate.samples"] == "5", "\(kept)")
        let scale = try #require(kept["estimate.scale"].flatMap { Double($0) })
        #expect(scale > 10 && scale < 20)
        let numbers = ["estimate.low90.seconds", "estimate.seconds", "estimate.high90.seconds"].compactMap {
            kept[$0].flatMap { Double($0) }
        }
        #expect(numbers.count == 3 && numbers == numbers.sorted(), "\(numbers)")
        // The whole of it, once, is measured.
        let whole = try facts(try drill("web").records.first)
        #expect(whole["estimate.basis"] == "measured" && whole["estimate.high90.seconds"] == nil, "\(whole)")
        // A drill that proves nothing estimates nothing.
        let broken = try facts(try drill("web", "--sabotage", "page").records.first)
        #expect(broken["estimate.basis"] == nil)
    }

    @Test("a point that a drill found damaged counts until then, in that copy, and again when one recovered it")
    func damaged() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/data", 8_000_000, seed: 3)
        _ = try drill.run.file(
            "holdfast.yaml",
            """
            repositories: {main: {location: repository, mirrors: [second], offsite: [second]}}
            sources: {web: {url: 'dir:source', rpo: 1d}}
            drills: {d: {systems: {web: {checks: {no: {command: ['false']}}}}}}

            """)
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        try #require(try drill.run("mirror", "--to", "second").status == 0)
        func rpo() throws -> (any: Double?, local: Double?, offsite: Double?, found: Int?, kept: Bool?) {
            let result = try drill.run.start(["rpo", "web", "--json"], naming: false).finish()
            let report = try result.json()
            let views = try #require(report["views"] as? [[String: Any]])
            func end(_ copies: String) -> Double? {
                views.first { $0["copies"] as? String == copies && $0["onlyVerified"] as? Bool == false }?[
                    "atEndSeconds"]
                    as? Double
            }
            return (
                end("any"), end("local"), end("offsite"), report["foundDamaged"] as? Int, report["isKept"] as? Bool
            )
        }
        // A check of the plan that fails says nothing of the point.
        #expect(try drill("d").result.status == 4)
        #expect(try rpo().found == 0)
        // One that was broken on purpose neither.
        #expect(try drill("web", "--sabotage", "page").result.status == 4)
        #expect(try rpo().found == 0)

        var whole: [String: Data] = [:]
        let files = try #require(FileManager.default.enumerator(atPath: drill.run.repository + "/packs"))
        for case let name as String in files {
            let path = drill.run.repository + "/packs/" + name
            guard let data = FileManager.default.contents(atPath: path), data.count > 1 << 20 else { continue }
            whole[path] = data
            var bad = data
            bad[data.count / 2] ^= 1
            chmod(path, 0o600)
            try bad.write(to: URL(fileURLWithPath: path))
        }
        let (result, records) = try drill("web")
        #expect(result.status == 4)
        #expect(try facts(records.first)["damage"] == "copy")
        let after = try rpo()
        #expect(after.local == nil && after.offsite != nil && after.any != nil, "\(after)")
        #expect(after.found == 1 && after.kept == true)
        let text = try drill.run.start(["rpo", "web"], naming: false).finish()
        #expect(text.errors.contains("1 points were found damaged by a drill"), "\(text.errors)")

        for (path, data) in whole { try data.write(to: URL(fileURLWithPath: path)) }
        #expect(try rpo().local == nil, "nobody has shown that it is whole again")
        #expect(try drill("web").result.status == 0)
        let again = try rpo()
        #expect(again.local != nil && again.found == 0, "\(again)")
    }
}
