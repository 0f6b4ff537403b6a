// What may befall an OpenBao while it is backed up and restored, by the program.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

/// What closures count.
private final class Counter: Sendable {
    private let number = Mutex(0)
    var count: Int { number.withLock { $0 } }
    func add() { number.withLock { $0 += 1 } }
}

@Suite("An OpenBao server that fails", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct OpenBaoFaultTests {
    /// The same mount behind a script.
    private func url(_ bao: OpenBaoRun, _ scripted: ScriptedVault) -> String { "vault:\(scripted.origin)/\(bao.mount)" }

    private static func isValue(_ request: ScriptedVault.Request) -> Bool {
        request.method == "GET" && request.target.contains("/data/")
    }

    @Test("names the paths that a login may not read, keeps the rest, and ends with status 3")
    func denied() throws {
        var bao = try OpenBaoRun()
        for name in ["a", "open/b", "closed/c", "hidden/d", "z"] { try bao.putDirectly(name, "of \(name)") }
        let root = bao.server.token
        bao.vault.run.variables["BAO_TOKEN"] = try bao.readingToken(
            """
            path "MOUNT/data/closed/*" { capabilities = ["deny"] }
            path "MOUNT/metadata/hidden/*" { capabilities = ["deny"] }
            path "MOUNT/detailed-metadata/hidden/*" { capabilities = ["deny"] }
            """)
        let backup = try bao.backUp(3)
        #expect(backup.errors.contains("\(bao.mount)/data/closed/c"), "\(backup.errors)")
        #expect(backup.errors.contains("\(bao.mount)/metadata/hidden/"), "\(backup.errors)")
        #expect(try bao.facts()["vault.valuesRead"] == "3")
        bao.vault.run.variables["BAO_TOKEN"] = root
        let fresh = try bao.freshURL()
        _ = try bao.vault.run("restore", "latest:secrets", "--to", fresh, "--secret", "open/b")
        #expect(try bao.vault.value("open/b", in: fresh) == #"{"value":"of open/b"}"#)
        // Once it may, the rest is read and all is whole.
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.valuesRead"] == "2")
    }

    @Test("keeps what lies in a folder that a login may not list any more, also what was deleted since")
    func deniedLater() throws {
        var bao = try OpenBaoRun()
        for name in ["hidden", "hidden/a", "hidden/deep/b", "open"] { try bao.putDirectly(name, "of \(name)") }
        _ = try bao.backUp()
        try bao.server.must(.post, "\(bao.mount)/delete/hidden/a", #"{"versions":[1]}"#)
        let root = bao.server.token
        bao.vault.run.variables["BAO_TOKEN"] = try bao.readingToken(
            """
            path "MOUNT/metadata/hidden/*" { capabilities = ["deny"] }
            path "MOUNT/detailed-metadata/hidden/*" { capabilities = ["deny"] }
            """)
        for _ in 0..<2 { _ = try bao.backUp(3) }
        #expect(try bao.facts()["vault.secrets"] == "4")
        bao.vault.run.variables["BAO_TOKEN"] = root
        // Once it may look again, a value that can't be read any more is still there.
        _ = try bao.backUp()
        let fresh = try bao.freshURL()
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try bao.vault.value("hidden/deep/b", in: fresh) == #"{"value":"of hidden/deep/b"}"#)
        #expect(try bao.vault.run("vault", "state", fresh, "hidden/a", "1", "undelete").status == 0)
        #expect(try bao.vault.value("hidden/a", in: fresh) == #"{"value":"of hidden/a"}"#)
    }

    @Test("with a token that is wrong, expired or revoked takes no backup, and the token is nowhere to be seen")
    func tokens() throws {
        var bao = try OpenBaoRun()
        try bao.putDirectly("app", "one")
        let expired = try bao.server.token(
            "e-\(bao.mount)", policy: OpenBaoRun.readingPolicy, "\"ttl\":\"1s\"")
        for _ in 0..<100 {
            if try bao.server.call(.get, "auth/token/lookup-self", token: expired).status == 403 { break }
            pause(.milliseconds(100))
        }
        let revoked = try bao.readingToken()
        try bao.server.must(.post, "auth/token/revoke", "{\"token\":\"\(revoked)\"}")
        for token in ["s.wrong-hunter2", expired, revoked] {
            bao.vault.run.variables["BAO_TOKEN"] = token
            let backup = try bao.backUp(12)
            #expect(backup.errors.contains("refuses the login") && !backup.errors.contains(token), "\(backup.errors)")
        }
        let list = try bao.vault.run("snapshots", "--json").json()["snapshots"] as? [Any]
        #expect(list?.isEmpty == true)
    }

    @Test("revokes the token in the middle: a new one from the file is taken, and without one nothing is made up")
    func revokedMeanwhile() throws {
        var bao = try OpenBaoRun()
        for number in 0..<20 { try bao.putDirectly("secret-\(number)", "value-\(number)") }
        bao.vault.run.variables["BAO_TOKEN"] = nil
        let (first, second) = (try bao.readingToken(), try bao.readingToken())
        let file = try bao.vault.run.file("token", first)
        bao.vault.run.variables["BAO_TOKEN_FILE"] = file
        let server = bao.server
        let scripted = try ScriptedVault(before: server) { request in
            if Self.isValue(request), request.target.contains("secret-7?") || request.target.contains("secret-8?") {
                try? second.write(toFile: file, atomically: false, encoding: .utf8)
                _ = try? server.call(.post, "auth/token/revoke", "{\"token\":\"\(first)\"}")
            }
            return .passOn
        }
        defer { scripted.stop() }
        let backup = try bao.vault.run("backup", url(bao, scripted), "--source", "secrets")
        #expect(backup.status == 0, "\(backup.errors)")
        #expect(try bao.facts()["vault.versions"] == "20" && bao.facts()["vault.valuesRead"] == "20")
        // And again, without another to take.
        try bao.putDirectly("secret-7", "again")
        let last = try ScriptedVault(before: server) { request in
            if Self.isValue(request) { _ = try? server.call(.post, "auth/token/revoke", "{\"token\":\"\(second)\"}") }
            return .passOn
        }
        defer { last.stop() }
        let failed = try bao.vault.run("backup", url(bao, last), "--source", "secrets")
        #expect(failed.status == 12 && failed.errors.contains("refuses the login"), "\(failed)")
    }

    @Test("is sealed, stopped and started again in the middle, and the next backup has all")
    func middle() throws {
        let directory = TemporaryDirectory()
        let server = try OpenBaoServer(.raft, in: directory.path)
        defer { server.stop() }
        try server.initialise()
        let bao = try OpenBaoRun(on: server)
        for number in 0..<20 { try bao.putDirectly("secret-\(number)", "value-\(number)") }
        for isSealing in [true, false] {
            let scripted = try ScriptedVault(before: server) { request in
                if Self.isValue(request), request.target.contains("secret-15?") {
                    if isSealing { _ = try? server.call(.put, "sys/seal") } else { server.stop() }
                }
                return .passOn
            }
            defer { scripted.stop() }
            let failed = try bao.vault.run("backup", url(bao, scripted), "--source", "secrets")
            #expect(failed.status != 0 && failed.status != 3, "\(failed)")
            #expect(failed.errors.contains(isSealing ? "is sealed" : "can't be asked"), "\(failed.errors)")
            if !isSealing { try server.start() }
            try server.unseal()
        }
        let list = try bao.vault.run("snapshots", "--json").json()["snapshots"] as? [Any]
        #expect(list?.isEmpty == true)
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.versions"] == "20")
        #expect(try bao.vault.run("check", "--read-data").status == 0)
        let fresh = try bao.freshURL()
        // A restore that broke off goes on where it was.
        let writes = try ScriptedVault(before: server) { request in
            if request.method == "POST", request.target.contains("/data/secret-15") { server.stop() }
            return .passOn
        }
        defer { writes.stop() }
        let behind = "vault:\(writes.origin)/" + (fresh.split(separator: "/").last ?? "")
        let broken = try bao.vault.run("restore", "latest:secrets", "--to", behind)
        #expect(broken.status != 0, "\(broken)")
        try server.start()
        try server.unseal()
        let whole = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(whole.status == 0, "\(whole.errors)")
        #expect(try bao.vault.standing(fresh) == bao.vault.standing(bao.url))
    }

    @Test("whose versions are destroyed and pushed out between the list and the reading is taken as it then is")
    func goneMeanwhile() throws {
        let bao = try OpenBaoRun()
        for name in ["destroyed", "pushed", "stays"] { for number in 1...2 { try bao.putDirectly(name, "\(number)") } }
        let (server, mount) = (bao.server, bao.mount)
        let scripted = try ScriptedVault(before: server) { request in
            if Self.isValue(request), request.target.contains("/destroyed?version=1") {
                _ = try? server.call(.put, "\(mount)/destroy/destroyed", #"{"versions":[1]}"#)
            }
            if Self.isValue(request), request.target.contains("/pushed?version=1") {
                for _ in 0..<12 { _ = try? server.call(.post, "\(mount)/data/pushed", #"{"data":{"value":"more"}}"#) }
            }
            return .passOn
        }
        defer { scripted.stop() }
        let backup = try bao.vault.run("backup", url(bao, scripted), "--source", "secrets")
        #expect(backup.status == 0, "\(backup.errors)")
        #expect(try bao.facts()["vault.atOneInstant"] == "yes")
        let before = try bao.vault.standing(bao.url)
        #expect(before.contains("destroyed 1-destroyed 2-live*"), "\(before)")
        let fresh = try bao.freshURL()
        #expect(try bao.vault.run("restore", "latest:secrets", "--to", fresh).status == 0)
        let after = try bao.vault.standing(fresh)
        #expect(after.first { $0.hasPrefix("destroyed") } == "destroyed 1-destroyed 2-live*", "\(after)")
        #expect(after.first { $0.hasPrefix("pushed") }?.split(separator: " ").count == 11, "\(after)")
    }

    @Test("with large values, bytes of all kinds, and a thousand versions is given back whole")
    func large() throws {
        let bao = try OpenBaoRun()
        let vault = try bao.server.open(bao.mount)
        func put(_ name: String, _ value: String) throws {
            _ = try vault.put(
                SecretPut(
                    try SecretName(name),
                    SecretValue(.fields, SecretBytes(copying: Array("{\"value\":\"\(value)\"}".utf8).span.bytes)),
                    expected: .anything))
        }
        let large = String(repeating: "0123456789abcdef", count: 4096)
        try put("large", large)
        try put("bytes", #"\u0000\u0001\u001f\"\\/\u00e9😀"#)
        try vault.change(
            try SecretName("many"),
            .attributes(SecretAttributes(limits: SecretLimits(maximumVersions: 1000))))
        for number in 1...1000 { try put("many", "version \(number)") }
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.versions"] == "1002")
        let fresh = try bao.freshURL()
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        for (name, version) in [("large", nil), ("bytes", nil), ("many", "1"), ("many", "1000")] as [(String, String?)]
        {
            #expect(
                try bao.vault.value(name, version, in: fresh) == bao.vault.value(name, version, in: bao.url), "\(name)")
        }
        #expect(try bao.vault.value("large", in: fresh).utf8.count == 65_536 + 12)
        #expect(try bao.vault.standing(fresh) == bao.vault.standing(bao.url))
    }

    @Test("leaves neither its token nor a value in any file or output, in arguments, or in a child's environment")
    func environment() throws {
        var bao = try OpenBaoRun()
        let token = try bao.readingToken()
        bao.vault.run.variables["BAO_TOKEN"] = token
        let marks = [token, "Zebra-4711-bao"]
        try bao.putDirectly("app", marks[1])
        // The command of another source runs after the vault was read, and stays for a while.
        let file = try bao.vault.run.file(
            "holdfast.yaml",
            """
            sources:
              secrets: {url: '\(bao.url)'}
              program: {command: {dump: [sh, -c, 'sleep 0.4; echo made'], file: made}}

            """)
        let started = try bao.vault.run.start(["backup", "secrets", "program"])
        let trace = ProcessTrace.of(started)
        let backup = try started.finish()
        #expect(backup.status == 0, "\(backup.errors)")
        #expect(!trace.descendants.isEmpty && trace.arguments.contains { $0.contains("sleep") })
        #expect(trace.environments.contains { $0.contains("HOLDFAST") || $0.contains("PATH") })
        let doctor = try bao.vault.run("doctor", bao.url, "--verbose")
        #expect(doctor.output.contains("OpenBao"), "\(doctor)")
        let printed = [backup.output, backup.errors, doctor.output, doctor.errors]
        for mark in marks {
            #expect(trace.contains(mark) == nil)
            #expect(!printed.contains { $0.contains(mark) })
        }
        try FileManager.default.removeItem(atPath: file)
        let root = bao.vault.run.directory.path
        let names = try #require(FileManager.default.enumerator(atPath: root)).compactMap { $0 as? String }
        var files = 0
        for name in names {
            guard let data = FileManager.default.contents(atPath: root + "/" + name) else { continue }
            files += 1
            for mark in marks { #expect(data.range(of: Data(mark.utf8)) == nil, "\(name)") }
        }
        #expect(files > 10 && names.contains { $0.hasSuffix(".audit") })
    }

    @Test("that turns into something else in the middle leaves no snapshot in which its secrets are missing")
    func elsewhere() throws {
        let bao = try OpenBaoRun()
        for name in ["a", "folder/b"] { try bao.putDirectly(name, "of \(name)") }
        let page: ScriptedVault.Reply = .answer(404, headers: [("Content-Type", "text/html")], body: "default backend")
        let upgrading: ScriptedVault.Reply = .answer(
            400,
            body: #"{"errors":["Upgrading from non-versioned to versioned data. This backend will be "#
                + #"unavailable for a brief period and will resume service shortly."]}"#)
        for reply in [page, upgrading] {
            // From the beginning of the second look on.
            let looks = Counter()
            let scripted = try ScriptedVault(before: bao.server) { request in
                let isBeginning =
                    request.target.contains("metadata/?list=true") && request.target.hasSuffix("after=")
                if isBeginning { looks.add() }
                return looks.count > 1 && request.target.contains("/\(bao.mount)/") ? reply : .passOn
            }
            defer { scripted.stop() }
            let failed = try bao.vault.run("backup", url(bao, scripted), "--source", "secrets")
            #expect(failed.status == 1 && looks.count > 1, "\(failed)")
        }
        let list = try bao.vault.run("snapshots", "--json").json()["snapshots"] as? [Any]
        #expect(list?.isEmpty == true)
        _ = try bao.backUp()
        // What the vault itself says is taken, with a word.
        for name in ["a", "folder/b"] { try bao.server.must(.delete, "\(bao.mount)/metadata/\(name)") }
        let emptied = try bao.backUp()
        #expect(emptied.errors.contains("shows no secret any more"), "\(emptied.errors)")
        #expect(try bao.facts()["vault.secrets"] == "0")
    }

    @Test("with a value that is too large for a snapshot names it, takes the rest, and ends with status 3")
    func tooLarge() throws {
        let bao = try OpenBaoRun()
        try bao.putDirectly("a", "small")
        try bao.putDirectly("big", String(repeating: "0123456789abcdef", count: 80_000))
        try bao.putDirectly("z", "small")
        let backup = try bao.backUp(3)
        #expect(backup.errors.contains("version 1 of the secret big"), "\(backup.errors)")
        #expect(try bao.facts()["vault.valuesRead"] == "2")
        let fresh = try bao.freshURL()
        _ = try bao.vault.run("restore", "latest:secrets", "--to", fresh, "--secret", "z")
        #expect(try bao.vault.value("z", in: fresh) == #"{"value":"small"}"#)
    }
}
