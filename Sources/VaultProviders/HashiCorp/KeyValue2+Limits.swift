// KV 2 of Vault and OpenBao: raising the number of versions that a secret keeps.

import Primitives
import SecretVaults

extension KeyValue2 {
    /// Another writer of the same metadata is met so often at most.
    private static let attempts = 3

    /// Sets `max_versions` and nothing beside it, so that a policy may allow that field alone.
    ///
    /// By PATCH, which makes no secret that was removed in between; by POST where the server has none.
    ///
    /// OpenBao numbers the changes of a secret's metadata and compares (`metadata_cas`): what changed in between is
    /// looked at anew. HashiCorp Vault has no such number; there the field is the last writer's.
    func keepVersions(_ name: SecretName, atLeast least: Int) throws(HoldfastError) {
        guard (1...SecretBounds.versions).contains(least) else {
            throw HoldfastError(
                .usage, "\(least) versions at least for \(name)", hint: "Give 1 to \(SecretBounds.versions).")
        }
        var attempt = 1
        while true {
            let standing = try standing(name)
            if standing.maximumVersions >= least { return }
            do throws(HoldfastError) {
                do throws(HoldfastError) {
                    return try raise(name, to: least, from: standing, by: .patch)
                } catch  where error.code == .vaultUnavailable && error.retry == .never {
                    return try raise(name, to: least, from: standing, by: .post)
                }
            } catch {
                guard error.code == .secretConflict, attempt < Self.attempts else { throw error }
                attempt += 1
            }
        }
    }

    private struct Standing {
        /// 0 is the mount's.
        var maximumVersions = 0
        /// Nil where the server has no such number.
        var number: Int64?
    }

    private func standing(_ name: SecretName) throws(HoldfastError) -> Standing {
        let call = HashiCorpCall(client.path("metadata/", name), .describe, largestAnswer: HashiCorpAnswers.record)
        let answer = try client.send(call)
        if answer.status == 404 { throw .secretNotFound(name) }
        guard answer.status == 200 else { throw client.session.senseless("no metadata of \(name)") }
        var standing = Standing()
        try client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "max_versions": standing.maximumVersions = Int(clamping: try scanner.integer())
                case "current_metadata_version": standing.number = try scanner.integer()
                default: try scanner.skip()
                }
            }
        }
        return standing
    }

    /// - Throws: `.vaultUnavailable` without a retry where the server does not know the method.
    private func raise(
        _ name: SecretName, to least: Int, from standing: Standing, by method: VaultRequest.Method
    ) throws(HoldfastError) {
        var body = SecretBuffer()
        body.append("{\"max_versions\":\(least)")
        if let number = standing.number { body.append(",\"metadata_cas\":\(number)") }
        body.append("}")
        let call = HashiCorpCall(
            method, client.path("metadata/", name), .write, body: body.taken(), effect: .write)
        do throws(HoldfastError) {
            let answer = try client.session.send(call)
            if answer.status == 404 {
                // A PATCH of what is not there has no word of the server's own: a look has.
                _ = try self.standing(name)
                throw client.notFound(answer, call)
            }
            guard (200..<300).contains(answer.status) else { throw client.refusal(answer, name, call) }
        } catch  where error.code == .writeUnknown {
            // A look that fails in another way tells nothing.
            guard let now = try? self.standing(name), now.maximumVersions >= least else { throw error }
        }
    }
}
