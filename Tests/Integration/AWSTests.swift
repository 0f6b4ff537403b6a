// AWS Secrets Manager as a source and as a target, by the program.

import Foundation
import Glibc
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("AWS Secrets Manager by the program", .waiting, .enabled(if: MotoServer.isInstalled))
struct AWSTests {
    @Test("is backed up with all versions, and given back to another region with ids, labels, tags and removals")
    func roundTrip() throws {
        let aws = try AWSRun()
        let stages = SecretsManager.stages
        for number in 1...3 { try aws.put("app/db", "database-\(number)") }
        try aws.put("app/db", "database-4", .labels([stages.pending, try StagingLabel("mine")]))
        try aws.put("app/db", "database-5", .labels([]))
        try aws.change("app/db", .attributes(SecretAttributes(description: "what", tags: SecretTags([("team", "a")]))))
        try aws.put("gone", "removed")
        // A value is read before its secret goes.
        _ = try aws.backUp()
        try aws.change("gone", .remove(.recoverable))
        try aws.vault.put("binary", bytes: [0, 255, 1], in: aws.url)
        _ = try aws.backUp()
        #expect(try aws.facts()["vault.kind"] == "aws-secrets-manager" && aws.facts()["vault.versions"] == "7")
        #expect(try aws.facts()["vault.atOneInstant"] == "yes" && aws.facts()["vault.valuesRead"] == "1")
        #expect(try aws.vault.run("check", "--read-data").status == 0)

        let fresh = try aws.freshURL()
        let restored = try aws.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("times of creation"), "\(restored.errors)")
        #expect(restored.errors.contains("3 secrets were made anew without a policy"), "\(restored.errors)")
        #expect(!restored.errors.contains("details that"), "\(restored.errors)")
        #expect(try aws.standing(fresh) == aws.standing())
        let (before, after) = (try aws.record("app/db"), try aws.record("app/db", in: fresh))
        #expect(after.versions.map(\.id) == before.versions.map(\.id) && after.current == before.current)
        #expect(after.versions.map(\.labels) == before.versions.map(\.labels))
        #expect(after.attributes == before.attributes && after.attributes.description == "what")
        #expect(try aws.record("gone", in: fresh).removal != nil)
        #expect(try aws.vault.value("app/db", in: fresh) == "database-3")
        #expect(try aws.vault.value("app/db", before.versions[4].id.text, in: fresh) == "database-5")
        let again = try aws.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")
        #expect(!again.errors.contains("made anew"), "\(again.errors)")

