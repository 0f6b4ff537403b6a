// Changing secrets of Azure Key Vault.

import Primitives
import SecretVaults

extension KeyVault {
    /// How often the end of a removal, a recovery or a purge is looked for, with waits that double from a tenth of a
    /// second to two: half a minute in all.
    private static let looks = 20

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        switch change {
        case .state(.enable, let id): try set(true, name, id)
        case .state(.disable, let id): try set(false, name, id)
        case .state(let state, _): throw HoldfastError.unsupported("\(state.rawValue) one version", by: .azure)
        case .label: throw HoldfastError.unsupported("put labels on versions", by: .azure)
        case .attributes(let attributes):
            guard attributes == SecretAttributes() else {
                throw HoldfastError.unsupported("keep attributes of secrets", by: .azure)
            }
            _ = try describe(name)
        case .keepVersions: throw HoldfastError.unsupported("keep limits of a secret", by: .azure)
        case .versionAttributes(let attributes, let id): try set(attributes, name, id)
        case .remove(.recoverable): try remove(name)
        case .remove(.permanent): try purge(name)
        case .recover: try recover(name)
        }
    }

    private func live(_ name: SecretName, _ id: SecretVersionID) throws(HoldfastError) -> SecretVersion {
        let record = try describe(name)
        if record.removal != nil { throw HoldfastError.secretDeleted(name, nil) }
        guard let version = record[id] else { throw HoldfastError.secretNotFound(name, id) }
        return version
    }

    // MARK: - Versions

    private func set(_ isEnabled: Bool, _ name: SecretName, _ id: SecretVersionID) throws(HoldfastError) {
        let wanted: SecretVersionState = isEnabled ? .live : .disabled
        guard try live(name, id).state != wanted else { return }
        var body = SecretBuffer()
        body.append("{\"attributes\":{\"enabled\":\(isEnabled)}}")
        try update(name, id, body.taken(), isEnabled ? "enabled" : "disabled") { $0.state == wanted }
    }

    private func set(
        _ attributes: SecretVersionAttributes, _ name: SecretName, _ id: SecretVersionID
    ) throws(HoldfastError) {
        try check(attributes, of: name)
        let old = try live(name, id).attributes
        guard attributes != old else { return }
        let takes =
            attributes.notBefore == nil && old.notBefore != nil || attributes.expires == nil && old.expires != nil
        guard !takes else {
            throw HoldfastError(
                .usage, "Azure Key Vault lets no date be taken away from version \(id) of the secret \(name)",
                hint: "Set another date, or put the value as a new version.")
        }
        var body = SecretBuffer()
        body.append("{")
        Self.append(attributes, to: &body, over: old)
        body.append("}")
        try update(name, id, body.taken(), "changed") { $0.attributes == attributes }
    }

    /// - Parameter isDone: Whether a version is as it was to become.
    private func update(
        _ name: SecretName, _ id: SecretVersionID, _ body: SecretBytes, _ what: String,
        _ isDone: (SecretVersion) -> Bool
    ) throws(HoldfastError) {
        let call = KeyVaultCall(
            method: .patch, target: target(path(name, "/" + PercentText.encode(id.text, keeping: ""))), right: .change,
            action: "update/action", subject: name.text, body: body, effect: .write)
        do throws(HoldfastError) {
            switch try session.send(call) {
            case .success: return
            case .refused(.notFound): throw HoldfastError.secretNotFound(name, id)
            case .refused(.removed): throw HoldfastError.secretDeleted(name, nil)
            case .refused: throw unfit(what, name)
            }
        } catch  where error.code == .writeUnknown {
            guard let version = try? live(name, id), isDone(version) else { throw error }
        }
    }

    // MARK: - Removing

    private func remove(_ name: SecretName) throws(HoldfastError) {
        guard try describe(name).removal == nil else { return }
        try carryOut(.delete, path(name), "delete", name, "removed") { () throws(HoldfastError) in
            try removed(name) != nil
        }
    }

    private func purge(_ name: SecretName) throws(HoldfastError) {
        let record = try describe(name)
        guard record.removal != nil else {
            throw HoldfastError(
                .usage, "the secret \(name) is not removed, and Azure Key Vault purges removed ones alone",
                hint: "Remove it first so that it can be had back, then for good.")
        }
        guard record.extras["recoveryLevel"]?.contains("Purgeable") != false else {
            throw HoldfastError(
                .usage, "the vault \(location) is protected against purges, also of the secret \(name)",
                hint: "The service purges it by itself when its time is over.")
        }
        let path = path(name, area: Area.deletedSecrets.rawValue)
        try carryOut(.delete, path, "purge/action", name, "purged") { () throws(HoldfastError) in
            try removed(name) == nil
        }
    }

    private func recover(_ name: SecretName) throws(HoldfastError) {
        guard try describe(name).removal != nil else { return }
        let path = path(name, "/recover", area: Area.deletedSecrets.rawValue)
        try carryOut(.post, path, "recover/action", name, "recovered") { () throws(HoldfastError) in
            guard let record = try look(name).record else { return false }
            return record.removal == nil
        }
    }

    /// Begins what takes the service some seconds, and waits for its end.
    private func carryOut(
        _ method: VaultRequest.Method, _ path: String, _ action: String, _ name: SecretName, _ what: String,
        until isDone: () throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        let call = KeyVaultCall(
            method: method, target: target(path), right: .change, action: action, subject: name.text, effect: .write)
        var unknown: HoldfastError?
        do throws(HoldfastError) {
            switch try session.send(call) {
            case .success: break
            case .refused(.notFound): throw HoldfastError.secretNotFound(name)
            case .refused(.removed): throw HoldfastError.secretDeleted(name, nil)
            case .refused: throw unfit(what, name)
            }
        } catch  where error.code == .writeUnknown { unknown = error }
        try wait(for: what, name, unknown, until: isDone)
    }

    /// - Parameter unknown: What is thrown when the end is not seen, for a call that got no answer.
    private func wait(
        for what: String, _ name: SecretName, _ unknown: HoldfastError?, until isDone: () throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        var pause = Duration.milliseconds(100)
        var last: HoldfastError?
        for _ in 0..<Self.looks {
            do throws(HoldfastError) {
                if try isDone() { return }
                last = nil
            } catch {
                last = error
                guard [.vaultThrottled, .vaultUnavailable].contains(error.code), error.retry != .never else { break }
            }
            clock.sleep(for: pause, unless: cancellation)
            if cancellation.isRaised { break }
            pause = min(pause * 2, .seconds(2))
        }
        throw unknown
            ?? HoldfastError(
                .writeUnknown, "the secret \(name) is to be \(what), and that it is was not seen",
                hint: "The service takes some seconds. Look at the secret before anything else is written.",
                cause: last)
    }
}
