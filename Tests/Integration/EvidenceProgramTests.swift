// The verbs `evidence` and `rpo`, by the real program on repositories with records.

import Foundation
import ObjectStore
import Primitives
import Repository
import TestSupport
import TestThreads
import Testing

@Suite("Evidence and objectives", .waiting)
struct EvidenceProgramTests {
    private func repository(_ run: ProgramRun) throws -> Repository {
        try Repository.open(
            try StoreLocation.open(run.repository), secret: TestRepository.secret("integration"),
            environment: TestRepository.environment(clock: SystemClock()))
    }

    /// A drill that restored the newest snapshot and passed.
    private func record(_ repository: Repository, _ verdict: EvidenceVerdict = .passed) throws -> EvidenceRecord {
        let now = SystemClock().now()
        let snapshot = try #require(try repository.snapshots().newestOfAll)
        var record = EvidenceRecord(
            id: try ULID(at: now, entropy: SystemEntropy()), kind: .drill, occasion: .manual, verdict: verdict,
            operator: "ada", toolVersion: "0", runID: try ULID(at: now, entropy: SystemEntropy()),
            started: now, finished: now,
            environment: EvidenceEnvironment(
                host: "drill-1", target: "directory", network: "none", account: "drill", isSegregated: true))
        var member = EvidenceMember(
            name: "web", source: "web", workload: "dir", selection: "latest", verdict: verdict)
        member.snapshot = EvidenceSnapshot(snapshot)
        member.facts["copy"] = repository.store.location
        member.consistentAsOf = snapshot.record?.consistentAsOf
        record.members = [member]
        record.phases = [EvidencePhase(.restore, member: "web", .measured(start: now, duration: .seconds(3)))]
        record.checks = [
            EvidenceCheck(
                id: "files", member: "web", kind: "contents", statement: "", expected: "1", actual: "1",
                verdict: .passed, outputDigest: Bytes32(), outputBytes: 1)
        ]
        record.rtoMeasured = .seconds(3)
        return record
    }

    private func prepared() throws -> ProgramRun {
        let run = ProgramRun()
        try run.makeDirectory("source")
        try run.randomFile("source/first", 3000, seed: 1)
        try run.makeRepository()
        try #require(try run("backup", "dir:source", "--source", "web").status == 0)
        return run
    }