        // And a vault of another provider, where ids are kept and labels have other names.
        let embedded = try aws.vault.run("restore", "latest:secrets", "--to", VaultRun.url)
        #expect(embedded.status == 0, "\(embedded.errors)")
        let shown = try aws.vault.run("vault", "show", VaultRun.url, "app/db", "--json").json()["secret"]
        let versions = (shown as? [String: Any])?["versions"] as? [[String: Any]] ?? []
        #expect(
            versions.map { ($0["labels"] as? [String] ?? []).joined(separator: " ") } == [
                "", "previous", "current", "mine pending", "",
            ])
        let home = try aws.vault.run("backup", VaultRun.url, "--source", "embedded")
        #expect(home.status == 0, "\(home.errors)")
        let last = try aws.freshURL()
        let back = try aws.vault.run("restore", "latest:embedded", "--to", last)
        #expect(back.status == 0, "\(back.errors)")
        #expect(try aws.record("app/db", in: last).versions.map(\.labels) == before.versions.map(\.labels))
    }

    @Test("is asked for the values of new versions alone, and what is forgotten and pruned leaves the rest whole")
    func incremental() throws {
        let aws = try AWSRun()
        for number in 0..<30 { try aws.put("folder-\(number % 3)/secret-\(number)", "value-\(number)") }
        _ = try aws.backUp()
        #expect(try aws.facts()["vault.valuesRead"] == "30")
        try aws.put("folder-1/secret-1", "another")
        try aws.put("folder-1/new", "new")
        _ = try aws.backUp()
        #expect(try aws.facts()["vault.valuesRead"] == "2" && aws.facts()["vault.atOneInstant"] == "yes")
        _ = try aws.backUp()
        #expect(try aws.facts()["vault.valuesRead"] == "0")
        let forgotten = try aws.vault.run("forget", "--keep-last", "1", "--prune")
        #expect(forgotten.status == 0, "\(forgotten.errors)")
        #expect(try aws.vault.run("check", "--read-data").status == 0)
        let fresh = try aws.freshURL()
        let restored = try aws.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try aws.standing(fresh) == aws.standing())
    }

    @Test("has its accesses in the audit log, which is whole")
    func audit() throws {
        let aws = try AWSRun()
        for name in ["a", "b"] { try aws.put(name, "of \(name)") }
        _ = try aws.backUp()
        let fresh = try aws.freshURL()
        #expect(try aws.vault.run("restore", "latest:secrets", "--to", fresh, "--reason", "ticket 4711").status == 0)
        #expect(try aws.vault.value("a", in: fresh) == "of a")
        let list = try aws.vault.run("audit", "list", "--json").json()["records"] as? [[String: Any]] ?? []
        func records(_ action: String, in url: String) -> [String] {
            list.filter { $0["action"] as? String == action && $0["vault"] as? String == String(url.dropFirst(6)) }
                .map { "\($0["secret"] ?? "") \($0["outcome"] ?? "") \($0["reason"] ?? "")" }.sorted()
        }
        #expect(records("value.read", in: aws.url) == ["a allowed ", "b allowed "], "\(list)")
        #expect(
            records("value.restored", in: fresh) == ["a allowed ticket 4711", "b allowed ticket 4711"], "\(list)")
        #expect(records("value.revealed", in: fresh) == ["a allowed "], "\(list)")
        #expect(try aws.vault.run("audit", "verify", "--local").status == 0)
    }

    @Test("names keys, rotation and replicas that a restore does not give back")
    func details() throws {
        let aws = try AWSRun()
        try aws.server.run(
            """
            aws.create_secret(Name='app/db', SecretString='one', KmsKeyId='alias/mine',
                AddReplicaRegions=[{'Region': 'eu-central-2'}])
            aws.create_secret(Name='plain', SecretString='one')
            """, in: aws.region)
        _ = try aws.backUp()
        let restored = try aws.vault.run("restore", "latest:secrets", "--to", try aws.freshURL())
        #expect(restored.status == 0, "\(restored.errors)")
        for word in ["1 KMS keys", "app/db (alias/mine)", "app/db (eu-central-2)"] {
            #expect(restored.errors.contains(word), "\(word): \(restored.errors)")
        }
    }

    @Test("is listed, read and changed by the verbs of vaults, and looked at by the doctor")
    func verbs() throws {
        let aws = try AWSRun()
        let vault = aws.vault
        try vault.put("app/db", "one", in: aws.url)
        try vault.put("app/db", "two", in: aws.url)
        #expect(try vault.value("app/db", in: aws.url) == "two")
        #expect(try aws.standing().count == 1)
        #expect(try vault.run("vault", "remove", aws.url, "app/db").status == 0)
        #expect(try vault.run("vault", "get", aws.url, "app/db", "--reveal").status != 0)
        let doctor = try vault.run("doctor", aws.url)
        #expect(doctor.status == 0 && doctor.output.contains("AWS Secrets Manager"), "\(doctor)")
    }
}

@Suite(
    "Secrets between AWS and OpenBao", .enabled(if: MotoServer.isInstalled && OpenBaoServer.isInstalled))
