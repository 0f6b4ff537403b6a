// What both versions of the KV store share.

import Primitives
import SecretVaults

/// A mount under a login.
struct KeyValueClient: Sendable {
    let session: HashiCorpSession
    let mount: String
    let clock: any Clock

    var location: String { session.location }

    func path(_ area: String, _ name: SecretName, query: [(String, String)] = []) -> HashiCorpPath {
        HashiCorpPath("\(mount)/\(area)\(name)", query: query)
    }

    /// - Returns: an answer of success, a 404 that says that there is nothing, or a 400 to a write.
    func send(_ call: HashiCorpCall) throws(HoldfastError) -> VaultAnswer {
        let answer = try session.send(call)
        guard answer.status == 404, !session.isAbsent(answer) else { return answer }
        throw notFound(answer, call)
    }

    /// What a 404 means that does not say that there is nothing.
    func notFound(_ answer: VaultAnswer, _ call: HashiCorpCall) -> HoldfastError {
        // No word of the vault: whatever stands before it has lost it, and nothing follows for what is in there.
        guard session.errors(in: answer) != nil else {
            return session.unavailable("something else answered \(call.path) with status 404")
        }
        return HoldfastError(
            .vaultNotFound, "the vault \(location) knows no \(call.path)",
            hint: "The mount may have been moved or unmounted; look with `bao secrets list`.")
    }

