// What AWS Secrets Manager answers, in the words of the model.

import Primitives
import SecretVaults

/// `ListSecrets`
struct SecretNamesAnswer {
    var names: [SecretName] = []
    var next: String?

    init(_ scanner: inout JSONScanner) throws(HoldfastError) {
        var (names, next): ([SecretName], String?) = ([], nil)
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "SecretList":
                try scanner.elements { (scanner) throws(HoldfastError) in
                    try scanner.members { (scanner, key) throws(HoldfastError) in
                        guard key == "Name" else {
                            try scanner.skip()
                            return
                        }
                        names.append(try SecretName(try scanner.string()))
                    }
                }
            case "NextToken": next = try scanner.mark()
            default: try scanner.skip()
            }
        }
        (self.names, self.next) = (names, next)
    }
}

/// `ListSecretVersionIds`; its ARN is not looked at.
struct SecretVersionsAnswer {
    var versions: [SecretVersion] = []
    var next: String?

    init(_ scanner: inout JSONScanner) throws(HoldfastError) {
        var (versions, next): ([SecretVersion], String?) = ([], nil)
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "Versions":
                try scanner.elements { (scanner) throws(HoldfastError) in
                    if let version = try Self.version(&scanner) { versions.append(version) }
                }
            case "NextToken": next = try scanner.mark()
            default: try scanner.skip()
            }
        }
        (self.versions, self.next) = (versions, next)
    }

    private static func version(_ scanner: inout JSONScanner) throws(HoldfastError) -> SecretVersion? {
        var id: SecretVersionID?
        var created: Timestamp?
        var labels: [StagingLabel] = []
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "VersionId": id = try SecretVersionID(try scanner.string())
            case "CreatedDate": created = try scanner.epoch()
            case "VersionStages": labels = try scanner.labels()
            default: try scanner.skip()
            }
        }
        guard let id else { return nil }
        var version = SecretVersion(id: id, order: 0, created: created)
        version.labels = labels
        return version
    }
}

/// `GetSecretValue`
struct SecretValueAnswer {
    var id: SecretVersionID?
    /// Nil also for bytes that are no base64.
    var value: SecretValue?

    init(_ scanner: inout JSONScanner) throws(HoldfastError) {
        var (id, value): (SecretVersionID?, SecretValue?) = (nil, nil)
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "VersionId": id = try SecretVersionID(try scanner.string())
            case "SecretString":
                guard try !scanner.null() else { return }
                var bytes = try scanner.stringBytes()
                value = SecretValue(.text, SecretBytes(wiping: &bytes))
            case "SecretBinary":
                guard try !scanner.null() else { return }
                var text = try scanner.stringBytes()
                value = SecretBase64.decode(SecretBytes(wiping: &text)).map { SecretValue(.binary, $0) }
            default: try scanner.skip()
            }
        }
        (self.id, self.value) = (id, value)
    }
}

/// `DescribeSecret`
struct SecretDescription {
    private var base: SecretRecord
    /// `DeletedDate`
    private(set) var date: Timestamp?
    /// `VersionIdsToStages`, which has no dates.
    private(set) var labelled: [SecretVersion] = []

    private static let extras: Set<String> = ["KmsKeyId", "RotationLambdaARN", "OwningService", "PrimaryRegion"]

