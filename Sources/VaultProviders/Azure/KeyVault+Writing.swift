// Putting versions into Azure Key Vault.

import Primitives
import SecretVaults

extension KeyVault {
    /// A wait for the next second is not longer than this; a time further off is a clock that is wrong, and then a
    /// second has to do.
    private static let longestPause: Int64 = 5

    /// Puts a version, which the service makes current at once and compares with nothing.
    ///
    /// What is there is looked at first, so that a put meets a removed secret, another spelling or another version than
    /// it expects with the failure that says so; a writer in between is not noticed. A put that got no answer is looked
    /// for: a version that was not there before and has its value and its attributes is taken for it.
    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try check(put)
        let there = try look(put.name)
        if let other = there.otherName {
            throw HoldfastError.secretConflict(
                put.name, "it is there as \(other), which the service takes for one name")
        }
        try expect(put, there.record)
        try pause(after: there)
        let call = KeyVaultCall(
            method: .put, target: target(path(put.name)), right: .write, action: "setSecret/action",
            subject: put.name.text, body: Self.body(put), effect: .write)
        do throws(HoldfastError) {
            switch try session.send(call) {
            case .success(let answer): return try made(answer, put, after: there.record)
            case .refused(.removed): throw HoldfastError.secretDeleted(put.name, nil)
            case .refused: throw unfit("put", put.name)
            }
        } catch  where error.code == .writeUnknown {
            return try found(put, before: there.record, error)
        }
    }

    // MARK: - Before

    private func check(_ put: SecretPut) throws(HoldfastError) {
        if let why = capabilities.refusal(of: put.name) {
            throw HoldfastError(
                .limitExceeded, "\(put.name) can't be the name of a secret in Azure Key Vault: \(why)",
                hint: "Choose another name.")
        }
        guard put.value.form == .text else {
            throw HoldfastError.unsupported("keep other values than texts", by: .azure)
        }
        guard put.staging == .current else { throw HoldfastError.unsupported("put labels on versions", by: .azure) }
        guard put.id == nil else { throw HoldfastError.unsupported("take an id for a version", by: .azure) }
        guard put.created == nil else { throw HoldfastError.unsupported("take an instant for a version", by: .azure) }
        let count = put.value.bytes.count
        guard count <= Int(clamping: capabilities.maximumValue.bytes) else {
            throw HoldfastError(
                .limitExceeded, "a value of \(count) bytes for the secret \(put.name)",
                hint: "A value in Azure Key Vault has \(capabilities.maximumValue) at most.")
        }
        guard put.value.bytes.withBytes({ String(validating: $0, as: UTF8.self) != nil }) else {
            throw HoldfastError(
                .usage, "a text for the secret \(put.name) that is no UTF-8",
                hint: "Put it in base64, and say so in its content type.")
        }
        try check(put.attributes, of: put.name)
    }

    func check(_ attributes: SecretVersionAttributes, of name: SecretName) throws(HoldfastError) {
        let tags = attributes.tags.tags
        guard tags.count <= Self.maximumTags, tags.allSatisfy({ $0.key.count <= 512 && $0.value.count <= 256 }) else {
            throw HoldfastError(
                .limitExceeded, "tags of the secret \(name) that Azure Key Vault does not take",
                hint: "There are \(Self.maximumTags) at most, with keys of 512 characters and values of 256.")
        }
        guard (attributes.contentType ?? "").count <= 255 else {
            throw HoldfastError(
                .limitExceeded, "a content type of the secret \(name) that is too long", hint: "It has 255 characters.")
        }
    }

    private func expect(_ put: SecretPut, _ there: SecretRecord?) throws(HoldfastError) {
        if there?.removal != nil { throw HoldfastError.secretDeleted(put.name, nil) }
        switch put.expected {
        case .anything: return
        case .absent:
            guard there != nil else { return }
            throw HoldfastError.secretConflict(put.name, "it has a version already")
        case .current(let id):
            guard there?.current != id else { return }
            let current = there?.current.map { "\($0)" } ?? "none"
            throw HoldfastError.secretConflict(put.name, "its current version is \(current) and not \(id)")
        }
    }

    /// Waits until the second of the newest version is over, by the service's own clock, which tells whole seconds.
    private func pause(after there: Look) throws(HoldfastError) {
        guard let newest = there.record?.versions.last?.created?.seconds else { return }
        let wait = newest + 1 - there.second
        guard wait >= 1 else { return }
        clock.sleep(for: .seconds(wait > Self.longestPause ? 1 : wait), unless: cancellation)
        try cancellation.check()
    }

    // MARK: - Calls

    private static func body(_ put: SecretPut) -> SecretBytes {
        var body = SecretBuffer(capacity: put.value.bytes.count + 256)
        body.append("{\"value\":")
        put.value.bytes.withBytes { body.appendJSON($0) }
        body.append(",")
        append(put.attributes, to: &body, isEnabled: !put.isDisabled)
        body.append("}")
        return body.taken()
    }

    /// The members of an object. What is nil is left out, but for tags and the content type of a version that has some.
    static func append(
        _ attributes: SecretVersionAttributes, to body: inout SecretBuffer, over old: SecretVersionAttributes? = nil,
        isEnabled: Bool = true
    ) {
        if attributes.contentType != nil || old?.contentType != nil {
            body.append("\"contentType\":")
            body.appendJSON(attributes.contentType ?? "")
            body.append(",")
        }
        if !attributes.tags.isEmpty || old?.tags.isEmpty == false {
            body.append("\"tags\":{")
            for (index, tag) in attributes.tags.tags.enumerated() {
                if index > 0 { body.append(",") }
                body.appendJSON(tag.key)
                body.append(":")
                body.appendJSON(tag.value)
            }
            body.append("},")
        }
        var dates: [String] = []
        if let start = attributes.notBefore { dates.append("\"nbf\":\(start.seconds)") }
        if let end = attributes.expires { dates.append("\"exp\":\(end.seconds)") }
        // A change of attributes leaves that as it is.
        if old == nil { dates.append("\"enabled\":\(isEnabled)") }
        body.append("\"attributes\":{\(dates.joined(separator: ","))}")
    }

    private func made(
        _ answer: VaultAnswer, _ put: SecretPut, after there: SecretRecord?
    ) throws(HoldfastError) -> SecretVersion {
        let item = try? session.read(answer) { (scanner) throws(HoldfastError) in try KeyVaultItem(&scanner) }
        let twins = there?.versions.count { $0.created == item?.created } ?? 0
        guard let item, item.id.name.isSpelling(of: put.name), let version = item.version(after: twins)
        else {
            throw HoldfastError(
                .writeUnknown, "\(location) does not say which version of \(put.name) it made",
                hint: "Look at the secret before anything else is written.")
        }
        return version
    }

    /// Looks for a put that got no answer.
    ///
    /// - Throws: `unknown` where it is not there, since it may still be under way, and where that can't be seen.
    private func found(
        _ put: SecretPut, before there: SecretRecord?, _ unknown: HoldfastError
    ) throws(HoldfastError) -> SecretVersion {
        // Nobody can read one that is disabled.
        guard !put.isDisabled, let now = try? look(put.name).record else { throw unknown }
        let known = Set(there?.versions.map(\.id) ?? [])
        let new = now.versions.filter { version in
            !known.contains(version.id) && version.state == .live && version.attributes == put.attributes
        }
        for version in new.suffix(8).reversed() {
            guard let reading = try? read(put.name, version.id), reading.value.equals(put.value) else { continue }
            return version
        }
        throw unknown
    }
}
