// A drill that is killed in any of its phases, and the next one.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

extension DrillRun {
    /// What the journals of drills under way say now.
    var journalText: String {
        let state = run.directory.path + "/.local/state/holdfast/drills"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: state)) ?? []
        return names.filter { $0.hasSuffix(".drill") }.compactMap {
            FileManager.default.contents(atPath: "\(state)/\($0)")
        }
        .map { String(decoding: $0, as: UTF8.self) }.joined()
    }

    /// Ids of processes whose words begin like this.
    static func processes(like words: String) -> [Int] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int($0) }.filter { id in
            String(decoding: FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data(), as: UTF8.self)
                .hasPrefix(words)
        }
    }

    static func parent(of process: Int) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[end...].split(separator: " ")
        return fields.count > 2 ? Int(fields[2]) : nil
    }

    /// Starts a drill, kills it as soon as its journal says `phase`, and has the next one clean up.
    ///
    /// - Returns: What the evidence of the killed one says of it; nil when it was over before.
    func kill(in phase: String, _ words: [String], then next: [String]) throws -> String? {
        let before = try verdicts().count
        let running = try run.start(["drill", "--scratch", scratch] + words)
        while running.process.isRunning, !journalText.contains("\(phase) of ") {}
        running.send(SIGKILL)
        let status = try running.finish().status
        guard status == SIGKILL else {
            #expect(status == 0)
            return nil
        }
        let after = try run.start(["drill", "--scratch", scratch] + next).finish()
        #expect(after.status == 0, "\(after.errors)")
        #expect(leftovers.isEmpty && journals.isEmpty, "\(leftovers) \(journals)")
        let all = try verdicts()
        // Nobody learns of one that was killed after its evidence was left.
        guard all.count == before + 2, let id = all.first(where: { $0.verdict == "interrupted" && !$0.isKnown })?.id
        else { return nil }
        return try run("evidence", "show", id).output
    }

    private func verdicts() throws -> [(id: String, verdict: String, isKnown: Bool)] {
        let list = try #require(try run("evidence", "list", "--json").json()["evidence"] as? [[String: Any]])
        let known = Set(list.dropLast(2).compactMap { $0["id"] as? String })
        return list.map { one in
            let id = one["id"] as? String ?? ""
            return (id, one["verdict"] as? String ?? "", known.contains(id))
        }
    }
}

@Suite("A drill that is killed", .waiting)
struct DrillKillTests {
    /// Ten systems of one source, so that each phase comes often enough to be hit.
    private func prepared() throws -> DrillRun {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        for number in 0..<300 { try drill.run.randomFile("source/\(number)", 3000, seed: UInt64(number)) }
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        let systems = (0..<10).map { "\n      s\($0): {source: web}" }.joined()
        _ = try drill.run.file(
            "holdfast.yaml", "sources: {web: {url: 'dir:source'}}\ndrills:\n  many:\n    systems:\(systems)\n")
        return drill
    }

    @Test("takes the programs of its checks along, and what they started")
    func programs() throws {
        let drill = try DrillRun()
        try drill.run.makeDirectory("source")
        try drill.run.randomFile("source/data", 1000, seed: 1)
        try #require(try drill.run("backup", "dir:source", "--source", "web").status == 0)
        let time = "4\(getpid() % 100_000)"
        _ = try drill.run.file(
            "holdfast.yaml",
            "sources: {web: {url: 'dir:source'}}\n"
                + "drills: {d: {systems: {web: {checks: {wait: {command: [sh, -c, 'sleep \(time); true']}}}}}}\n")
        let running = try drill.run.start(["drill", "d", "--scratch", drill.scratch])
        let words = "sleep\u{0}\(time)"
        while running.process.isRunning, DrillRun.processes(like: words).isEmpty { pause(.milliseconds(5)) }
        running.send(SIGKILL)
        #expect(try running.finish().status == SIGKILL)
        for _ in 0..<400 where !DrillRun.processes(like: words).isEmpty { pause(.milliseconds(10)) }
        let left = DrillRun.processes(like: words)
        for process in left { kill(pid_t(process), SIGKILL) }
        let (next, records) = try drill("web")
        #expect(next.status == 0, "\(next.errors)")
        let kept = (records.first?["facts"] as? [String: String])?["scratch.keptFrom"] ?? ""
        // Without the right to a namespace of processes only the first of them ends.
        #expect(left.isEmpty || !kept.contains("processes,"), "\(kept)")
    }

    @Test(
        "in any phase leaves nothing after the next, and evidence that says in which",
        arguments: ["provision", "fetch", "validate", "teardown"])
    func killed(phase: String) throws {
        let drill = try prepared()
        // A kill may come after the phase that it was meant for; what it leaves must be cleaned up all the same.
        for _ in 0..<12 {
            guard let shown = try drill.kill(in: phase, ["many"], then: ["web"]) else { continue }
            #expect(shown.contains("verdict   drill interrupted"), "\(shown)")
            if shown.contains("ended without a word in the phase \(phase) of s") { return }
        }
        Issue.record("the phase \(phase) was never hit")
    }
}