    init(_ scanner: inout JSONScanner, _ name: SecretName) throws(HoldfastError) {
        var record = SecretRecord(name: name)
        var (date, labelled): (Timestamp?, [SecretVersion]) = (nil, [])
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "Description":
                let text = try scanner.optionalString()
                record.attributes.description = text == "" ? nil : text
            case "Tags": try Self.readTags(&scanner, into: &record)
            case "CreatedDate": record.created = try scanner.epoch()
            case "LastChangedDate": record.changed = try scanner.epoch()
            case "DeletedDate": date = try scanner.epoch()
            case "RotationEnabled":
                if try !scanner.null() { record.extras[key] = try scanner.bool() ? "true" : "false" }
            case "RotationRules": record.extras[key] = try scanner.rawText()
            case "ReplicationStatus": record.extras[key] = try Self.regions(&scanner)
            case "VersionIdsToStages":
                guard try !scanner.null() else { return }
                try scanner.members { (scanner, id) throws(HoldfastError) in
                    var version = SecretVersion(id: try SecretVersionID(id), order: 0, created: nil)
                    version.labels = try scanner.labels()
                    labelled.append(version)
                }
            case let key where Self.extras.contains(key): record.extras[key] = try scanner.optionalString()
            default: try scanner.skip()
            }
        }
        (base, self.date, self.labelled) = (record, date, labelled)
    }

    /// The regions that have replicas, sorted. What else is said of a replica changes by itself.
    private static func regions(_ scanner: inout JSONScanner) throws(HoldfastError) -> String? {
        if try scanner.null() { return nil }
        var regions: [String] = []
        try scanner.elements { (scanner) throws(HoldfastError) in
            try scanner.members { (scanner, key) throws(HoldfastError) in
                guard key == "Region" else {
                    try scanner.skip()
                    return
                }
                if let region = try scanner.optionalString() { regions.append(region) }
            }
        }
        return regions.isEmpty ? nil : regions.sorted().joined(separator: " ")
    }

    /// Tags that begin with `aws:` are the service's; nobody else can set them.
    private static func readTags(
        _ scanner: inout JSONScanner, into record: inout SecretRecord
    ) throws(HoldfastError) {
        guard try !scanner.null() else { return }
        var (own, others) = (record.attributes.tags, record.extras)
        try scanner.elements { (scanner) throws(HoldfastError) in
            var (name, value) = ("", "")
            try scanner.members { (scanner, key) throws(HoldfastError) in
                switch key {
                case "Key": name = try scanner.string()
                case "Value": value = try scanner.optionalString() ?? ""
                default: try scanner.skip()
                }
            }
            if name.hasPrefix("aws:") { others[name] = value } else { own[name] = value }
        }
        (record.attributes.tags, record.extras) = (own, others)
    }

    /// The record with these versions, in their order.
    func record(_ versions: [SecretVersion], now: Timestamp) -> SecretRecord {
        var record = base
        record.versions = versions.sorted {
            ($0.created ?? Timestamp(seconds: 0), $0.id) < ($1.created ?? Timestamp(seconds: 0), $1.id)
        }
        for index in record.versions.indices { record.versions[index].order = UInt64(index + 1) }
        record.current = record.versions.first { $0.labels.contains(SecretsManager.stages.current) }?.id
        if let date {
            // The reference says of this date that the deletion is scheduled for it, the guide that it is when it was
            // asked for. What lies ahead can only be the one, and what is past the other.
            record.removal = date > now ? SecretRemoval(at: nil, purge: date) : SecretRemoval(at: date, purge: nil)
        }
        return record
    }
}

extension JSONScanner {
    /// A string that is nothing when it is empty or null.
    fileprivate mutating func mark() throws(HoldfastError) -> String? {
        let text = try optionalString()
        return text == "" ? nil : text
    }

    /// Seconds since 1970 with a fraction, perhaps as a power of ten; whole milliseconds are kept. Nil for null.
    fileprivate mutating func epoch() throws(HoldfastError) -> Timestamp? {
        if try null() { return nil }
        guard let seconds = Double(text(try number())), abs(seconds) < 9e9 else { return nil }
        return Timestamp(nanoseconds: Int64((seconds * 1000).rounded()) * 1_000_000)
    }

    fileprivate mutating func labels() throws(HoldfastError) -> [StagingLabel] {
        if try null() { return [] }
        var labels: Set<StagingLabel> = []
        try elements { (scanner) throws(HoldfastError) in labels.insert(try StagingLabel(try scanner.string())) }
        return labels.sorted()
    }

    /// A value as it stands; nil for null.
    fileprivate mutating func rawText() throws(HoldfastError) -> String? {
        if try null() { return nil }
        return try cut().withBytes { String(decoding: $0, as: UTF8.self) }
    }
}
