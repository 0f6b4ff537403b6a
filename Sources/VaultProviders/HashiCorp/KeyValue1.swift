// KV 1 of Vault and OpenBao: one value under a name.

import Primitives
import SecretVaults

/// A mount of the store of keys and values without versions.
///
/// It knows nothing of a secret but its name and its value, and can't compare: an expectation is looked up before the
/// put, and a writer in between is not noticed.
package final class KeyValue1: SecretVault {
    package let capabilities: VaultCapabilities
    package var location: String { client.location }
    private let client: KeyValueClient
    private let walks: FolderWalks

    init(_ client: KeyValueClient, concurrency: Int) {
        self.client = client
        walks = FolderWalks(concurrency: concurrency)
        capabilities = VaultCapabilities(
            kind: .keyValue1, nameRule: .path, maximumNameBytes: SecretName.maximumCount,
            maximumValue: SecretValue.maximumCount, forms: [.fields], fields: [], keepsVersions: false,
            comparison: .lookedUp, stateChanges: [], removals: [.permanent], concurrency: concurrency)
    }

    package func preflight(
        _ rights: Set<VaultRight>, under prefix: String
    ) throws(HoldfastError) -> VaultPreflight {
        let path = "\(client.mount)/\(prefix)"
        var needed: [(right: VaultRight, path: String, capability: String)] = []
        for right in VaultRight.allCases where rights.contains(right) {
            switch right {
            case .list, .describe: needed.append((right, path, "list"))
            case .read: needed.append((right, path, "read"))
            case .write: needed += ["create", "update"].map { (right, path, $0) }
            // It has no states.
            case .change: break
            case .remove: needed.append((right, path, "delete"))
            }
        }
        return try client.preflight(needed)
    }

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        try walks.page(under: prefix, after: mark, limit: limit, client.clock) {
            (folder, after, _, largest) throws(HoldfastError) in
            var part = try self.client.names(in: "", folder, after: after, largest)
            for index in part.entries.indices where !part.entries[index].isFolder {
                part.entries[index].record = self.record(SecretName(validated: folder + part.entries[index].name))
            }
            return part
        }
    }

    /// Looks into the folder: nothing else tells of a secret without its value.
    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        try client.check(name, capabilities)
        let slash = name.bytes.lastIndex(of: UInt8(ascii: "/"))
        let folder = slash.map { Array(name.bytes[...$0]) } ?? []
        let own = Array(name.bytes[folder.count...])
        var (after, part) = ([UInt8](), FolderWalk.Part())
        repeat {
            part = try client.names(in: "", folder, after: after)
            if part.entries.contains(where: { $0.name == own }) { return record(name) }
            after = part.entries.last?.name ?? []
        } while part.hasMore
        throw .secretNotFound(name)
    }

    private func record(_ name: SecretName) -> SecretRecord {
        var record = SecretRecord(name: name)
        record.versions = [SecretVersion(id: .unversioned, order: 1, created: nil)]
        record.current = .unversioned
        return record
    }

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        try client.check(name, capabilities)
        if let version, version != .unversioned { throw .secretNotFound(name, version) }
        let call = HashiCorpCall(client.path("", name), .read, largestAnswer: HashiCorpAnswers.value)
        let answer = try client.naming(name, nil) { () throws(HoldfastError) in try client.send(call) }
        if answer.status == 404 { throw .secretNotFound(name) }
        guard answer.status == 200, let bytes = try client.value(answer, under: "") else {
            throw client.session.senseless("no value of \(name)")
        }
        try client.check(size: bytes, of: name, nil)
        return SecretReading(version: .unversioned, value: SecretValue(.fields, bytes))
    }

    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try client.check(put, capabilities)
        switch put.expected {
        case .anything: break
        case .absent:
            if try isThere(put.name) { throw .secretConflict(put.name, "it is there already") }
        case .current(let id):
            guard id == .unversioned, try isThere(put.name) else {
                throw .secretConflict(put.name, "it has no version \(id)")
            }
        }
        let call = HashiCorpCall(
            .post, client.path("", put.name), .write, body: put.value.bytes, effect: .write)
        do throws(HoldfastError) {
            let answer = try client.send(call)
            guard (200..<300).contains(answer.status) else { throw refusal(answer, put.name, call) }
        } catch  where error.code == .writeUnknown {
            guard let found = try? read(put.name, nil), JSONText.isSame(found.value.bytes, put.value.bytes) else {
                throw error
            }
        }
        return SecretVersion(id: .unversioned, order: 1, created: nil)
    }

    private func refusal(_ answer: VaultAnswer, _ name: SecretName, _ call: HashiCorpCall) -> HoldfastError {
        if client.session.errors(in: answer)?.contains(where: { $0.contains("missing data fields") }) == true {
            return HoldfastError(
                .usage, "\(name) has no field, which a vault of kind \(capabilities.kind.rawValue) can't keep",
                hint: "Give it a field, or use KV 2.")
        }
        return client.refusal(answer, name, call)
    }

    /// Asks for the secret itself: what a policy leaves out of a listing is there all the same.
    private func isThere(_ name: SecretName) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            _ = try read(name, nil)
            return true
        } catch {
            switch error.code {
            case .secretNotFound: return false
            case .limitExceeded: return true
            default: throw error
            }
        }
    }

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        try client.check(name, capabilities)
        guard case .remove(.permanent) = change else {
            throw .unsupported("do that to \(name); it can put and remove", by: capabilities.kind)
        }
        _ = try describe(name)
        let call = HashiCorpCall(.delete, client.path("", name), .remove, effect: .write)
        do throws(HoldfastError) {
            let answer = try client.send(call)
            guard (200..<300).contains(answer.status) else { throw client.refusal(answer, name, call) }
        } catch  where error.code == .writeUnknown {
            // A look that fails tells nothing.
            guard (try? isThere(name)) == false else { throw error }
        }
    }
}