    private func draft(_ run: ProgramRun, _ record: EvidenceRecord) throws -> String {
        let path = run.directory.path + "/drill.evidence"
        let bytes = try EvidenceDraft(repository: try repository(run).id, record: record).encoded()
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test("a record in a file is imported once, listed, shown, exported, and checked without the repository")
    func round() throws {
        let run = try prepared()
        let record = try record(try repository(run))
        let file = try draft(run, record)
        let unsigned = try run("evidence", "verify", file, naming: false)
        #expect(unsigned.status == 4 && unsigned.errors.contains("nobody signed"))
        let imported = try run("evidence", "import", file, "--json")
        #expect(imported.status == 0, "\(imported.errors)")
        #expect(try imported.json()["isNew"] as? Bool == true)
        #expect(try run("evidence", "import", file, "--json").json()["isNew"] as? Bool == false)
        let list = try run("evidence", "list", "--json").json()
        let listed = try #require((list["evidence"] as? [[String: Any]])?.first)
        #expect(listed["id"] as? String == record.id.description && listed["verdict"] as? String == "passed")
        #expect((listed["link"] as? [String: Any])?["origin"] as? String == "imported")
        let shown = try run("evidence", "show", record.id.description)
        #expect(shown.output.contains("phase     restore of web: 3.0 s measured\n"), "\(shown.output)")
        #expect(shown.output.contains("segregated (network: none, account: drill)"))
        let full = try run("evidence", "show", "latest", "--json").json()
        let check = try #require((full["checks"] as? [[String: Any]])?.first)
        #expect(check["expected"] as? String == "1" && check["pass"] as? Bool == true)

        let proof = run.directory.path + "/drill.proof"
        #expect(try run("evidence", "export", "latest", proof).status == 0)
        #expect(try run("evidence", "export", "latest", proof).status == 64)
        var stranger = run
        stranger.password = nil
        let key = try #require(list["adminKey"] as? String)
        let verified = try stranger("evidence", "verify", proof, "--admin-key", key, "--json", naming: false)
        #expect(verified.status == 0, "\(verified.errors)")
        #expect(try verified.json()["isAdminKeyTrusted"] as? Bool == true)
        let own = try stranger("evidence", "verify", proof, naming: false)
        #expect(own.status == 0 && own.errors.contains("on the file's own word"))
        let wrong = String(repeating: "0", count: 64)
        #expect(try stranger("evidence", "verify", proof, "--admin-key", wrong, naming: false).status == 4)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: proof)))
        bytes[bytes.count / 2] ^= 1
        let bad = run.directory.path + "/bad.proof"
        try Data(bytes).write(to: URL(fileURLWithPath: bad))
        #expect(try stranger("evidence", "verify", bad, naming: false).status == 4)
        #expect(try run("evidence", "import", proof).status == 64)
    }

    @Test("verify says whether a later snapshot knows of a record, and fails when one is gone")
    func standing() throws {
        let run = try prepared()
        let opened = try repository(run)
        try opened.attest(try record(opened))
        let before = try run("evidence", "verify", "latest", "--json").json()
        #expect(before["isGood"] as? Bool == true && before["isWitnessed"] as? Bool == false)
        try opened.attest(try record(opened))
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        #expect(try run("evidence", "verify", "latest", "--json").json()["isWitnessed"] as? Bool == true)
        let slot = opened.keyring.slot
        unlink(run.repository + "/evidence/\(slot)/2")
        // Another client, which has not seen it.
        let stranger = ["evidence", "verify", "latest", "--state-dir", run.directory.path + "/other"]
        let gone = try run.start(stranger, naming: true).finish()
        #expect(gone.status == 4 && gone.output.contains("error: evidence/\(slot)/2: it is missing"), "\(gone.output)")
        let check = try run.start(["check", "--state-dir", run.directory.path + "/other"]).finish()
        #expect(check.status == 4 && check.output.contains("evidence/\(slot)/2"))
        // This one has.
        #expect(try run("evidence", "list").errors.contains("ALARM"))
        #expect(try run("backup", "dir:source", "--source", "web").status == 4)
    }

    @Test("a key with the right to attest imports, and one without does not")
    func rights() throws {
        let run = try prepared()
        let file = try draft(run, try record(try repository(run)))
        for (label, right) in [("plain", []), ("drills", ["--attest"])] {
            let added = try run.start(
                ["keys", "add", "--role", "restorer", "--label", label, "--new-key-file", label + ".key"] + right
            ).finish()
            #expect(added.status == 0, "\(added.errors)")
        }
        var other = run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = run.directory.path + "/plain.key"
        let refused = try other("evidence", "import", file)
        #expect(refused.status == 12 && refused.errors.contains("--evidence FILE"))
        other.variables["HOLDFAST_KEY_FILE"] = run.directory.path + "/drills.key"
        #expect(try other("evidence", "import", file).status == 0)
        let keys = try #require(try run("keys", "list", "--json").json()["keys"] as? [[String: Any]])
        let rights = Dictionary(
            uniqueKeysWithValues: keys.map { ($0["label"] as? String ?? "", $0["attest"] as? Bool ?? false) })
        #expect(rights["plain"] == false && rights["drills"] == true)
    }

    @Test("a key that is there gets the right to attest by keys grant, and its holder needs nothing new")
    func grant() throws {
        let run = try prepared()
        let file = try draft(run, try record(try repository(run)))
        let words = ["keys", "add", "--role", "restorer", "--label", "plain", "--new-key-file", "plain.key", "--json"]
        let slot = try #require(try run.start(words).finish().json()["slot"] as? String)
        var other = run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = run.directory.path + "/plain.key"
        #expect(try other("evidence", "import", file).status == 12)
        let own = try other("keys", "grant", slot, "--attest")
        #expect(own.status == 12 && own.errors.contains("may not give rights"), "\(own.errors)")
        #expect(try run("keys", "grant", slot).status == 64)
        #expect(try run("keys", "grant", "zzzz", "--attest").status == 64)
        let granted = try run("keys", "grant", String(slot.prefix(8)), "--attest", "--json")
        #expect(granted.status == 0, "\(granted.errors)")
        #expect(try granted.json()["isNew"] as? Bool == true)
        #expect(try run("keys", "grant", slot, "--attest").output.contains("already"))
        #expect(try run("keys", "list").output.contains("attest"))
        #expect(try other("evidence", "import", file).status == 0)
        #expect(try run("evidence", "verify", "latest").status == 0)
        #expect(try run("check").status == 0)
        #expect(!(try run("evidence", "verify", "latest").errors.contains("was removed")))
        #expect(try run("keys", "remove", slot).status == 0)
        // What it signed stays good, and what it signs from now on would look the same.
        let removed = try run("evidence", "verify", "latest")
        #expect(removed.status == 0 && removed.errors.contains("no snapshot names this record"), "\(removed.errors)")
        #expect(try run("evidence", "verify", "latest", "--json").json()["isSignerRevoked"] as? Bool == true)
        #expect(try run("backup", "dir:source", "--source", "web").status == 0)
        let named = try run("evidence", "verify", "latest")
        #expect(named.errors.contains("was removed") && !named.errors.contains("no snapshot"), "\(named.errors)")
    }

    @Test("rpo counts each class of copies and verified points, and fails when the objective is missed")
    func rpo() throws {
        let run = try prepared()
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories:
              main:
                location: repository
                mirrors: [second, third]
                offsite: [second]
                immutable: [second]
            sources:
              web: {url: dir:source, rpo: 1h}

            """)
        try #require(try run("mirror", "--to", "second").status == 0)
        let opened = try repository(run)
        func rpo(_ arguments: String...) throws -> (status: Int32, report: [String: Any]) {
            let result = try run.start(["rpo", "web", "--json"] + arguments, naming: false).finish()
            return (result.status, try result.json())
        }
        func view(_ report: [String: Any], _ copies: String, verified: Bool = false) throws -> [String: Any] {
            let views = try #require(report["views"] as? [[String: Any]])
            return try #require(
                views.first { $0["copies"] as? String == copies && $0["onlyVerified"] as? Bool == verified })
        }
        // The third copy is not there.
        let first = try rpo()
        #expect(first.status == 3)
        #expect((first.report["failures"] as? [[String: Any]])?.count == 1)
        #expect(first.report["objectiveSeconds"] as? Double == 3600)
        #expect(first.report["isKept"] as? Bool == true)
        #expect(try view(first.report, "local")["withinObjective"] as? Double == 1)
        for copies in ["offsite", "immutable"] {
            let late = try view(first.report, copies)
            #expect(late["worstSeconds"] == nil, "there was no such copy at first")
            #expect(try #require(late["unprotectedSeconds"] as? Double) > 0)
            #expect(late["atEndSeconds"] != nil)
        }
        #expect(try view(first.report, "any", verified: true)["atEndSeconds"] == nil)

        var sabotaged = try record(opened)
        sabotaged.sabotage = "page"
        try opened.attest(sabotaged)
        try opened.attest(try record(opened, .failed))
        #expect(try view(rpo().report, "any", verified: true)["atEndSeconds"] == nil)
        try opened.attest(try record(opened))
        #expect(try view(rpo().report, "any", verified: true)["atEndSeconds"] != nil)

        let missed = try rpo("--from", "2h")
        #expect(missed.status == 4 && missed.report["isKept"] as? Bool == false)
        #expect(try rpo("--from", "2026-01-02", "--to", "2026-01-01").status == 64)
        let text = try run.start(["rpo", "web", "--objective", "2h"], naming: false).finish()
        #expect(text.output.contains("objective 2h") && text.output.contains("immutable, verified"))
        #expect(try run("rpo", "nobody").status == 1)
    }

    @Test("rpo knows a copy through a link, and counts the others when a mirror cannot be read")
    func partial() throws {
        let run = try prepared()
        let opened = try repository(run)
        try opened.attest(try record(opened))
        try #require(try run("mirror", "--to", "second").status == 0)
        func rpo(_ named: String...) throws -> (status: Int32, report: [String: Any], verified: Bool) {
            let result = try run.start(["rpo", "web", "--json"] + named, naming: false).finish()
            let report = try result.json()
            let views = try #require(report["views"] as? [[String: Any]])
            let verified = try #require(
                views.first { $0["copies"] as? String == "any" && $0["onlyVerified"] as? Bool == true })
            return (result.status, report, verified["atEndSeconds"] != nil)
        }
        #expect(symlink("repository", run.directory.path + "/link") == 0)
        let linked = try rpo("--repo", "link")
        #expect(linked.verified && linked.report["withoutEngine"] as? Int == 0, "\(linked)")
        _ = try run.file(
            "holdfast.yaml",
            "repositories: {main: {location: repository, mirrors: [second]}}\n"
                + "sources: {web: {url: dir:source, rpo: 1h}}\n")
        for place in ["evidence", "snapshots"] {
            let path = run.directory.path + "/second/" + place
            // A link to itself can be opened by nobody, not even by root.
            try #require(rename(path, path + "-aside") == 0 && symlink(place, path) == 0)
            let partial = try rpo()
            #expect(partial.status == 3 && partial.verified, "\(partial)")
            #expect((partial.report["failures"] as? [[String: Any]])?.count == 1, "\(partial)")
            #expect(partial.report["seesAllEvidence"] as? Bool == (place == "snapshots"))
            try #require(unlink(path) == 0 && rename(path + "-aside", path) == 0)
        }
    }

    @Test("snapshots that were forgotten make the exposure an upper bound, and partial ones count for nothing")
    func bounds() throws {
        let run = try prepared()
        for _ in 0..<2 { try #require(try run("backup", "dir:source", "--source", "web").status == 0) }
        let whole = try run("rpo", "web", "--json").json()
        #expect(whole["points"] as? Int == 3 && whole["isUpperBound"] as? Bool == false)
        #expect(whole["objectiveSeconds"] == nil && whole["isKept"] == nil)
        try #require(try run("backup", "dir:source", "dir:absent", "--source", "web").status == 3)
        let partial = try run("rpo", "web", "--json").json()
        #expect(partial["points"] as? Int == 3 && partial["incomplete"] as? Int == 1, "\(partial)")
        // Of a period that is over: what is lost at its end, by the newest point before it.
        let instants = try repository(run).snapshots().snapshots.compactMap(\.record).filter { $0.flags.isEmpty }
            .map(\.consistentAsOf)
        let newest = try #require(instants.max())
        // Arguments are whole seconds.
        let (from, end) = (Timestamp(seconds: newest.seconds + 60), Timestamp(seconds: newest.seconds + 600))
        func lost(_ at: Timestamp) -> Double { Double(at.since(newest).nanosecondsClamped) / 1e9 }
        let past = try run("rpo", "web", "--from", "\(from)", "--to", "\(end)", "--json").json()
        let view = try #require((past["views"] as? [[String: Any]])?.first { $0["copies"] as? String == "any" })
        #expect(past["to"] as? String == "\(end)", "\(past)")
        #expect(abs((view["atEndSeconds"] as? Double ?? 0) - lost(end)) < 0.001, "\(view)")
        #expect(abs((view["meanSeconds"] as? Double ?? 0) - (lost(from) + lost(end)) / 2) < 0.001, "\(view)")
        try #require(try run("forget", "--source", "web", "--keep-last", "1").status == 0)
        let thinned = try run("rpo", "web", "--json").json()
        #expect(thinned["points"] as? Int == 1 && thinned["forgotten"] as? Int == 2)
        #expect(thinned["isUpperBound"] as? Bool == true)
    }
}
