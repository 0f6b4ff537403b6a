// Looking into Azure Key Vault.

import Primitives
import SecretVaults

extension KeyVault {
    /// Tells what can be told without reading a value or changing anything: listing secrets and removed ones, and
    /// describing the first secret that is found. Reading, writing and changing are told by using them, since a role
    /// may be given for single secrets.
    package func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight {
        var preflight = VaultPreflight()
        preflight.server = "Azure Key Vault"
        preflight.untold = rights.intersection([.read, .write, .change])
        var first: SecretName?
        for area in [Area.secrets, .deletedSecrets] {
            do throws(HoldfastError) {
                let found = try page(area, target("/\(area.rawValue)", "&maxresults=\(Self.pageSize)"))
                if area == .secrets { first = found.items.first { $0.id.name.text.hasPrefix(prefix) }?.id.name }
            } catch {
                guard error.code == .vaultAccessDenied else { throw error }
                preflight.missing.append(VaultPreflight.Missing(.list, path: Self.path(of: error, area)))
            }
        }
        guard rights.contains(.describe) else { return preflight }
        guard let first else {
            preflight.untold.insert(.describe)
            return preflight
        }
        do throws(HoldfastError) {
            _ = try look(first)
        } catch {
            guard error.code == .vaultAccessDenied else { throw error }
            preflight.missing.append(VaultPreflight.Missing(.describe, path: Self.path(of: error, .secrets)))
        }
        return preflight
    }

    private static func path(of error: HoldfastError, _ area: Area) -> String {
        error.context.last { $0.key == "path" }?.value ?? area.rawValue
    }

    // MARK: - Listing

    /// The two listings, one after the other: what is removed between a page of the first and the second is in the
    /// second.
    enum Area: String {
        case secrets
        case deletedSecrets = "deletedsecrets"
    }

    package func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage {
        precondition((1...SecretBounds.page).contains(limit), "a page has 1 to \(SecretBounds.page) secrets")
        let size = min(limit, Self.pageSize)
        let start = target("/\(Area.secrets.rawValue)", "&maxresults=\(size)")
        let now = mark.map { String(decoding: $0.bytes, as: UTF8.self) } ?? start
        let area: Area = now.hasPrefix("/\(Area.deletedSecrets.rawValue)?") ? .deletedSecrets : .secrets
        var listing = SecretPage()
        let found: KeyVaultPage
        do throws(HoldfastError) {
            found = try page(area, now)
        } catch {
            // Who may not see the removed ones gets the others, and is told.
            guard area == .deletedSecrets, error.code == .vaultAccessDenied else { throw error }
            listing.refused.append(error)
            listing.unseen.append([])
            return listing
        }
        guard found.items.count <= size else { throw session.senseless("more secrets than were asked for") }
        let bytes = Array(prefix.utf8)
        for item in found.items where item.id.name.bytes.starts(with: bytes) {
            listing.secrets.append(SecretListing(name: item.id.name, record: nil))
        }
        var next = try found.next.map { (link) throws(HoldfastError) in
            try session.target(of: link, within: "/\(area.rawValue)", after: now)
        }
        if next == nil, area == .secrets {
            next = target("/\(Area.deletedSecrets.rawValue)", "&maxresults=\(size)")
        }
        listing.next = next.map { VaultPageMark(Array($0.utf8)) }
        return listing
    }

    private func page(_ area: Area, _ target: String) throws(HoldfastError) -> KeyVaultPage {
        guard case .success(let answer) = try session.send(metadata(target, of: "*", .list)) else {
            throw session.senseless("a refusal of the listing of \(area.rawValue)")
        }
        return try session.read(answer) { (scanner) throws(HoldfastError) in try KeyVaultPage(&scanner) }
    }

    // MARK: - Describing

