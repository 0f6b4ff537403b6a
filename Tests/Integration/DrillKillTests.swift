// A drill that is killed in any of its phases, and the next one.

import Foundation
import Glibc
import TestSupport
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

@Suite("A drill that is killed")
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
