// The metadata of a KV 2 secret, as the server sends it.

import Primitives
import SecretVaults

extension SecretRecord {
    /// Reads `GET metadata/…`, or one entry of `detailed-metadata`.
    ///
    /// - Parameter now: The server's time, which tells a deletion to come from one that was.
    init(name: SecretName, _ scanner: inout JSONScanner, now: Timestamp) throws(HoldfastError) {
        self.init(name: name)
        var found = SecretRecord(name: name)
        var oldest: Int64 = 0
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "created_time": found.created = try scanner.instant()
            case "updated_time": found.changed = try scanner.instant()
            case "current_version":
                let number = try scanner.integer()
                if number > 0 { found.current = SecretVersionID(number: UInt64(number)) }
            case "oldest_version": oldest = try scanner.integer()
            case "max_versions":
                let number = try scanner.integer()
                found.attributes.limits.maximumVersions = number > 0 ? Int(number) : nil
            case "cas_required": found.attributes.limits.requiresComparison = try scanner.bool() ? true : nil
            case "metadata_cas_required":
                if try scanner.bool() { found.extras["metadata_cas_required"] = "true" }
            case "delete_version_after":
                let text = try scanner.string()
                guard let length = Duration(goText: text) else { throw Self.senseless(name) }
                found.attributes.limits.deletesAfter = length > .zero ? length : nil
                if length < .zero { found.extras["delete_version_after"] = text }
            case "custom_metadata": found.attributes.tags = try Self.tags(&scanner)
            case "versions": found.versions = try Self.versions(&scanner, name, now)
            default: try scanner.skip()
            }
        }
        found.prunedThrough = oldest > 1 ? UInt64(oldest) - 1 : 0
        self = found
    }

    private static func senseless(_ name: SecretName) -> HoldfastError {
        HoldfastError(
            .corruptObject, "the metadata of \(name) makes no sense",
            hint: "See whether something between here and the vault answers in its place.")
    }

    private static func tags(_ scanner: inout JSONScanner) throws(HoldfastError) -> SecretTags {
        if try scanner.null() { return SecretTags() }
        var pairs: [(key: String, value: String)] = []
        try scanner.members { (scanner, key) throws(HoldfastError) in
            pairs.append((key: key, value: try scanner.string()))
            guard pairs.count <= SecretBounds.tags else { throw tooMany("tags") }
        }
        return SecretTags(pairs)
    }

    private static func tooMany(_ what: String) -> HoldfastError {
        HoldfastError(
            .limitExceeded, "a secret with too many \(what)", hint: "Lower its number; docs/VAULTS.md has the bounds.")
    }

    private static func versions(
        _ scanner: inout JSONScanner, _ name: SecretName, _ now: Timestamp
    ) throws(HoldfastError) -> [SecretVersion] {
        var versions: [SecretVersion] = []
        try scanner.members { (scanner, key) throws(HoldfastError) in
            guard let number = UInt64(key), number > 0 else { throw senseless(name) }
            versions.append(try SecretVersion(number: number, &scanner, now: now))
            guard versions.count <= SecretBounds.versions else { throw tooMany("versions") }
        }
        return versions.sorted { $0.order < $1.order }
    }
}

extension SecretVersion {
    /// Reads the entry of a version under `versions`, or the answer to a put, or the `metadata` beside a value.
    init(number: UInt64, _ scanner: inout JSONScanner, now: Timestamp) throws(HoldfastError) {
        var (created, deletion, isDestroyed) = (Timestamp?.none, Timestamp?.none, false)
        var number = number
        try scanner.members { (scanner, key) throws(HoldfastError) in
            switch key {
            case "created_time": created = try scanner.instant()
            case "deletion_time": deletion = try scanner.instant()
            case "destroyed": isDestroyed = try scanner.bool()
            case "version": number = UInt64(clamping: try scanner.integer())
            default: try scanner.skip()
            }
        }
        self.init(id: SecretVersionID(number: number), order: number, created: created)
        if isDestroyed {
            // When that was nobody wrote down.
            state = .destroyed(at: nil)
        } else if let deletion, deletion <= now {
            state = .softDeleted(at: deletion)
        } else {
            deletionDue = deletion
        }
    }
}

extension SecretVersionID {
    init(number: UInt64) { self.init(validated: Array("\(number)".utf8)) }

    /// The number of a KV 2 version; nil for what can't be one, such as `007`.
    var number: UInt64? { UInt64(text).flatMap { $0 > 0 && "\($0)" == text ? $0 : nil } }
}

extension Duration {
    /// Reads what Go's `time.Duration` prints: `25h0m0s`, `1.5s`, `300ms`, `-1ns`; nil for anything else.
    init?(goText text: String) {
        let isNegative = text.hasPrefix("-")
        var rest = Substring(isNegative ? String(text.dropFirst()) : text)
        var total = 0.0
        if rest == "0" || rest.isEmpty {
            self = .zero
            return
        }
        let units: [(String, Double)] = [
            ("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("h", 3600), ("m", 60), ("s", 1),
        ]
        while !rest.isEmpty {
            let digits = rest.prefix { ($0.isASCII && $0.isNumber) || $0 == "." }
            rest = rest.dropFirst(digits.count)
            guard let number = Double(digits), let unit = units.first(where: { rest.hasPrefix($0.0) }) else {
                return nil
            }
            rest = rest.dropFirst(unit.0.count)
            total += number * unit.1
        }
        // The longest that Go has, 2^63 nanoseconds.
        guard total <= 9_223_372_036.854776 else { return nil }
        let whole = total.rounded(.down)
        self = .seconds(Int64(whole)) + .nanoseconds(Int64(((total - whole) * 1e9).rounded()))
        if isNegative { self = .zero - self }
    }
}

extension VaultAnswer {
    /// The server's time, a second late at most, from `Date`; this machine's where there is none.
    func time(_ clock: any Clock) -> Timestamp {
        guard let text = headers["date"], let date = Timestamp(httpText: text) else { return clock.now() }
        return date + .seconds(1)
    }
}

extension Timestamp {
    /// Reads an IMF-fixdate (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    init?(httpText text: String) {
        let parts = text.split(separator: " ")
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        self.init(text: "\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
    }
}
