// Changing secrets of AWS Secrets Manager.

import Primitives
import SecretVaults

extension SecretsManager {
    /// Days that a removed secret can be had back, the most that the service gives.
    static let recoveryDays = 30

    package func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        switch change {
        case .state(let state, _): throw HoldfastError.unsupported("\(state.rawValue) one version", by: .aws)
        case .versionAttributes: throw HoldfastError.unsupported("keep attributes of versions", by: .aws)
        case .keepVersions: throw HoldfastError.unsupported("keep limits of a secret", by: .aws)
        case .label(let label, let from, let to): try swap(label, of: try describe(name), from: from, to: to)
        case .attributes(let attributes): try set(attributes, of: try describe(name))
        case .remove(let kind): try remove(try describe(name), kind)
        case .recover:
            guard try describe(name).removal != nil else { return }
            var body = AWSObject()
            body.add("SecretId", name.text)
            try carryOut("RestoreSecret", name, body)
        }
    }

    /// Sends a write of which every refusal but a missing secret is one failure.
    private func carryOut(_ operation: String, _ name: SecretName, _ body: consuming AWSObject) throws(HoldfastError) {
        switch try send(operation, .change, name.text, body, effect: .write) {
        case .success: return
        case .refused(.notFound): throw HoldfastError.secretNotFound(name)
        case .refused(.invalidRequest) where operation != "RestoreSecret" && operation != "DeleteSecret":
            if try found(name)?.removal != nil { throw HoldfastError.secretDeleted(name, nil) }
            throw unfit(operation, name.text)
        case .refused: throw unfit(operation, name.text)
        }
    }

    // MARK: - Labels

    private func swap(
        _ label: StagingLabel, of record: SecretRecord, from: SecretVersionID?, to: SecretVersionID?
    ) throws(HoldfastError) {
        let name = record.name
        if let to, record[to] == nil { throw HoldfastError.secretNotFound(name, to) }
        let holder = record.versions.first { $0.labels.contains(label) }?.id
        guard holder != to else { return }
        // Looked at here as well, since a copy of the service may put a label on two versions.
        guard holder == from else {
            throw HoldfastError.secretConflict(
                name, "the label \(label) is on \(holder.map { "version \($0)" } ?? "no version")")
        }
        guard to != nil || label != Self.stages.current else {
            throw HoldfastError(
                .usage, "the label \(label) of the secret \(name) can't be taken away",
                hint: "Move it to another version.")
        }
        if record.removal != nil { throw HoldfastError.secretDeleted(name, nil) }
        try move(label, of: name, from: from, to: to)
    }

    /// Moves a label, also when the answer to the first try is lost.
    func move(
        _ label: StagingLabel, of name: SecretName, from: SecretVersionID?, to: SecretVersionID?
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            try moveOnce(label, of: name, from: from, to: to)
        } catch {
            guard error.code == .writeUnknown else { throw error }
            try finish(label, of: name, from: from, to: to, after: error)
        }
    }

    /// Ends a move of which nobody knows whether it took place; the service compares, so that it can be asked again.
    ///
    /// - Throws: `lost` for whatever fails here.
    private func finish(
        _ label: StagingLabel, of name: SecretName, from: SecretVersionID?, to: SecretVersionID?,
        after lost: HoldfastError
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            let holder = try describe(name).versions.first { $0.labels.contains(label) }?.id
            if holder != to { try moveOnce(label, of: name, from: from, to: to) }
        } catch {
            throw lost
        }
    }

    /// The service's own comparing and swapping: it refuses when the label is not on `from`.
    private func moveOnce(
        _ label: StagingLabel, of name: SecretName, from: SecretVersionID?, to: SecretVersionID?
    ) throws(HoldfastError) {
        var body = AWSObject()
        body.add("SecretId", name.text)
        body.add("VersionStage", label.text)
        if let from { body.add("RemoveFromVersionId", from.text) }
        if let to { body.add("MoveToVersionId", to.text) }
        switch try send("UpdateSecretVersionStage", .change, name.text, body, effect: .write) {
        case .success: return
        case .refused(.notFound): throw HoldfastError.secretNotFound(name, to ?? from)
        case .refused(.invalidParameter):
            throw HoldfastError.secretConflict(name, "the label \(label) was moved in between")
        case .refused: throw unfit("UpdateSecretVersionStage", name.text)
        }
    }

    // MARK: - Attributes

    /// Brings tags and the description, in up to three calls, to what they are to be.
    private func set(_ attributes: SecretAttributes, of record: SecretRecord) throws(HoldfastError) {
        let name = record.name
        guard attributes.limits == SecretLimits() else {
            throw HoldfastError.unsupported("keep limits of a secret", by: .aws)
        }
        guard attributes.tags.count <= 50, !attributes.tags.tags.contains(where: { $0.key.hasPrefix("aws:") }) else {
            throw HoldfastError(
                .limitExceeded, "tags of the secret \(name) that AWS does not take",
                hint: "There are 50 at most, and none that begins with `aws:`.")
        }
        if record.removal != nil { throw HoldfastError.secretDeleted(name, nil) }
        let old = record.attributes
        let gone = old.tags.tags.map(\.key).filter { attributes.tags[$0] == nil }
        let new = attributes.tags.tags.filter { tag in
            old.tags[tag.key].map { !$0.utf8.elementsEqual(tag.value.utf8) } ?? true
        }
        var steps: [Step] = []
        if !gone.isEmpty { steps.append(.untag(gone)) }
        if !new.isEmpty { steps.append(.tag(new)) }
        if (attributes.description ?? "") != (old.description ?? "") {
            steps.append(.describe(attributes.description ?? ""))
        }
        for (index, step) in steps.enumerated() {
            if index == 0 {
                try carryOutTwice(step, name)
            } else {
                try finishing(name) { () throws(HoldfastError) in try carryOutTwice(step, name) }
            }
        }
    }

    /// Once, and once more when nobody knows whether that was done: done twice each of these is as done once.
    private func carryOutTwice(_ step: Step, _ name: SecretName) throws(HoldfastError) {
        do throws(HoldfastError) {
            try carryOut(step, name)
        } catch {
            guard error.code == .writeUnknown else { throw error }
            let lost = error
            do throws(HoldfastError) { try carryOut(step, name) } catch { throw lost }
        }
    }

    private enum Step {
        case untag([String])
        case tag([SecretTags.Tag])
        case describe(String)
    }

    private func carryOut(_ step: Step, _ name: SecretName) throws(HoldfastError) {
        var body = AWSObject()
        body.add("SecretId", name.text)
        switch step {
        case .untag(let keys):
            body.add("TagKeys", list: keys)
            try carryOut("UntagResource", name, body)
        case .tag(let tags):
            body.add("Tags", pairs: tags.map { [("Key", .one($0.key)), ("Value", .one($0.value))] })
            try carryOut("TagResource", name, body)
        case .describe(let text):
            body.add("Description", text)
            // A call without a value makes no version; the token is asked for by the interface's description.
            body.add("ClientRequestToken", try newID().text)
            try carryOut("UpdateSecret", name, body)
        }
    }

    // MARK: - Removing

    private func remove(_ record: SecretRecord, _ kind: SecretRemovalKind) throws(HoldfastError) {
        var body = AWSObject()
        body.add("SecretId", record.name.text)
        switch kind {
        case .recoverable:
            guard record.removal == nil else { return }
            body.add("RecoveryWindowInDays", number: Self.recoveryDays)
        case .permanent: body.add("ForceDeleteWithoutRecovery", flag: true)
        }
        try carryOut("DeleteSecret", record.name, body)
    }
}