    package func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        guard let record = try look(name).record else { throw HoldfastError.secretNotFound(name) }
        return record
    }

    /// What there is under a name.
    struct Look {
        /// Nil when the secret is not there.
        var record: SecretRecord?
        /// The spelling under which the service has the name, where that is another one.
        var otherName: SecretName?
        /// The service's time when it told, in whole seconds.
        var second: Int64
    }

    func look(_ name: SecretName) throws(HoldfastError) -> Look {
        let path = path(name, "/versions")
        var now = target(path, "&maxresults=\(Self.pageSize)")
        var items: [KeyVaultItem] = []
        var look = Look(record: nil, otherName: nil, second: clock.now().seconds)
        for _ in 0..<Self.maximumPages {
            let answer: VaultAnswer
            switch try session.send(metadata(now, of: name.text)) {
            case .success(let found): answer = found
            case .refused(.notFound): return try lookForRemoved(name, look)
            case .refused(.unfit) where capabilities.refusal(of: name) != nil: return look
            case .refused: throw session.senseless("a refusal to describe \(name)")
            }
            if let date = answer.headers["date"].flatMap({ Timestamp(httpDate: $0) }) { look.second = date.seconds }
            let page = try session.read(answer) { (scanner) throws(HoldfastError) in try KeyVaultPage(&scanner) }
            items += page.items
            guard items.count <= SecretBounds.versions else {
                throw HoldfastError(
                    .limitExceeded, "the secret \(name) has more than \(SecretBounds.versions) versions",
                    hint: "The service drops none: move to a secret of another name.")
            }
            guard let link = page.next else {
                if items.isEmpty { return try lookForRemoved(name, look) }
                return try settled(items, name, look)
            }
            now = try session.target(of: link, within: path, after: now)
        }
        throw session.senseless("versions of \(name) on more than \(Self.maximumPages) pages")
    }

    private func settled(_ items: [KeyVaultItem], _ name: SecretName, _ look: Look) throws(HoldfastError) -> Look {
        var look = look
        var record = SecretRecord(name: name)
        for item in items {
            guard item.id.name.isSpelling(of: name), let version = item.version() else {
                throw session.senseless("a version of \(name) that is of another secret")
            }
            if item.id.name != name { look.otherName = item.id.name }
            record.versions.append(version)
        }
        if look.otherName != nil { return look }
        guard Set(record.versions.map(\.id)).count == record.versions.count else {
            throw session.senseless("a version of \(name) twice")
        }
        record.versions.sort {
            ($0.created ?? Timestamp(seconds: 0), $0.id) < ($1.created ?? Timestamp(seconds: 0), $1.id)
        }
        var earlier = 0
        for index in record.versions.indices {
            earlier =
                index > 0 && record.versions[index - 1].created == record.versions[index].created ? earlier + 1 : 0
            record.versions[index].order = KeyVaultItem.order(record.versions[index].created, after: earlier)
        }
        let newest = record.versions.last
        record.current = newest?.id
        record.extras["recoveryLevel"] = items.first { $0.id.version == newest?.id }?.recoveryLevel
        let twins = record.versions.count { $0.created == newest?.created }
        if twins > 1 { record.extras[Self.ambiguousOrder] = "\(twins)" }
        look.record = record
        return look
    }

    private func lookForRemoved(_ name: SecretName, _ look: Look) throws(HoldfastError) -> Look {
        var look = look
        guard let item = try removed(name) else { return look }
        guard item.id.name == name else {
            look.otherName = item.id.name
            return look
        }
        guard let version = item.version() else {
            throw session.senseless("a removed secret without a version")
        }
        var record = SecretRecord(name: name)
        record.removal = item.removal
        record.current = version.id
        record.versions = [version]
        record.extras["recoveryLevel"] = item.recoveryLevel
        look.record = record
        return look
    }

    /// A removed secret; nil when there is none of that name.
    func removed(_ name: SecretName) throws(HoldfastError) -> KeyVaultItem? {
        let call = metadata(target(path(name, area: Area.deletedSecrets.rawValue)), of: name.text)
        switch try session.send(call) {
        case .refused(.notFound): return nil
        case .refused(.unfit) where capabilities.refusal(of: name) != nil: return nil
        case .refused: throw session.senseless("a refusal to describe \(name)")
        case .success(let answer):
            let item = try session.read(answer) { (scanner) throws(HoldfastError) in try KeyVaultItem(&scanner) }
            guard item.id.name.isSpelling(of: name) else { throw session.senseless("another removed secret") }
            return item
        }
    }

    // MARK: - Reading

    package func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        let below = version.map { "/" + PercentText.encode($0.text, keeping: "") } ?? ""
        let call = KeyVaultCall(
            method: .get, target: target(path(name, below)), right: .read, action: "getSecret/action",
            subject: name.text)
        switch try session.send(call) {
        case .success(let answer): return try reading(answer, name, version)
        case .refused(.disabled):
            if let version { throw HoldfastError.secretDisabled(name, version) }
            guard let current = try look(name).record?.current else { throw HoldfastError.secretNotFound(name) }
            throw HoldfastError.secretDisabled(name, current)
        case .refused(.notFound):
            if try isRemoved(name) { throw HoldfastError.secretDeleted(name, nil) }
            throw HoldfastError.secretNotFound(name, version)
        case .refused(.removed): throw HoldfastError.secretDeleted(name, nil)
        case .refused(.unfit):
            // A name or an id that the service can't have.
            guard capabilities.refusal(of: name) == nil, version.map(Self.isFit) != false else {
                throw HoldfastError.secretNotFound(name, version)
            }
            throw session.senseless("a refusal to read \(name)")
        }
    }

    private func reading(
        _ answer: VaultAnswer, _ name: SecretName, _ version: SecretVersionID?
    ) throws(HoldfastError) -> SecretReading {
        let item = try session.read(answer) { (scanner) throws(HoldfastError) in try KeyVaultItem(&scanner) }
        guard item.id.name.isSpelling(of: name), let id = item.id.version, version == nil || id == version,
            let value = item.value
        else {
            throw session.senseless("a version of the secret \(name) that is not the one asked for, or no value")
        }
        guard item.id.name == name else { throw HoldfastError.secretNotFound(name, version) }
        guard UInt64(value.bytes.count) <= SecretValue.maximumCount.bytes else {
            throw HoldfastError(
                .limitExceeded, "version \(id) of the secret \(name) has \(value.bytes.count) bytes",
                hint: "Values have \(SecretValue.maximumCount) at most.")
        }
        return SecretReading(version: id, value: value)
    }

    /// Whether a secret that can't be read is a removed one, as far as the login may see that.
    private func isRemoved(_ name: SecretName) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            return try removed(name) != nil
        } catch {
            guard error.code == .vaultAccessDenied else { throw error }
            return false
        }
    }

    /// 32 hexadecimal digits, as the service makes ids.
    private static func isFit(_ id: SecretVersionID) -> Bool {
        id.bytes.count == 32 && Hex.decode(id.text.lowercased()) != nil
    }
}

extension SecretName {
    /// Whether the service takes both for one name.
    func isSpelling(of other: SecretName) -> Bool { text.lowercased() == other.text.lowercased() }
}