    /// A 404 of a deleted or a destroyed version says of it what it knows.
    func hasData(_ answer: VaultAnswer) -> Bool {
        var found = false
        _ = try? JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                found = found || key == "data"
                try scanner.skip()
            }
        }
        return found
    }

    /// Cuts the object at `path` out of an answer, byte for byte; nil when it is null or not there.
    func value(_ answer: VaultAnswer, under name: String) throws(HoldfastError) -> SecretBytes? {
        var found: SecretBytes?
        try session.read(answer) { (scanner) throws(HoldfastError) in
            if name.isEmpty {
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    if key == "data", scanner.next() == UInt8(ascii: "{") {
                        found = try scanner.cut()
                    } else {
                        try scanner.skip()
                    }
                }
            } else {
                try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                    if key == name, scanner.next() == UInt8(ascii: "{") {
                        found = try scanner.cut()
                    } else {
                        try scanner.skip()
                    }
                }
            }
        }
        return found
    }

    /// A refusal of a write, by what the server says; its words are not repeated, since they may quote.
    func refusal(_ answer: VaultAnswer, _ name: SecretName, _ call: HashiCorpCall) -> HoldfastError {
        let text = (session.errors(in: answer) ?? []).joined(separator: " ")
        if text.contains("check-and-set parameter did not match") {
            return .secretConflict(name, "its current version is another one")
        }
        if text.contains("check-and-set parameter required") {
            return .secretConflict(name, "it requires that a writer says which version it replaces")
        }
        if text.contains("metadata check-and-set parameter") {
            return .secretConflict(name, "its limits or tags were changed in between")
        }
        if text.contains("custom_metadata validation failed") {
            return HoldfastError(
                .limitExceeded, "the tags of \(name) are more than the vault \(location) takes",
                hint: "It takes 64 keys of 128 bytes with values of 1 to 512 bytes.")
        }
        return HoldfastError(
            .usage, "the vault \(location) refuses what is to be written to \(call.path)",
            hint: "Look at the mount's configuration; the vault's log says more.")
    }

    /// Holds a put to what a KV store has words for.
    func check(_ put: SecretPut, _ capabilities: VaultCapabilities) throws(HoldfastError) {
        try check(put.name, capabilities)
        let kind = capabilities.kind
        if put.staging != .current { throw .unsupported("put labels on \(put.name)", by: kind) }
        if put.id != nil { throw .unsupported("take an id for a version of \(put.name)", by: kind) }
        if put.created != nil { throw .unsupported("take an instant for a version of \(put.name)", by: kind) }
        if put.attributes != SecretVersionAttributes() {
            throw .unsupported("keep attributes of a version of \(put.name)", by: kind)
        }
        guard put.value.form == .fields else {
            throw .unsupported("keep \(put.name), which is no object of fields", by: kind)
        }
        guard UInt64(put.value.bytes.count) <= capabilities.maximumValue.bytes else {
            throw HoldfastError(
                .limitExceeded, "a value of \(put.value.bytes.count) bytes for \(put.name)",
                hint: "Keep values within \(capabilities.maximumValue).")
        }
        do throws(HoldfastError) {
            try JSONScanner.read(put.value.bytes) { (scanner) throws(HoldfastError) in
                try scanner.members { (scanner, _) throws(HoldfastError) in try scanner.skip() }
            }
        } catch {
            throw HoldfastError(
                .usage, "the value for \(put.name) is no JSON object", hint: "Give an object of fields.")
        }
    }

    func check(_ name: SecretName, _ capabilities: VaultCapabilities) throws(HoldfastError) {
        guard let refusal = capabilities.refusal(of: name) else { return }
        throw HoldfastError(.usage, "\(name) can't be a name here: \(refusal)", hint: "Choose another name.")
    }

    // MARK: - Looking around

    /// `defaults` is filled by the caller.
    func preflight(
        _ needed: [(right: VaultRight, path: String, capability: String)]
    ) throws(HoldfastError) -> VaultPreflight {
        var found = VaultPreflight()
        (found.server, found.notes) = try server()
        try identity(&found)
        if needed.isEmpty { return found }
        var body = SecretBuffer()
        body.append("{\"paths\":[")
        for (index, path) in Set(needed.map(\.path)).sorted().enumerated() {
            if index > 0 { body.append(",") }
            body.appendJSON(path)
        }
        body.append("]}")
        var granted: [String: Set<String>] = [:]
        let call = HashiCorpCall(.post, HashiCorpPath("sys/capabilities-self"), .list, body: body.taken())
        do throws(HoldfastError) {
            let answer = try session.send(call)
            try session.read(answer) { (scanner) throws(HoldfastError) in
                try scanner.members(of: "data") { (scanner, path) throws(HoldfastError) in
                    try scanner.elements { (scanner) throws(HoldfastError) in
                        granted[path, default: []].insert(try scanner.string())
                    }
                }
            }
        } catch  where error.code == .vaultAccessDenied {
            found.untold = Set(needed.map(\.right))
            return found
        }
        for need in needed {
            let has = granted[need.path] ?? []
            if has.contains("root") || has.contains(need.capability) { continue }
            found.missing.append(VaultPreflight.Missing(need.right, path: need.path))
        }
        return found
    }

    /// - Throws: `.vaultSealed`, and `.vaultUnavailable` for a standby, which `sys/health` tells by its status.
    private func server() throws(HoldfastError) -> (String?, [String]) {
        let answer = try session.sendOpenly(HashiCorpPath("sys/health"))
        switch answer.status {
        case 200: break
        case 429, 473: return (nil, ["this is a standby, which passes calls on"])
        case 503: throw session.sealed("sealed")
        case 404: return (nil, [])
        default: throw session.failure(answer, HashiCorpCall(HashiCorpPath("sys/health"), .list))
        }
        var (version, isVault) = (String?.none, false)
        try session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                if key == "version" { version = try scanner.string() } else { try scanner.skip() }
                // OpenBao took that field out.
                if key == "enterprise" { isVault = true }
            }
        }
        return (version.map { "\(isVault ? "Vault" : "OpenBao") \($0)" }, [])
    }

    private func identity(_ found: inout VaultPreflight) throws(HoldfastError) {
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try session.send(HashiCorpCall(HashiCorpPath("auth/token/lookup-self"), .list))
        } catch  where error.code == .vaultAccessDenied { return }
        guard answer.status == 200 else { return }
        var (name, end, isRenewable) = (String?.none, Timestamp?.none, false)
        try session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "display_name": name = try scanner.optionalString()
                case "expire_time": end = try scanner.instant()
                case "renewable": isRenewable = try scanner.bool()
                default: try scanner.skip()
                }
            }
        }
        found.identity = name
        found.loginEnds = isRenewable ? nil : end
    }
}
