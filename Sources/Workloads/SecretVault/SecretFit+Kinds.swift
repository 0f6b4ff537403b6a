// What one kind of vault has other words for, or none, than another.

import SecretVaults

extension SecretFit {
    // MARK: Labels

    /// The labels that a vault gives a meaning to, by the names of the target: `AWSCURRENT` is the embedded vault's
    /// `current`. A vault of numbers alone has the version before the current one as its previous.
    func record(_ secret: SecretRecord) -> SecretRecord {
        guard let source, let stages = capabilities.stages else { return secret }
        guard let own = SecretStages.of(source) else { return withPrevious(secret, stages) }
        guard own != stages else { return secret }
        var secret = secret
        let names = [own.current: stages.current, own.previous: stages.previous, own.pending: stages.pending]
        let taken: Set = [stages.current, stages.previous, stages.pending]
        for place in secret.versions.indices {
            let labels = secret.versions[place].labels
            secret.versions[place].labels = labels.compactMap { label in
                if let name = names[label] { return name }
                guard taken.contains(label) else { return label }
                lose("labels that mean something else there", 1, "\(secret.name) \(label)")
                return nil
            }.sorted()
        }
        return secret
    }

    private func withPrevious(_ secret: SecretRecord, _ stages: SecretStages) -> SecretRecord {
        guard let place = secret.versions.firstIndex(where: { $0.id == secret.current }),
            let previous = secret.versions[..<place].lastIndex(where: { $0.state == .live })
        else { return secret }
        var secret = secret
        secret.versions[previous].labels = (secret.versions[previous].labels + [stages.previous]).sorted()
        return secret
    }

    /// Counts the labels of a secret for a vault that has none. That of the current version says there what the newest
    /// version is by itself.
    func loseLabels(of secret: SecretRecord) {
        let current = source.flatMap { SecretStages.of($0) }?.current
        lose("staging labels", secret.versions.reduce(0) { $0 + $1.labels.count { $0 != current && !$0.isPin } })
        if let current = secret.current, current != secret.versions.last?.id {
            lose("secrets whose current version is not the newest")
        }
    }

    // MARK: Details

    /// Counts what the vault of the snapshot knew of a secret beyond the model, unless it is there as it was.
    func loseDetails(of secret: SecretRecord, there: SecretRecord?) {
        var rest = secret.extras.tags.filter { there?.extras[$0.key] != $0.value }
        func take(_ keys: String...) -> String? {
            let found = rest.first { keys.contains($0.key) && $0.value != "" }
            rest.removeAll { keys.contains($0.key) }
            return found?.value
        }
        let isRotated = secret.extras["RotationEnabled"] == "true"
        if take("RotationEnabled", "RotationLambdaARN", "RotationRules") != nil, isRotated {
            lose("rotations of secrets (nothing rotates them until it is set up again)", 1, "\(secret.name)")
        }
        if let key = take("KmsKeyId") {
            lose("KMS keys of secrets (the vault's default key is in their place)", 1, "\(secret.name) (\(key))")
        }
        if let regions = take("ReplicationStatus") {
            lose("replications of secrets to other regions", 1, "\(secret.name) (\(regions))")
        }
        if let service = take("OwningService") {
            lose("services that own and rotate secrets", 1, "\(secret.name) (\(service))")
        }
        lose("details that only the vault of the snapshot has words for", rest.count)
    }
}
