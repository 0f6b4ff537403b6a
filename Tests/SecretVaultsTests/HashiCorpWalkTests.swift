// How often a server is asked for the folders of a store, and in which order.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("A walk through folders of OpenBao", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpWalkTests {
    private let server: OpenBaoServer
    private let mount: String
    private let clock = ManualClock()
    /// As they are listed.
    private let names: [String]

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "w" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
        // One page of a hundred ends amid a folder, the next one at the end of one.
        names = (0..<12).flatMap { folder in (10..<30).map { "f\(folder + 10)/s\($0)" } } + ["last"]
        for name in names { try server.must(.post, "\(mount)/data/\(name)", "{\"data\":{}}") }
    }

    private func open(_ scripted: ScriptedVault) throws -> any SecretVault {
        try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: .token(secret(server.token))), clock: clock)
    }

    /// What is asked for of a folder; the top is an empty name.
    private func asked(_ scripted: ScriptedVault, _ folder: String) -> Int {
        scripted.requests.count { $0.target.contains("/detailed-metadata/\(folder)?") }
    }

    @Test("asks for each folder once, and then for more of it, however many pages there are")
    func once() throws {
        let scripted = try ScriptedVault(before: server) { _ in .passOn }
        defer { scripted.stop() }
        let vault = try open(scripted)
        var found: [String] = []
        var mark: VaultPageMark?
        var sizes: [Int] = []
        repeat {
            let page = try vault.list(under: "", after: mark, limit: 100)
            found += page.secrets.map(\.name.text)
            sizes.append(page.secrets.count)
            mark = page.next
        } while mark != nil
        #expect(found == names && sizes == [100, 100, 41])
        #expect(asked(scripted, "") == 2)
        for folder in 10..<22 { #expect(asked(scripted, "f\(folder)/") == 2, "f\(folder)") }
        // The next walk begins anew.
        try server.must(.post, "\(mount)/data/f10/s1", "{\"data\":{}}")
        let first = try vault.list(under: "", after: nil, limit: 100)
        #expect(first.secrets.first?.name.text == "f10/s1" && asked(scripted, "") == 3)
        // Whoever does not know the walk, or knows it from long ago, finds the way again.
        let rest = try open(scripted).list(under: "", after: first.next, limit: 1000)
        #expect(rest.secrets.map(\.name.text) == Array(names[99...]) && asked(scripted, "") == 5)
        let again = try vault.list(under: "", after: nil, limit: 100)
        clock.advance(by: .seconds(61))
        let late = try vault.list(under: "", after: again.next, limit: 1000)
        #expect(late.secrets.map(\.name.text) == Array(names[99...]) && asked(scripted, "") == 8)
    }

    @Test("asks for folders beside each other at once, and takes what it is refused so for no answer")
    func atOnce() throws {
        let seen = Shared<Set<String>>([])
        let filler = String(repeating: "f", count: 1 << 20)
        let mount = mount
        let scripted = try ScriptedVault(before: server) { request in
            guard let place = request.target.firstRange(of: "/\(mount)/detailed-metadata/") else { return .passOn }
            let folder = String(request.target[place.upperBound...].prefix { $0 != "?" })
            seen.mutex.withLock { _ = $0.insert(folder) }
            switch folder {
            case "f10/":
                // Not before its neighbours were asked for as well.
                for _ in 0..<10_000 where !seen.mutex.withLock({ $0.contains("f17/") }) { usleep(1000) }
                return .passOn
            case "f11/": return .answer(403, body: #"{"errors":["permission denied"]}"#)
            // More than is taken of an answer before its turn.
            case "f12/" where !request.target.contains("after=s"):
                return .answer(200, body: "{\"data\":{\"keys\":[\"s10\",\"s11\"],\"filler\":\"\(filler)\"}}")
            default: return .passOn
            }
        }
        defer { scripted.stop() }
        let page = try open(scripted).list(under: "", after: nil, limit: 1000)
        #expect(seen.mutex.withLock { $0.contains("f17/") })
        let wanted = names.filter { !$0.hasPrefix("f11/") }
        #expect(page.secrets.map(\.name.text) == wanted && page.next == nil)
        #expect(page.refused.map(\.code) == [.vaultAccessDenied] && page.unseen == [Array("f11/".utf8)])
    }
}
