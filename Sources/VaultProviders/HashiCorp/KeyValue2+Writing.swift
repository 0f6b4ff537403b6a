// KV 2 of Vault and OpenBao: writing.

import Primitives
import SecretVaults

extension KeyValue2 {
    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try client.check(put, capabilities)
        let expected: UInt64?
        switch put.expected {
        case .anything: expected = nil
        case .absent: expected = 0
        case .current(let id):
            guard let number = id.number else { throw .secretConflict(put.name, "it has no version \(id)") }
            expected = number
        }
        var body = SecretBuffer(capacity: put.value.bytes.count + 64)
        body.append(expected.map { "{\"options\":{\"cas\":\($0)},\"data\":" } ?? "{\"data\":")
        put.value.bytes.withBytes { body.append($0) }
        body.append("}")
        let call = HashiCorpCall(
            .post, client.path("data/", put.name), .write, body: body.taken(), effect: .write)
        do throws(HoldfastError) {
            let answer = try client.send(call)
            guard answer.status == 200 else { throw client.refusal(answer, put.name, call) }
            return try written(answer, put.name)
        } catch  where error.code == .writeUnknown {
            guard let expected else { throw error }
            return try settled(put, number: expected + 1, error)
        }
    }

    private func written(_ answer: VaultAnswer, _ name: SecretName) throws(HoldfastError) -> SecretVersion {
        var found: SecretVersion?
        let now = answer.time(client.clock)
        _ = try? client.session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                if key == "data" {
                    found = try SecretVersion(number: 0, &scanner, now: now)
                } else {
                    try scanner.skip()
                }
            }
        }
        guard let found, found.order > 0 else {
            throw HoldfastError(
                .writeUnknown, "the vault \(location) does not say which version of \(name) it wrote",
                hint: "Look at the secret before anything else is written.")
        }
        return found
    }

    /// Looks what became of a put that expected something and got no answer.
    ///
    /// Where its version is there with its value, it was done. Where it is there with another, it never can be any
    /// more. Where it is not there the request may still be on its way.
    private func settled(
        _ put: SecretPut, number: UInt64, _ unknown: HoldfastError
    ) throws(HoldfastError) -> SecretVersion {
        let id = SecretVersionID(number: number)
        guard let record = try? describe(put.name), let version = record[id] else { throw unknown }
        guard let reading = try? read(put.name, id) else { throw unknown }
        guard JSONText.isSame(reading.value.bytes, put.value.bytes) else {
            throw .secretConflict(put.name, "version \(id) was written by somebody else")
        }
        return version
    }

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        try client.check(name, capabilities)
        switch change {
        case .state(let state, let id): try self.change(name, state, of: id)
        case .attributes(let attributes): try set(name, attributes)
        case .keepVersions(let least): try keepVersions(name, atLeast: least)
        case .remove(.permanent): try remove(name)
        case .label: throw .unsupported("put labels on \(name)", by: capabilities.kind)
        case .versionAttributes: throw .unsupported("keep attributes of a version of \(name)", by: capabilities.kind)
        case .remove(.recoverable), .recover:
            throw .unsupported("remove \(name) so that it can be had back", by: capabilities.kind)
        }
    }

    private func change(
        _ name: SecretName, _ change: SecretStateChange, of id: SecretVersionID
    ) throws(HoldfastError) {
        guard capabilities.stateChanges.contains(change) else {
            throw .unsupported("\(change.rawValue) a version of \(name)", by: capabilities.kind)
        }
        // The server answers alike for versions that it does not have.
        let version = try find(name, id)
        switch (change, version.state) {
        case (.destroy, .destroyed), (.softDelete, .softDeleted): return
        case (.undelete, .live) where version.deletionDue == nil: return
        case (_, .destroyed): throw .secretDestroyed(name, id)
        default: break
        }
        let area = change == .softDelete ? "delete" : change == .undelete ? "undelete" : "destroy"
        var body = SecretBuffer()
        body.append("{\"versions\":[\(version.order)]}")
        let call = HashiCorpCall(.put, client.path(area + "/", name), .change, body: body.taken(), effect: .write)
        do throws(HoldfastError) {
            let answer = try client.send(call)
            guard (200..<300).contains(answer.status) else { throw client.refusal(answer, name, call) }
        } catch  where error.code == .writeUnknown {
            guard let now = (try? find(name, id))?.state else { throw error }
            switch (change, now) {
            case (.destroy, .destroyed), (.softDelete, .softDeleted), (.undelete, .live): return
            default: throw error
            }
        }
    }

    private func find(_ name: SecretName, _ id: SecretVersionID) throws(HoldfastError) -> SecretVersion {
        guard let version = try describe(name)[id] else { throw .secretNotFound(name, id) }
        return version
    }

    /// In seconds; the server takes no longer one.
    private static let longestDuration: Int64 = 9_223_372_036

    private func set(_ name: SecretName, _ attributes: SecretAttributes) throws(HoldfastError) {
        if attributes.description != nil { throw .unsupported("keep a description of \(name)", by: capabilities.kind) }
        let limits = attributes.limits
        if let number = limits.maximumVersions, !(1...Int(Int32.max)).contains(number) {
            throw HoldfastError(
                .usage, "\(number) versions at most for \(name)", hint: "Give a number from 1 on, or none.")
        }
        if let length = limits.deletesAfter, length < .seconds(1) {
            throw HoldfastError(
                .usage, "versions of \(name) are to go after \(length)", hint: "Give a second or more, or none.")
        }
        var body = SecretBuffer()
        body.append("{\"max_versions\":\(limits.maximumVersions ?? 0)")
        body.append(",\"cas_required\":\(limits.requiresComparison ?? false)")
        let deletesAfter = min(limits.deletesAfter?.components.seconds ?? 0, Self.longestDuration)
        body.append(",\"delete_version_after\":\"\(deletesAfter)s\"")
        body.append(",\"custom_metadata\":{")
        for (index, tag) in attributes.tags.tags.enumerated() {
            if index > 0 { body.append(",") }
            body.appendJSON(tag.key)
            body.append(":")
            body.appendJSON(tag.value)
        }
        body.append("}}")
        let call = HashiCorpCall(
            .post, client.path("metadata/", name), .write, body: body.taken(), effect: .write)
        let answer = try client.send(call)
        guard (200..<300).contains(answer.status) else { throw client.refusal(answer, name, call) }
    }

    private func remove(_ name: SecretName) throws(HoldfastError) {
        // The server answers alike for a secret that it does not have.
        _ = try describe(name)
        let call = HashiCorpCall(.delete, client.path("metadata/", name), .remove, effect: .write)
        do throws(HoldfastError) {
            let answer = try client.send(call)
            guard (200..<300).contains(answer.status) else { throw client.refusal(answer, name, call) }
        } catch  where error.code == .writeUnknown {
            // A look that fails in another way tells nothing.
            guard isGone(name) else { throw error }
        }
    }

    private func isGone(_ name: SecretName) -> Bool {
        do throws(HoldfastError) {
            _ = try describe(name)
            return false
        } catch {
            return error.code == .secretNotFound
        }
    }
}
