// Evidence by the reader in Tests/Fixtures/reader, which knows signatures, rights and chains from docs/format.md alone.

import Foundation
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing

@Suite("The independent reader of evidence")
struct IndependentEvidenceTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/repository" }
    private let environment = TestRepository.environment(clock: SystemClock())

    private func record(_ verdict: EvidenceVerdict, _ snapshot: Snapshot) throws -> EvidenceRecord {
        let now = SystemClock().now()
        var record = EvidenceRecord(
            id: try ULID(at: now, entropy: SystemEntropy()), kind: .drill, occasion: .gameDay, verdict: verdict,
            operator: "ada", toolVersion: "0", runID: try ULID(at: now, entropy: SystemEntropy()), started: now,
            finished: now,
            environment: EvidenceEnvironment(
                host: "h", target: "/scratch", network: "namespace", account: "drill", isSegregated: true))
        record.plan = "nightly"
        var member = EvidenceMember(
            name: "web", source: "web", workload: "dir", selection: "latest", verdict: verdict)
        member.snapshot = EvidenceSnapshot(snapshot)
        record.members = [member]
        record.phases = [
            EvidencePhase(.provision, member: "web", .measured(start: now, duration: .seconds(1))),
            EvidencePhase(.decide, .declared(.seconds(60)), after: [0]),
        ]
        record.checks = [
            EvidenceCheck(
                id: "web/contents", member: "web", kind: "contents", statement: "", expected: "größer", actual: "1",
                verdict: .timedOut, outputDigest: Bytes32(w0: 5), outputBytes: 1)
        ]
        record.findings = [EvidenceFinding(severity: "info", object: "web", message: "nothing")]
        record.rtoMeasured = .seconds(1)
        return record
    }

    /// A repository with a chain of an admin through two epochs, one of a restorer, and a snapshot that names both.
    private func prepared() throws -> (admin: Repository, made: [Evidence]) {
        let source = SourceTree()
        try source.write("a", Array("a".utf8))
        var admin = try Repository.create(
            in: try LocalStore.create(at: path, reserve: .kibi(0)), secret: TestRepository.secret("admin"),
            derivation: TestRepository.derivation, label: "admin", compression: "zstd:3", environment: environment)
        _ = try backUp(admin, source)
        let snapshot = try #require(try admin.snapshots().snapshots.first)
        var made = [try admin.attest(try record(.passed, snapshot)), try admin.attest(try record(.failed, snapshot))]
        _ = try admin.addKey(
            Repository.NewKey(
                label: "drills", role: .restorer, secret: TestRepository.secret("drills"),
                derivation: TestRepository.derivation))
        admin = try admin.reloadingKeys()
        let slot = try #require(admin.keyring.roster.values.first { $0.label == "drills" }).slot
        // The right comes after the slot, by a second grant.
        #expect(try admin.allowAttesting(slot))
        let drills = try Repository.open(
            admin.store, secret: TestRepository.secret("drills"), environment: environment)
        made.append(try drills.attest(try record(.passed, snapshot)))
        _ = try admin.rotateEpoch()
        admin = try admin.reloadingKeys()
        made.append(try admin.attest(try record(.interrupted, snapshot), origin: .imported))
        _ = try backUp(admin, source) { $0.reread = true }
        return (admin, made)
    }

    private func lines(_ output: String) throws -> [[String: Any]] {
        try output.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    private func proof(_ file: String, _ key: String) throws -> (Int32, String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: IndependentReader.root + "/.build/tools/bin/python3")
        process.arguments = [
            "-B", IndependentReader.root + "/Tests/Fixtures/reader/holdfast_reader.py", "proof", file, key,
        ]
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    @Test("verifies signatures, rights and chains of all keys, and reads what the records say")
    func reads() throws {
        let (_, made) = try prepared()
        for password in ["admin", "drills"] {
            let (status, output) = try IndependentReader.run(path, password: password, ["evidence"])
            #expect(status == 0, "\(output)")
            let found = try lines(output)
            let expected = made.sorted { ($0.slot, $0.number) < ($1.slot, $1.number) }
            #expect(found.count == 4)
            for (record, one) in zip(found, expected) {
                #expect(record["id"] as? String == one.id.description)
                #expect(
                    record["slot"] as? String == one.slot.description && record["number"] as? Int == Int(one.number))
                #expect(record["sha256"] as? String == Hex.encode(one.digest.array))
                #expect(record["verdict"] as? String == one.record.map { "\($0.verdict)" })
                #expect(record["origin"] as? String == "\(one.object.origin)")
                let check = try #require((record["checks"] as? [[String: Any]])?.first)
                #expect(check["expected"] as? String == "größer" && check["verdict"] as? String == "timedOut")
                let phases = try #require(record["phases"] as? [[String: Any]])
                #expect(phases.map { $0["measured"] as? Bool } == [true, false])
                let member = try #require((record["members"] as? [[String: Any]])?.first)
                let snapshot = try #require(one.record?.members.first?.snapshot)
                #expect(member["snapshot"] as? String == snapshot.id.description)
                #expect(member["snapshotSha256"] as? String == Hex.encode(snapshot.digest.array))
            }
        }
    }

    @Test("stops at a link that was changed, taken away, cut off, put elsewhere, or signed without the right")
    func refuses() throws {
        let (admin, made) = try prepared()
        func place(_ evidence: Evidence) -> String { "\(path)/evidence/\(evidence.slot)/\(evidence.number)" }
        func broken(_ expected: String, _ change: () throws -> Void) throws {
            let aside = directory.path + "/aside"
            try FileManager.default.copyItem(atPath: path + "/evidence", toPath: aside)
            try change()
            let (status, output) = try IndependentReader.run(path, password: "admin", ["evidence"])
            #expect(status == 1 && output.contains(expected), "\(output)")
            try FileManager.default.removeItem(atPath: path + "/evidence")
            try FileManager.default.moveItem(atPath: aside, toPath: path + "/evidence")
        }
        try broken("digest does not fit") {
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: place(made[0]))))
            bytes[bytes.count / 2] ^= 1
            chmod(place(made[0]), 0o600)
            try Data(bytes).write(to: URL(fileURLWithPath: place(made[0])))
        }
        try broken("is missing") { unlink(place(made[1])) }
        // The ends of two chains, which the last snapshot names.
        try broken("something later names it") { unlink(place(made[3])) }
        try broken("something later names it") { unlink(place(made[2])) }
        try broken("misnamed") { rename(place(made[2]), "\(path)/evidence/\(made[2].slot)/2") }
        #expect(try IndependentReader.run(path, password: "admin", ["evidence"]).0 == 0)
        // Without the grant that gave the right, the restorer's link is one that nobody may have signed.
        let grants = "\(path)/grants/\(made[2].slot)"
        for name in try FileManager.default.contentsOfDirectory(atPath: grants) {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(grants)/\(name)")))
            let grant = try GrantObject(bytes, name: name, adminKey: admin.keyring.adminKey)
            if grant.epoch == 1, grant.rights.contains(.attest) { unlink("\(grants)/\(name)") }
        }
        let (status, output) = try IndependentReader.run(path, password: "admin", ["evidence"])
        #expect(status == 1 && output.contains("no right to sign"), "\(output)")
    }

    @Test("checks an exported record with the file and the admin key alone")
    func proofs() throws {
        let (admin, made) = try prepared()
        let file = directory.path + "/proof"
        let key = Hex.encode(admin.keyring.adminKey.array)
        for evidence in made {
            let bytes = try admin.proof(of: evidence).encoded
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            let (status, output) = try proof(file, key)
            #expect(status == 0, "\(output)")
            #expect(try lines(output).first?["id"] as? String == evidence.id.description)
        }
        let (status, output) = try proof(file, String(repeating: "0", count: 64))
        #expect(status == 1 && output.contains("another admin key"), "\(output)")
        // A whole proof but for its seed, with a digest that is right.
        var other = try admin.proof(of: made[1])
        other.seed = try admin.proof(of: made[0]).seed
        try Data(other.encoded).write(to: URL(fileURLWithPath: file))
        #expect(try proof(file, key).1.contains("committed"))
        other = try admin.proof(of: made[3])
        other.previous = try admin.proof(of: made[1]).previous
        try Data(other.encoded).write(to: URL(fileURLWithPath: file))
        #expect(try proof(file, key).1.contains("does not follow"))
    }
}
