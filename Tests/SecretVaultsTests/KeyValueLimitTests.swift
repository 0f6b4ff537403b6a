// Raising the limit of a secret of KV 2 while answers fail and others write.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("A limit of KV 2", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct KeyValueLimitTests {
    private let server: OpenBaoServer
    private let mount: String
    private let name = SecretName(validated: Array("app".utf8))

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "l" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: 2)
        try server.must(.post, "\(mount)/data/app", #"{"data":{"value":"one"}}"#)
    }

    private func limit() throws -> Int? { try server.open(mount).describe(name).attributes.limits.maximumVersions }

    /// - Returns: The code of a failure, and what was written, by methods.
    private func raise(
        to least: Int, _ script: @escaping @Sendable (ScriptedVault.Request) -> ScriptedVault.Reply
    ) throws -> (code: ErrorCode?, writes: [String]) {
        let scripted = try ScriptedVault(before: server, script: script)
        defer { scripted.stop() }
        let vault = try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: .token(secret(server.token))), clock: ManualClock())
        let code = failure { try vault.change(name, .keepVersions(atLeast: least)) }?.code
        return (code, scripted.requests.map(\.method).filter { $0 != "GET" })
    }

    @Test("is raised by POST where the server knows no PATCH, and is looked at when an answer is lost")
    func ways() throws {
        var (code, writes) = try raise(to: 12, script([.answer(405)]) { $0.method == "PATCH" })
        #expect(try code == nil && writes == ["PATCH", "POST"] && limit() == 12)
        (code, writes) = try raise(to: 13, script([.passOnAndLose]) { $0.method == "PATCH" })
        #expect(try code == nil && writes == ["PATCH"] && limit() == 13)
        (code, writes) = try raise(to: 14, script([.lose]) { $0.method == "PATCH" })
        #expect(try code == .writeUnknown && limit() == 13)
        (code, writes) = try raise(to: 13) { _ in .passOn }
        #expect(code == nil && writes.isEmpty)
    }

    @Test("is compared with what others write meanwhile, three times, and makes no secret that was removed")
    func contended() throws {
        let (server, mount) = (server, mount)
        func others(_ times: Int, _ method: VaultRequest.Method, _ body: String?) throws -> (ErrorCode?, [String]) {
            let left = Shared(times)
            let found = try raise(to: 20) { request in
                let isNext = left.mutex.withLock { left in
                    guard request.method == "PATCH", left > 0 else { return false }
                    left -= 1
                    return true
                }
                if isNext { _ = try? server.call(method, "\(mount)/metadata/app", body) }
                return .passOn
            }
            return (found.code, found.writes)
        }
        let tag = #"{"custom_metadata":{"team":"a"}}"#
        var (code, writes) = try others(3, .post, tag)
        #expect(try code == .secretConflict && writes.count == 3 && limit() == nil)
        (code, writes) = try others(2, .post, tag)
        #expect(try code == nil && writes.count == 3 && limit() == 20)
        // Who raises it higher meanwhile is not undone.
        try server.must(.post, "\(mount)/metadata/app", #"{"max_versions":5}"#)
        (code, writes) = try others(1, .post, #"{"max_versions":50}"#)
        #expect(try code == nil && writes.count == 1 && limit() == 50)
        try server.must(.post, "\(mount)/metadata/app", #"{"max_versions":5}"#)
        (code, writes) = try others(1, .delete, nil)
        #expect(code == .secretNotFound)
        #expect(failure { _ = try limit() }?.code == .secretNotFound)
    }
}