struct AWSAndOpenBaoTests {
    @Test("go from AWS to OpenBao: objects as fields, and other texts where that was asked for; and back again")
    func thereAndBack() throws {
        let aws = try AWSRun()
        var bao = try OpenBaoRun()
        bao.vault.run = aws.vault.run
        bao.vault.run.variables["BAO_TOKEN"] = bao.server.token
        let run = bao.vault.run
        let object = #"{"user": "app", "password": "Zebra \"1\"", "port": 5432}"#
        for number in 1...3 { try aws.put("app/db", object.replacingOccurrences(of: "5432", with: "\(number)")) }
        try aws.put("token", "no object")
        _ = try aws.backUp()

        let refused = try run("restore", "latest:secrets", "--to", bao.url)
        #expect(refused.status == 1 && refused.errors.contains("--text-field"), "\(refused.errors)")
        #expect(!refused.errors.contains("no object"), "\(refused.errors)")
        #expect(try bao.vault.standing(bao.url) == ["app/db 1-live 2-live 3-live*"])
        let words = ["restore", "latest:secrets", "--to", bao.url, "--text-field", "value"]
        let restored = try run.start(words).finish()
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("a text became the one field of an object"), "\(restored.errors)")
        #expect(
            try bao.vault.value("app/db", "2", in: bao.url)
                == #"{"password":"Zebra \"1\"","port":2,"user":"app"}"#)
        #expect(try bao.vault.value("token", in: bao.url) == #"{"value":"no object"}"#)
        let again = try run.start(words).finish()
        #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")

        // Back to AWS, into the region of its own, where all is as it was, and into another.
        let backup = try run("backup", bao.url, "--source", "bao")
        #expect(backup.status == 0, "\(backup.errors)")
        let home = try run("restore", "latest:bao", "--to", aws.url, "--text-field", "value")
        #expect(home.status == 0 && home.errors.contains("0 secrets restored"), "\(home.errors)")
        let fresh = try aws.freshURL()
        let back = try run("restore", "latest:bao", "--to", fresh, "--text-field", "value")
        #expect(back.status == 0, "\(back.errors)")
        #expect(try bao.vault.value("token", in: fresh) == "no object")
        #expect(
            try bao.vault.value("app/db", in: fresh) == #"{"password":"Zebra \"1\"","port":3,"user":"app"}"#)
        // Numbers have the one before as the previous one.
        #expect(
            try aws.record("app/db", in: fresh).versions.map { $0.labels.map(\.text) } == [
                [], ["AWSPREVIOUS"], ["AWSCURRENT"],
            ])
    }

    @Test("go from OpenBao to AWS as texts, and are known again")
    func fromOpenBao() throws {
        let aws = try AWSRun()
        var bao = try OpenBaoRun()
        bao.vault.run = aws.vault.run
        bao.vault.run.variables["BAO_TOKEN"] = bao.server.token
        for number in 1...2 { try bao.putDirectly("app/db", "database-\(number)") }
        try bao.putDirectly("mit leer", "x")
        // One that has no value has no place in AWS, and is no reason to take the others for something else.
        for number in 1...4 { try bao.putDirectly("holes", "hole-\(number)") }
        #expect(try bao.vault.run("vault", "state", bao.url, "holes", "2", "destroy").status == 0)
        _ = try bao.backUp()
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", aws.url)
        // AWS has no such name, which fails by itself.
        #expect(restored.status == 1 && restored.errors.contains("mit leer"), "\(restored.errors)")
        #expect(restored.errors.contains("a JSON object became a text"), "\(restored.errors)")
        #expect(try bao.vault.value("app/db", in: aws.url) == #"{"value":"database-2"}"#)
        #expect(try aws.record("holes").versions.count == 3)
        for name in ["app/db", "holes"] {
            let again = try bao.vault.run("restore", "latest:secrets", "--to", aws.url, "--secret", name)
            #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")
        }
        let option = try bao.vault.run("restore", "latest:secrets", "--to", VaultRun.url, "--text-field", "value")
        #expect(option.status == 64 && option.errors.contains("takes both"), "\(option.errors)")
        let other = try bao.vault.run("restore", "latest:secrets", "--to", "dir:out", "--text-field", "value")
        #expect(other.status == 64, "\(other.errors)")
    }
}
