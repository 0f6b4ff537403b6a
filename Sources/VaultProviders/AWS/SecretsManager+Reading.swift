// Looking into AWS Secrets Manager.

import Primitives
import SecretVaults

extension SecretsManager {
    /// Tells what can be told without reading a value or changing anything: listing, and describing the first secret
    /// that is found. Reading, writing and changing are told by using them, since policies of secrets, of keys and of
    /// the organisation have a say that no call of this service shows.
    package func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        var preflight = VaultPreflight()
        preflight.server = "AWS Secrets Manager"
        preflight.untold = rights.intersection([.read, .write, .change, .remove])
        var first: SecretName?
        do throws(HoldfastError) {
            first = try list(under: prefix, after: nil, limit: 1).secrets.first?.name
        } catch {
            guard error.code == .vaultAccessDenied else { throw error }
            preflight.missing.append(VaultPreflight.Missing(.list, path: "secretsmanager:ListSecrets of *"))
        }
        guard rights.contains(.describe) else { return preflight }
        guard let first else {
            preflight.untold.insert(.describe)
            return preflight
        }
        do throws(HoldfastError) {
            let record = try describe(first)
            if record.extras["PrimaryRegion"] != nil {
                preflight.notes.append(
                    "\(first) is a replica; replicas are written in their primary region alone")
            }
        } catch {
            guard error.code == .vaultAccessDenied else {
                guard error.code == .secretNotFound else { throw error }
                return preflight
            }
            let path = error.context.last { $0.key == "path" }?.value ?? first.text
            preflight.missing.append(VaultPreflight.Missing(.describe, path: path))
        }
        return preflight
    }

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        precondition((1...SecretBounds.page).contains(limit), "a page has 1 to \(SecretBounds.page) secrets")
        var page = SecretPage()
        let bytes = Array(prefix.utf8)
        var body = AWSObject()
        body.add("IncludePlannedDeletion", flag: true)
        body.add("MaxResults", number: min(limit, Self.pageSize))
        if Self.isFilter(bytes) { body.add("Filters", pairs: [[("Key", .one("name")), ("Values", .list(prefix))]]) }
        if let mark { body.add("NextToken", String(decoding: mark.bytes, as: UTF8.self)) }
        guard case .success(let answer) = try send("ListSecrets", .list, "*", body) else {
            throw session.unavailable("it does not take a listing as its reference has it", retry: .never)
        }
        let found = try session.read(answer) { (scanner) throws(HoldfastError) in try SecretNamesAnswer(&scanner) }
        guard found.names.count <= limit else { throw session.senseless("more secrets than were asked for") }
        guard found.next == nil || found.next.map({ Array($0.utf8) }) != mark?.bytes else {
            throw session.senseless("a page of secrets that leads to itself")
        }
        // Names are compared by bytes, whatever the filter took for a beginning.
        for name in found.names where name.bytes.starts(with: bytes) {
            page.secrets.append(SecretListing(name: name, record: nil))
        }
        page.next = found.next.map { VaultPageMark(Array($0.utf8)) }
        return page
    }

    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        guard let record = try found(name) else { throw HoldfastError.secretNotFound(name) }
        return record
    }

    /// Whether the service can look for names that begin so. Elsewhere all names are compared here.
    private static func isFilter(_ prefix: [UInt8]) -> Bool {
        // A leading `!` would turn the filter round.
        guard let first = prefix.first, first != UInt8(ascii: "!"), prefix.count <= 512 else { return false }
        return prefix.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: " :_@/+=.-!".utf8.contains(byte)
            }
        }
    }

    /// Whether the service can be asked for a secret by this name, which is wider than what a writer may choose: other
    /// services have names with `!`, such as `rds!db-…`. What looks like an ARN would stand for another name.
    private static func isAskable(_ name: SecretName) -> Bool { !name.bytes.starts(with: "arn:".utf8) }

    /// The whole record, or nil when the secret is not there.
    func found(_ name: SecretName) throws(HoldfastError) -> SecretRecord? {
        guard let description = try description(of: name) else { return nil }
        if let versions = try versions(name) { return description.record(versions, now: session.now) }
        // It may have been removed since it was described, and versions of such are not always told.
        let isKnown = description.date != nil
        guard let now = isKnown ? description : try self.description(of: name) else { return nil }
        guard now.date != nil else { throw refused("ListSecretVersionIds", name) }
        return now.record(now.labelled, now: session.now)
    }

    private func description(of name: SecretName) throws(HoldfastError) -> SecretDescription? {
        guard Self.isAskable(name) else { return nil }
        var body = AWSObject()
        body.add("SecretId", name.text)
        switch try send("DescribeSecret", .describe, name.text, body) {
        case .refused(.notFound): return nil
        case .refused(.invalidParameter) where capabilities.refusal(of: name) != nil: return nil
        case .refused: throw refused("DescribeSecret", name)
        case .success(let answer):
            return try session.read(answer) { (scanner) throws(HoldfastError) in
                try SecretDescription(&scanner, name)
            }
        }
    }

    /// A reading that the state of one secret does not allow, and nothing better is known of it: the others go on.
    private func refused(_ operation: String, _ name: SecretName) -> HoldfastError {
        HoldfastError(
            .vaultAccessDenied, "AWS Secrets Manager at \(location) refuses \(operation) of \(name) as it now stands",
            hint: "Look at the secret with the service's own tool: its rotation, its replicas and who owns it.",
            context: [("path", "secretsmanager:\(operation) of \(name)")])
    }

    /// All versions, also those without a label; nil where the service does not tell them as the secret now stands.
    private func versions(_ name: SecretName) throws(HoldfastError) -> [SecretVersion]? {
        var versions: [SecretVersion] = []
        var next: String?
        repeat {
            var body = AWSObject()
            body.add("SecretId", name.text)
            body.add("IncludeDeprecated", flag: true)
            body.add("MaxResults", number: Self.pageSize)
            if let next { body.add("NextToken", next) }
            switch try send("ListSecretVersionIds", .describe, name.text, body) {
            case .refused(.notFound): throw HoldfastError.secretNotFound(name)
            case .refused: return nil
            case .success(let answer):
                let page = try session.read(answer) { (scanner) throws(HoldfastError) in
                    try SecretVersionsAnswer(&scanner)
                }
                guard page.next == nil || !page.versions.isEmpty && page.next != next else {
                    throw session.senseless("a page of versions that leads nowhere")
                }
                versions += page.versions
                next = page.next
            }
            guard versions.count <= SecretBounds.versions else {
                throw HoldfastError(
                    .limitExceeded, "the secret \(name) has more than \(SecretBounds.versions) versions",
                    hint: "Write it less often: the service drops versions without a label after a day.")
            }
        } while next != nil
        return versions
    }

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        guard Self.isAskable(name), version.map(Self.isFit) != false else {
            throw HoldfastError.secretNotFound(name, version)
        }
        var body = AWSObject()
        body.add("SecretId", name.text)
        if let version {
            body.add("VersionId", version.text)
        } else {
            body.add("VersionStage", Self.stages.current.text)
        }
        switch try send("GetSecretValue", .read, name.text, body) {
        case .success(let answer):
            let reading = try session.read(answer) { (scanner) throws(HoldfastError) in
                try SecretValueAnswer(&scanner)
            }
            guard let value = reading.value, let id = reading.id, version == nil || id == version else {
                throw session.senseless("a version of the secret \(name) that is not the one asked for, or no value")
            }
            return SecretReading(version: id, value: value)
        case .refused(.notFound): throw HoldfastError.secretNotFound(name, version)
        case .refused(.invalidRequest):
            if try found(name)?.removal != nil { throw HoldfastError.secretDeleted(name, nil) }
            throw refused("GetSecretValue", name)
        case .refused(.invalidParameter) where capabilities.refusal(of: name) != nil:
            throw HoldfastError.secretNotFound(name, version)
        case .refused: throw refused("GetSecretValue", name)
        }
    }

    static func isFit(_ id: SecretVersionID) -> Bool { idLengths.contains(id.bytes.count) }
}
