// Backups and restores of real vaults that are killed between two calls, and those that come after.

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

/// Kills a program when it makes one of its calls for the n-th time.
private final class Killer: Sendable {
    private struct State: Sendable {
        var process: pid_t?
        var left: Int
    }

    private let state: Mutex<State>

    private let signal: Int32

    init(at number: Int, by signal: Int32 = SIGKILL) {
        self.signal = signal
        state = Mutex(State(left: number))
    }

    /// Whether this is the call.
    func isDue() -> Bool {
        state.withLock { state in
            state.left -= 1
            return state.left == 0
        }
    }

    func kill() {
        // The first calls may come before it is known who makes them.
        var process: pid_t?
        for _ in 0..<1000 where process == nil {
            process = state.withLock { $0.process }
            if process == nil { pause(.milliseconds(5)) }
        }
        if let process { Glibc.kill(process, signal) }
    }

    @discardableResult
    func run(_ run: ProgramRun, _ words: [String]) throws -> RunResult {
        let started = try run.start(words)
        state.withLock { $0.process = started.process.processIdentifier }
        let result = try started.finish()
        let status = signal == SIGKILL ? SIGKILL : 130
        try #require(result.status == status, "\(result.status): \(result.errors)")
        return result
    }
}

@Suite("A program that is killed while it works on a vault", .waiting)
struct VaultKillTests {
    private static let name = SecretName(validated: Array("app".utf8))

    // MARK: OpenBao

    private func isValue(_ request: ScriptedVault.Request) -> Bool {
        request.method == "GET" && request.target.contains("/data/")
    }

    private static func isWrite(_ request: ScriptedVault.Request) -> Bool {
        request.method != "GET" && ["/data/", "/delete/", "/destroy/"].contains { request.target.contains($0 + "app") }
    }

    private func states(_ bao: OpenBaoRun, _ url: String) throws -> [String] {
        let mount = try #require(url.split(separator: "/").last.map(String.init))
        return try bao.server.open(mount).describe(Self.name).versions.map { version in
            switch version.state {
            case .live: "live"
            case .disabled: "disabled"
            case .softDeleted: "deleted"
            case .destroyed: "destroyed"
            }
        }
    }

