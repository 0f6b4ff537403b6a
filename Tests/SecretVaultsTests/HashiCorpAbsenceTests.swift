// What Vault and OpenBao say of what is not there, and what something else says in their place.

import Foundation
import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultSupport

@testable import VaultProviders

/// Answers that say nothing of what is in a mount.
private let noWords: [(name: String, reply: ScriptedVault.Reply)] = [
    (
        "a mount that is made ready",
        .answer(
            400,
            body: #"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable "#
                + #"for a brief period and will resume service shortly."]}"#)
    ),
    (
        "a standby that waits",
        .answer(400, body: #"{"errors":["Waiting for the primary to upgrade from non-versioned to versioned data."]}"#)
    ),
    ("a refusal", .answer(400, body: #"{"errors":["no"]}"#)),
    ("a page", .answer(404, headers: [("Content-Type", "text/html")], body: "default backend - 404")),
    ("no list of errors", .answer(404, body: #"{"message":"not found"}"#)),
    ("half an answer", .answer(404, body: #"{"errors":[]"#)),
    ("a mount that is gone", .answer(404, body: #"{"errors":["no handler for route"]}"#)),
]

@Suite("An answer that is not about what is there", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpAbsenceTests {
    private let server: OpenBaoServer
    private let mount: String
    private let clock = ManualClock()
    private let name = SecretName(validated: Array("folder/app".utf8))

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "n" + Hex.encode(try SystemEntropy().bytes(6))
    }

    private func mounted(_ version: Int) throws {
        try server.mount(mount, version: version)
        let value = #"{"value":"one"}"#
        let (path, body) = version == 2 ? ("data/\(name)", "{\"data\":\(value)}") : ("\(name)", value)
        try server.must(.post, "\(mount)/\(path)", body)
    }

    private func open(_ scripted: ScriptedVault) throws -> any SecretVault {
        try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: .token(secret(server.token))), clock: clock)
    }

    /// A mount where every call below it gets this answer.
    private func answering(_ reply: ScriptedVault.Reply) throws -> ScriptedVault {
        let mount = mount
        return try ScriptedVault(before: server) { $0.target.hasPrefix("/v1/\(mount)/") ? reply : .passOn }
    }

    @Test("is never taken for an empty folder, for a secret that is not there, or for the limits of a mount")
    func versioned() throws {
        try mounted(2)
        for (what, reply) in noWords {
            let scripted = try answering(reply)
            defer { scripted.stop() }
            let vault = try open(scripted)
            let found = [
                failure { _ = try vault.list(under: "", after: nil, limit: 10) },
                failure { _ = try vault.list(under: "folder/", after: nil, limit: 10) },
                failure { _ = try vault.describe(name) },
                failure { _ = try vault.read(name, nil) },
                failure { _ = try vault.read(name, try SecretVersionID("1")) },
                failure { _ = try vault.preflight([.list], under: "") },
            ]
            for (place, error) in found.enumerated() {
                #expect(
                    error.map { [.vaultUnavailable, .vaultNotFound].contains($0.code) } == true, "\(what), \(place)")
            }
        }
    }

    @Test("is never taken for a place to put a value at")
    func first() throws {
        try mounted(1)
        for (what, reply) in noWords {
            let mount = mount
            let scripted = try ScriptedVault(before: server) { request in
                request.target.hasPrefix("/v1/\(mount)/") && request.method == "GET" ? reply : .passOn
            }
            defer { scripted.stop() }
            let vault = try open(scripted)
            let put = SecretPut(name, fields(#"{"value":"two"}"#), expected: .absent)
            let found = failure { _ = try vault.put(put) }
            #expect(found.map { [.vaultUnavailable, .vaultNotFound].contains($0.code) } == true, "\(what)")
            #expect(failure { _ = try vault.list(under: "", after: nil, limit: 10) } != nil, "\(what)")
            #expect(failure { _ = try vault.describe(name) }.map { $0.code != .secretNotFound } == true, "\(what)")
        }
        #expect(try server.open(mount).read(name, nil).value.equals(fields(#"{"value":"one"}"#)))
    }

    @Test("passes by itself where a mount is being made ready, for writes as well, which did nothing")
    func passing() throws {
        try mounted(2)
        let mount = mount
        for reply in [noWords[0].reply, noWords[1].reply, noWords[3].reply] {
            let isWrite = if case .answer(400, _, _) = reply { true } else { false }
            let scripted = try ScriptedVault(
                before: server,
                script: script([reply, reply], for: { $0.target.hasPrefix("/v1/\(mount)/") }))
            defer { scripted.stop() }
            let vault = RetryingVault(
                try open(scripted),
                VaultPatience(clock: clock, entropy: SeededEntropy(seed: 5), cancellation: Cancellation()))
            if isWrite {
                _ = try vault.put(SecretPut(name, fields("{}"), expected: .anything))
            } else {
                _ = try vault.describe(name)
            }
        }
        #expect(try server.open(mount).describe(name).versions.count == 3)
    }

    @Test("leaves it open whether a removal was done whose answer was lost")
    func removal() throws {
        for version in [1, 2] {
            let isLost = Shared(false)
            let mount = "\(mount)\(version)"
            try server.mount(mount, version: version)
            let (path, value) = version == 2 ? ("data/a", #"{"data":{"a":"b"}}"#) : ("a", #"{"a":"b"}"#)
            try server.must(.post, "\(mount)/\(path)", value)
            let scripted = try ScriptedVault(before: server) { request in
                if request.method == "DELETE" {
                    isLost.mutex.withLock { $0 = true }
                    return .passOnAndLose
                }
                let isLook = request.target.hasPrefix("/v1/\(mount)/") && isLost.mutex.withLock { $0 }
                return isLook ? .answer(503) : .passOn
            }
            defer { scripted.stop() }
            let vault = try HashiCorpMount.open(
                try HashiCorpLocation("\(scripted.origin)/\(mount)"),
                HashiCorpOptions(login: .token(secret(server.token))), clock: clock)
            let found = failure { try vault.change(try SecretName("a"), .remove(.permanent)) }
            #expect(found?.code == .writeUnknown, "\(version): \(String(describing: found))")
        }
    }
}

@Suite("What a server of Vault can say without end", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpBoundTests {
    private let server: OpenBaoServer
    private let mount: String

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "b" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
    }

    private func open(_ scripted: ScriptedVault) throws -> any SecretVault {
        try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: .token(secret(server.token))), clock: ManualClock())
    }

    @Test("are folders in folders, which are told and left where they are too deep", arguments: ["x/", "\u{65E5}/"])
    func folders(_ folder: String) throws {
        let mount = mount
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.hasPrefix("/v1/\(mount)/") else { return .passOn }
            if request.target.contains("detailed-metadata") { return .answer(405) }
            return .answer(200, body: "{\"data\":{\"keys\":[\"\(folder)\"]}}")
        }
        defer { scripted.stop() }
        let vault = try open(scripted)
        let found = Shared<Result<SecretPage, HoldfastError>?>(nil)
        // With the stack of a thread of the program.
        let thread = JoinableThread {
            let result = Result { () throws(HoldfastError) in try vault.list(under: "", after: nil, limit: 10) }
            found.mutex.withLock { $0 = result }
        }
        thread?.join()
        let page = try #require(try found.mutex.withLock { $0 }?.get())
        #expect(page.secrets.isEmpty && page.next == nil && page.refused.map(\.code) == [.limitExceeded])
    }

    @Test("is a folder with more names than one answer may have, which is named, and the rest is taken")
    func longFolder() throws {
        for name in ["a", "large/b", "z/c"] { try server.must(.post, "\(mount)/data/\(name)", "{\"data\":{}}") }
        let mount = mount
        let names = (0..<3000).map { "\"\(String(repeating: "n", count: 20))\($0)\"" }.joined(separator: ",")
        for answersInDetail in [true, false] {
            let scripted = try ScriptedVault(before: server) { request in
                if request.target.contains("detailed-metadata"), !answersInDetail { return .answer(405) }
                guard request.target.contains("metadata/large/") else { return .passOn }
                return .answer(200, body: "{\"data\":{\"keys\":[\(names)]}}")
            }
            defer { scripted.stop() }
            var options = HashiCorpOptions(login: .token(secret(server.token)))
            options.http.largestAnswer = .kibi(64)
            let vault = try HashiCorpMount.open(
                try HashiCorpLocation("\(scripted.origin)/\(mount)"), options, clock: ManualClock())
            let page = try vault.list(under: "", after: nil, limit: 10)
            #expect(page.secrets.map(\.name.text) == ["a", "z/c"] && page.next == nil)
            #expect(page.refused.map(\.code) == [.limitExceeded] && page.unseen == [Array("large/".utf8)])
            #expect(page.refused.first?.message.contains("the folder large/") == true)
            // Of the only folder that was asked for there is no rest.
            #expect(failure { _ = try vault.list(under: "large/", after: nil, limit: 10) }?.code == .limitExceeded)
        }
    }

    @Test("is a listing with records that is too long, in the place of which secrets are asked for one by one")
    func longRecords() throws {
        let mount = mount
        for name in ["a", "b", "c"] { try server.must(.post, "\(mount)/data/\(name)", "{\"data\":{}}") }
        let filler = String(repeating: "f", count: 1 << 16)
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.contains("detailed-metadata") else { return .passOn }
            return .answer(200, body: "{\"data\":{\"keys\":[\"a\"],\"filler\":\"\(filler)\"}}")
        }
        defer { scripted.stop() }
        var options = HashiCorpOptions(login: .token(secret(server.token)))
        options.http.largestAnswer = .kibi(64)
        let vault = try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"), options, clock: ManualClock())
        let page = try vault.list(under: "", after: nil, limit: 10)
        #expect(page.secrets.map(\.name.text) == ["a", "b", "c"] && page.secrets.allSatisfy { $0.record == nil })
        #expect(page.refused.isEmpty && page.next == nil)
    }

    @Test("is one secret with more versions than any has, which alone is not listed with its record")
    func versions() throws {
        let mount = mount
        for name in ["a", "b"] { try server.must(.post, "\(mount)/data/\(name)", "{\"data\":{}}") }
        let versions = (1...SecretBounds.versions + 1).map { "\"\($0)\":{}" }.joined(separator: ",")
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.contains("detailed-metadata"), !request.target.contains("after=b") else {
                return .passOn
            }
            return .answer(
                200,
                body: "{\"data\":{\"keys\":[\"a\",\"b\"],\"key_info\":{\"a\":{\"versions\":{\(versions)}},"
                    + "\"b\":{\"versions\":{\"1\":{}}}}}}")
        }
        defer { scripted.stop() }
        let page = try open(scripted).list(under: "", after: nil, limit: 10)
        #expect(page.secrets.map(\.name.text) == ["a", "b"])
        #expect(page.secrets.map { $0.record?.versions.count } == [nil, 1])
    }

    @Test("are names of other folders, which are no answer to what was asked")
    func names() throws {
        let mount = mount
        let scripted = try ScriptedVault(before: server) { request in
            guard request.target.hasPrefix("/v1/\(mount)/") else { return .passOn }
            return .answer(200, body: #"{"data":{"keys":["a/b"]}}"#)
        }
        defer { scripted.stop() }
        let vault = try open(scripted)
        #expect(failure { _ = try vault.list(under: "", after: nil, limit: 1) }?.code == .corruptObject)
    }

    @Test("is a value that is too large, which is named, also when it never ends")
    func values() throws {
        let mount = mount
        let filler = String(repeating: "x", count: 1 << 20)
        @Sendable func answer(_ text: String) -> ScriptedVault.Reply {
            .answer(
                200,
                body: "{\"data\":{\"data\":{\"a\":\"\(text)\"},\"metadata\":"
                    + "{\"created_time\":\"2026-01-01T00:00:00Z\",\"destroyed\":false,\"version\":7}}}")
        }
        for reply in [answer(filler), answer(filler + filler + filler)] {
            let scripted = try ScriptedVault(before: server) { request in
                request.target.hasPrefix("/v1/\(mount)/data/") ? reply : .passOn
            }
            defer { scripted.stop() }
            let vault = try open(scripted)
            let found = failure { _ = try vault.read(try SecretName("big"), try SecretVersionID("7")) }
            #expect(found?.code == .limitExceeded && found?.message.contains("version 7 of the secret big") == true)
        }
        let fits = try ScriptedVault(before: server) { request in
            request.target.hasPrefix("/v1/\(mount)/data/") ? answer(String(filler.dropLast(8))) : .passOn
        }
        defer { fits.stop() }
        #expect(try open(fits).read(try SecretName("big"), nil).value.bytes.count == 1 << 20)
    }

    @Test("is a length of time")
    func durations() throws {
        #expect(Duration(goText: "2700000h") == nil && Duration(goText: "9300000000s") == nil)
        let longest = try #require(Duration(goText: "2562047h47m16.854775807s"))
        #expect(longest.components.seconds == 9_223_372_036)
        #expect(Duration(goText: "-2562047h47m16.854775808s")?.components.seconds == -9_223_372_036)
        #expect(Duration(goText: "1h0m0.25s") == .milliseconds(3_600_250))
        try server.must(
            .post, "\(mount)/metadata/a", #"{"delete_version_after":"2562047h47m16.854775807s"}"#)
        let vault = try server.open(mount)
        let name = try SecretName("a")
        let record = try vault.describe(name)
        // The server keeps whole seconds.
        #expect(record.attributes.limits.deletesAfter == .seconds(longest.components.seconds))
        #expect(try vault.list(under: "", after: nil, limit: 5).secrets.first?.record == record)
        try vault.change(name, .attributes(record.attributes))
        #expect(try vault.describe(name).attributes.limits.deletesAfter == .seconds(9_223_372_036))
    }
}
