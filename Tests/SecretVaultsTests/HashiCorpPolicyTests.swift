// Policies of OpenBao that give a listing in parts, or leave names out of it.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("A listing under a policy of OpenBao", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct HashiCorpPolicyTests {
    private let server: OpenBaoServer
    private let mount: String

    init() throws {
        server = try OpenBaoServer.inMemory()
        mount = "q" + Hex.encode(try SystemEntropy().bytes(6))
    }

    private func names(_ vault: any SecretVault, by limit: Int) throws -> [String] {
        var (names, mark): ([String], VaultPageMark?) = ([], nil)
        repeat {
            let page = try vault.list(under: "", after: mark, limit: limit)
            #expect(page.refused.isEmpty)
            names += page.secrets.map(\.name.text)
            mark = page.next
        } while mark != nil
        return names
    }

    private func open(_ name: String, _ policy: String) throws -> any SecretVault {
        let token = try server.token(name, policy: policy.replacingOccurrences(of: "MOUNT", with: mount))
        return try server.open(mount, .token(secret(token)))
    }

    @Test("that bounds its pages has all names, with their records and without", arguments: ["", "detailed-"])
    func paginated(_ area: String) throws {
        try server.mount(mount, version: 2)
        let all = (10..<22).map { "folder/name\($0)" } + (10..<15).map { "top\($0)" }
        for name in all { try server.must(.post, "\(mount)/data/\(name)", #"{"data":{"a":"b"}}"#) }
        let vault = try open(
            "\(mount)\(area)",
            """
            path "MOUNT/metadata/*" {
              capabilities = ["list", "read"]
              \(area.isEmpty ? "pagination_limit = 3" : "")
            }
            path "MOUNT/detailed-metadata/*" {
              capabilities = ["list"]
              pagination_limit = 3
            }
            """)
        for limit in [1, 2, 4, 200] { #expect(try names(vault, by: limit) == all, "\(limit)") }
    }

    @Test("that leaves out what it may not read has all that comes behind that")
    func filtered() throws {
        try server.mount(mount, version: 2)
        let all = (10..<30).map { "name\($0)" }
        for name in all { try server.must(.post, "\(mount)/data/\(name)", #"{"data":{"a":"b"}}"#) }
        let hidden: Set = ["name11", "name15", "name18", "name22", "name26"]
        let filter = #"list_scan_response_keys_filter_path = "{{ .path }}{{ .key }}""#
        let vault = try open(
            mount,
            """
            path "MOUNT/metadata/" {
              capabilities = ["list"]
              \(filter)
            }
            path "MOUNT/metadata/*" { capabilities = ["list", "read"] }
            path "MOUNT/detailed-metadata/" {
              capabilities = ["list"]
              \(filter)
            }
            path "MOUNT/detailed-metadata/*" { capabilities = ["list", "read"] }
            \(hidden.map { "path \"MOUNT/metadata/\($0)\" { capabilities = [\"deny\"] }" }.joined(separator: "\n"))
            \(hidden.map { "path \"MOUNT/detailed-metadata/\($0)\" { capabilities = [\"deny\"] }" }
                .joined(separator: "\n"))
            """)
        for limit in [2, 3, 200] {
            #expect(try names(vault, by: limit) == all.filter { !hidden.contains($0) }, "\(limit)")
        }
    }

    @Test("of the first version keeps no secret from being seen before it is put, or described")
    func first() throws {
        try server.mount(mount, version: 1)
        let all = (10..<22).map { "name\($0)" }
        for name in all { try server.must(.post, "\(mount)/\(name)", #"{"a":"b"}"#) }
        // What a bounded listing gives at first, and then goes on with.
        let mount = mount
        let scripted = try ScriptedVault(before: server) { request in
            request.target == "/v1/\(mount)/?list=true"
                ? .answer(200, body: #"{"data":{"keys":["name10","name11","name12"]}}"#) : .passOn
        }
        defer { scripted.stop() }
        let vault = try HashiCorpMount.open(
            try HashiCorpLocation("\(scripted.origin)/\(mount)"),
            HashiCorpOptions(login: .token(secret(server.token))), clock: ManualClock())
        #expect(try names(vault, by: 200) == all)
        let last = try SecretName("name21")
        #expect(try vault.describe(last).versions.count == 1)
        #expect(failure { _ = try vault.describe(try SecretName("name22")) }?.code == .secretNotFound)
        let put = SecretPut(last, fields(#"{"a":"other"}"#), expected: .absent)
        #expect(failure { _ = try vault.put(put) }?.code == .secretConflict)
        #expect(try vault.read(last, nil).value.equals(fields(#"{"a":"b"}"#)))
    }
}