    @Test(
        "leaves no snapshot of an OpenBao, and a restore that goes on, puts nothing twice, and names what is live",
        .enabled(if: OpenBaoServer.isInstalled))
    func openBao() throws {
        let bao = try OpenBaoRun()
        for number in 1...5 { try bao.putDirectly("app", "app-\(number)") }
        try bao.server.must(.put, "\(bao.mount)/destroy/app", #"{"versions":[4]}"#)
        let early = Killer(at: 3)
        let reading = try ScriptedVault(before: bao.server) { [self] request in
            isValue(request) && early.isDue() ? .passOnThen { early.kill() } : .passOn
        }
        defer { reading.stop() }
        let words = ["backup", "vault:\(reading.origin)/\(bao.mount)", "--source", "secrets"]
        try early.run(bao.vault.run, words)
        let list = try bao.vault.run("snapshots", "--json").json()["snapshots"] as? [Any]
        #expect(list?.isEmpty == true)
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.valuesRead"] == "4" && bao.facts()["vault.versions"] == "5")
        // Of these the snapshot keeps the values that the one before has read.
        try bao.server.must(.put, "\(bao.mount)/destroy/app", #"{"versions":[2]}"#)
        try bao.server.must(.put, "\(bao.mount)/delete/app", #"{"versions":[3]}"#)
        try bao.putDirectly("other", "one")
        _ = try bao.backUp()
        let wanted = try states(bao, bao.url)
        #expect(wanted == ["live", "destroyed", "deleted", "destroyed", "live"])

        // After which write it is killed, which version is live then, and what makes it as it should be.
        let moments: [(write: Int, left: Int?, verb: String)] = [
            (2, 2, "destroy"), (4, 3, "softDelete"), (6, 4, "destroy"), (8, nil, ""),
        ]
        for moment in moments {
            let killer = Killer(at: moment.write)
            let scripted = try ScriptedVault(before: bao.server) { request in
                Self.isWrite(request) && killer.isDue() ? .passOnThen { killer.kill() } : .passOn
            }
            defer { scripted.stop() }
            let fresh = try bao.freshURL()
            let behind = fresh.replacingOccurrences(of: bao.server.origin, with: scripted.origin)
            try killer.run(bao.vault.run, ["restore", "latest:secrets", "--to", behind])

            if moment.left == 3 { try interrupt(bao, fresh) }
            let again = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
            #expect(again.status == (moment.left == nil ? 0 : 4), "\(moment): \(again.errors)")
            var expected = wanted
            if let left = moment.left {
                expected[left - 1] = "live"
                #expect(again.errors.contains("version \(left) of the secret app is live"), "\(again.errors)")
                let command = "holdfast vault state \(fresh) app \(left) \(moment.verb)"
                #expect(again.errors.contains(command), "\(again.errors)")
                #expect(again.output.contains("left live 1"), "\(again.output)")
            }
            #expect(try states(bao, fresh) == expected, "\(moment)")
            #expect(try bao.vault.value("other", in: fresh) == #"{"value":"one"}"#)
            guard moment.left == 4 else { continue }
            // What holds the place of a value says so, and what the finding says sets it right.
            #expect(try bao.vault.value("app", "4", in: fresh).contains("NOT A SECRET"))
            #expect(try bao.vault.run("vault", "state", fresh, "app", "4", "destroy").status == 0)
            let right = try bao.vault.run("restore", "latest:secrets", "--to", fresh, "--json")
            #expect(try right.status == 0 && right.json()["leftLiveCount"] as? Int == 0, "\(right.errors)")
            #expect(try states(bao, fresh) == wanted)
        }
    }

    /// Goes on after version 3 was left live, and is interrupted before it puts the next one: what it saw is told.
    private func interrupt(_ bao: OpenBaoRun, _ fresh: String) throws {
        let killer = Killer(at: 1, by: SIGTERM)
        let scripted = try ScriptedVault(before: bao.server) { request in
            if Self.isWrite(request), killer.isDue() { killer.kill() }
            return .passOn
        }
        defer { scripted.stop() }
        let behind = fresh.replacingOccurrences(of: bao.server.origin, with: scripted.origin)
        let result = try killer.run(bao.vault.run, ["restore", "latest:secrets", "--to", behind, "--json"])
        #expect(result.errors.contains("version 3 of the secret app is live"), "\(result.errors)")
        let unfinished = try #require(try result.json()["unfinished"] as? [String: Any])
        #expect(unfinished["leftLiveCount"] as? Int == 1 && (unfinished["findings"] as? [Any])?.isEmpty == false)
    }

    // MARK: AWS

    @Test(
        "leaves a region of AWS that the next restore makes whole, with a removed secret named that is not yet removed",
        .enabled(if: MotoServer.isInstalled))
    func aws() throws {
        let aws = try AWSRun()
        for number in 1...3 { try aws.put("app", "app-\(number)") }
        for number in 1...2 { try aws.put("gone", "gone-\(number)") }
        _ = try aws.backUp()
        try aws.change("gone", .remove(.recoverable))
        _ = try aws.backUp()
        // After the second version of two, before the label of the current one is moved, and before the removal.
        let moments: [(operation: String, name: String, number: Int, isDone: Bool)] = [
            ("PutSecretValue", "app", 1, true), ("UpdateSecretVersionStage", "app", 1, false),
            ("DeleteSecret", "gone", 1, false),
        ]
        for moment in moments {
            let killer = Killer(at: moment.number)
            let scripted = try ScriptedVault(before: aws.server) { request in
                guard request.operation == moment.operation, request.text.contains("\"\(moment.name)\""),
                    killer.isDue()
                else { return .passOn }
                if moment.isDone { return .passOnThen { killer.kill() } }
                killer.kill()
                return .lose
            }
            defer { scripted.stop() }
            let fresh = try aws.freshURL()
            try killer.run(aws.behind(scripted), ["restore", "latest:secrets", "--to", fresh])

            let isLeft = moment.name == "gone"
            let again = try aws.vault.run("restore", "latest:secrets", "--to", fresh)
            #expect(again.status == (isLeft ? 4 : 0), "\(moment): \(again.errors)")
            let word = "the secret gone is live, and the snapshot has it removed"
            #expect(again.errors.contains(word) == isLeft, "\(again.errors)")
            for name in ["app", "gone"] {
                let (found, wanted) = (try aws.record(name, in: fresh), try aws.record(name))
                #expect(Set(found.versions.map(\.id)) == Set(wanted.versions.map(\.id)), "\(moment): \(name)")
                #expect(found.versions.count == wanted.versions.count, "\(moment): \(name)")
                #expect(found.current == wanted.current, "\(moment): \(name)")
            }
            #expect(try (aws.record("gone", in: fresh).removal == nil) == isLeft)
        }
    }

    @Test(
        "is given nothing where what is removed or deleted can't be compared, and nothing is recovered for that",
        .enabled(if: MotoServer.isInstalled && OpenBaoServer.isInstalled))
    func removed() throws {
        // Numbers of OpenBao are no ids that AWS takes: values alone tell which version is which.
        let aws = try AWSRun()
        var bao = try OpenBaoRun()
        bao.vault.run = aws.vault.run
        bao.vault.run.variables["BAO_TOKEN"] = bao.server.token
        for number in 1...2 { try bao.putDirectly("app", "app-\(number)") }
        try bao.putDirectly("a", "missing")
        _ = try bao.backUp()
        for text in [#"{"value":"app-1"}"#, "another"] { try aws.put("app", text) }
        try aws.change("app", .remove(.recoverable))
        let refused = try bao.vault.run("restore", "latest:secrets", "--to", aws.url)
        #expect(refused.status == 1 && refused.errors.contains("app (it is removed in the vault"), "\(refused.errors)")
        #expect(throws: HoldfastError.self) { try aws.record("a") }
        #expect(try aws.record("app").removal != nil)

        // The same in OpenBao, where what is deleted are versions.
        let fresh = try bao.freshURL()
        let mount = try #require(fresh.split(separator: "/").last.map(String.init))
        for text in ["app-1", "another"] {
            try bao.server.must(.post, "\(mount)/data/app", "{\"data\":{\"value\":\"\(text)\"}}")
        }
        try bao.server.must(.put, "\(mount)/delete/app", #"{"versions":[2]}"#)
        let again = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(
            again.status == 1 && again.errors.contains("app (its version 2 is deleted in the vault"), "\(again.errors)")
        #expect(try bao.vault.standing(fresh) == ["app 1-live 2-deleted*"])
    }
}
