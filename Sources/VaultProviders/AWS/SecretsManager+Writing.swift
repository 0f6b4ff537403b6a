// Putting versions into AWS Secrets Manager.

import Primitives
import SecretVaults

extension SecretsManager {
    /// A label that a version has for a moment: the service makes no version without one.
    static let passing = "holdfast-unlabelled"

    /// Puts a version under the id of the put, or a new one, as the token that makes the call safe to repeat.
    ///
    /// What is there is looked at first, so that a put meets a removed secret or an id that is taken with the failure
    /// that says so. Only the creation of a secret is compared by the service itself.
    package func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        try check(put)
        let there = try found(put.name)
        if let id = put.id, let done = try repeated(put, id, there) { return done }
        try expect(put, there)
        let id = if let chosen = put.id { chosen } else { try newID() }
        do throws(HoldfastError) {
            try carryOut(put, id, there)
        } catch {
            guard error.code == .writeUnknown else { throw error }
            try finish(put, id, after: error)
        }
        return try settled(put, id)
    }

    private func carryOut(
        _ put: SecretPut, _ id: SecretVersionID, _ there: SecretRecord?
    ) throws(HoldfastError) {
        if there == nil {
            if try create(put, id) { return }
            // Somebody made it in between, which a put that expects anything bears.
            try expect(put, try found(put.name))
        }
        try putValue(put, id)
    }

    /// Ends a put of which nobody knows how far it came: by the version that bears its token, else by the same call
    /// once more, which the service carries out once alone.
    ///
    /// - Throws: `lost` for whatever fails here, since the first call may have been carried out, or may yet be.
    private func finish(
        _ put: SecretPut, _ id: SecretVersionID, after lost: HoldfastError
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            var there = try found(put.name)
            if try repeated(put, id, there) == nil {
                try expect(put, there)
                try carryOut(put, id, there)
                there = try found(put.name)
            }
            // What follows the first call of a put may be what got lost.
            guard case .labels(let labels) = put.staging, let there, let version = there[id] else { return }
            let passing = StagingLabel(validated: Array(Self.passing.utf8))
            for label in labels where label != Self.stages.current && !version.labels.contains(label) {
                let holder = there.versions.first { $0.labels.contains(label) }?.id
                try move(label, of: put.name, from: holder, to: id)
            }
            if !labels.contains(passing), version.labels.contains(passing) {
                try move(passing, of: put.name, from: id, to: nil)
            }
        } catch {
            throw lost
        }
    }

    // MARK: - Before

    private func check(_ put: SecretPut) throws(HoldfastError) {
        if let why = capabilities.refusal(of: put.name) {
            throw HoldfastError(
                .limitExceeded, "\(put.name) can't be the name of a secret in AWS: \(why)",
                hint: "Choose another name.")
        }
        guard capabilities.forms.contains(put.value.form) else {
            throw HoldfastError.unsupported("keep objects of fields", by: .aws)
        }
        guard put.attributes == SecretVersionAttributes(), put.created == nil, !put.isDisabled else {
            throw HoldfastError.unsupported("keep attributes, times or states of versions", by: .aws)
        }
        let count = put.value.bytes.count
        guard count > 0, count <= Int(clamping: capabilities.maximumValue.bytes) else {
            throw HoldfastError(
                .limitExceeded, "a value of \(count) bytes for the secret \(put.name)",
                hint: "A value in AWS Secrets Manager has 1 byte to \(capabilities.maximumValue).")
        }
        if put.value.form == .text {
            let isText = put.value.bytes.withBytes { String(validating: $0, as: UTF8.self) != nil }
            guard isText else {
                throw HoldfastError(
                    .usage, "a text for the secret \(put.name) that is no UTF-8", hint: "Put it as bytes.")
            }
        }
        if case .labels(let labels) = put.staging, labels.count > Self.labelQuota {
            throw HoldfastError(
                .limitExceeded, "\(labels.count) labels for one version of the secret \(put.name)",
                hint: "A secret has at most \(Self.labelQuota) over all its versions.")
        }
        if let id = put.id, !Self.isFit(id) {
            throw HoldfastError(
                .usage, "\(id) can't be the id of a version in AWS Secrets Manager",
                hint: "Give it 32 to 64 characters.")
        }
    }

    /// The version that an earlier call with this id and value has put. A version without a value, as a rotation makes
    /// it, may still get one.
    private func repeated(
        _ put: SecretPut, _ id: SecretVersionID, _ there: SecretRecord?
    ) throws(HoldfastError) -> SecretVersion? {
        guard let there, there.removal == nil, let version = there[id] else { return nil }
        do throws(HoldfastError) {
            guard try read(put.name, id).value.equals(put.value) else {
                throw HoldfastError.secretConflict(put.name, "version \(id) is there with another value")
            }
            return version
        } catch {
            guard error.code == .secretNotFound else { throw error }
            return nil
        }
    }

    private func expect(_ put: SecretPut, _ there: SecretRecord?) throws(HoldfastError) {
        if there?.removal != nil { throw HoldfastError.secretDeleted(put.name, nil) }
        switch put.expected {
        case .anything: return
        case .absent:
            guard let there, !there.versions.isEmpty else { return }
            throw HoldfastError.secretConflict(put.name, "it has a version already")
        case .current(let id):
            guard there?.current != id else { return }
            let current = there?.current.map { "\($0)" } ?? "none"
            throw HoldfastError.secretConflict(put.name, "its current version is \(current) and not \(id)")
        }
    }

    // MARK: - Calls

    /// - Returns: false when somebody else made it in between and the put bears that.
    private func create(_ put: SecretPut, _ id: SecretVersionID) throws(HoldfastError) -> Bool {
        var body = AWSObject()
        body.add("Name", put.name.text)
        body.add("ClientRequestToken", id.text)
        Self.add(put.value, to: &body)
        switch try send("CreateSecret", .write, put.name.text, body, effect: .write) {
        case .success: break
        case .refused(.exists):
            guard case .anything = put.expected else {
                throw HoldfastError.secretConflict(put.name, "somebody made it in between")
            }
            return false
        case .refused(.invalidRequest):
            throw HoldfastError(
                .secretDeleted, "the secret \(put.name) is being removed", hint: "Try again in some minutes.")
        case .refused: throw unfit("CreateSecret", put.name.text)
        }
        guard case .labels(let labels) = put.staging else { return true }
        for label in labels where label != Self.stages.current {
            try finishing(put.name) { () throws(HoldfastError) in
                try move(label, of: put.name, from: nil, to: id)
            }
        }
        return true
    }

    private func putValue(_ put: SecretPut, _ id: SecretVersionID) throws(HoldfastError) {
        var labels = [Self.stages.current.text]
        if case .labels(let chosen) = put.staging { labels = chosen.isEmpty ? [Self.passing] : chosen.map(\.text) }
        var body = AWSObject()
        body.add("SecretId", put.name.text)
        body.add("ClientRequestToken", id.text)
        Self.add(put.value, to: &body)
        body.add("VersionStages", list: labels)
        switch try send("PutSecretValue", .write, put.name.text, body, effect: .write) {
        case .success: break
        case .refused(.exists):
            throw HoldfastError.secretConflict(put.name, "version \(id) is there with another value")
        case .refused(.notFound): throw HoldfastError.secretNotFound(put.name)
        case .refused(.invalidRequest):
            if try found(put.name)?.removal != nil { throw HoldfastError.secretDeleted(put.name, nil) }
            throw unfit("PutSecretValue", put.name.text)
        case .refused: throw unfit("PutSecretValue", put.name.text)
        }
        guard labels == [Self.passing] else { return }
        try finishing(put.name) { () throws(HoldfastError) in
            try move(StagingLabel(validated: Array(Self.passing.utf8)), of: put.name, from: id, to: nil)
        }
    }

    private func settled(_ put: SecretPut, _ id: SecretVersionID) throws(HoldfastError) -> SecretVersion {
        try finishing(put.name) { () throws(HoldfastError) in
            guard let version = try describe(put.name)[id] else {
                throw session.senseless("version \(id) of the secret \(put.name) was put and is not there")
            }
            return version
        }
    }

    private static func add(_ value: SecretValue, to body: inout AWSObject) {
        if value.form == .text {
            body.add("SecretString", secret: value.bytes)
        } else {
            body.add("SecretBinary", secret: SecretBase64.encode(value.bytes))
        }
    }

    /// Runs what comes after a part of a write was carried out. Whatever fails then leaves the whole half done.
    func finishing<R>(_ name: SecretName, _ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            if error.code == .writeUnknown { throw error }
            throw HoldfastError(
                .writeUnknown, "the secret \(name) was written, and what was to follow failed: \(error.message)",
                hint: "Look at the secret before anything else is written. \(error.hint)", cause: error)
        }
    }
}
