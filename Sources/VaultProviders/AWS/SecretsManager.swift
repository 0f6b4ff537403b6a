// AWS Secrets Manager as a vault.

import Primitives
import SecretVaults
import Synchronization

/// The secrets of one account in one region.
///
/// Source: the service's API reference (version 2017-10-17, JSON 1.1) and its quotas. Where the service promises less
/// than the protocol asks, or a copy of it answers otherwise, there is a guard here: kinds of failure are read from
/// the answer and never from its status; the current version is asked for by its label; what a write meets is looked
/// at before; and nothing here ever calls RotateSecret.
///
/// Beside what ``SecretVault`` says:
/// - The first version of a secret becomes the current one whatever labels a put names: the service does that.
/// - A version without a label may be dropped by the service, a day after it was made at the earliest, when there are
///   more than 100. ``VersionPins`` keeps those that somebody needs.
/// - Listings may be five minutes behind, so that each secret of a listing is described on its own.
/// - Ids that nobody chose are UUIDs of version 7, whose order is the order of making.
package final class SecretsManager: SecretVault {
    package static let stages = SecretStages.aws

    /// Over all versions of a secret, those of the service's own among them.
    package static let labelQuota = 20
    /// The service takes version ids of so many characters.
    static let idLengths = 32...64
    /// Its largest page.
    static let pageSize = 100

    package let capabilities = VaultCapabilities(
        kind: .aws, nameRule: .awsName, maximumNameBytes: 512, maximumValue: .kibi(64), forms: [.text, .binary],
        fields: [.description, .secretTags, .versionID], idBytes: SecretsManager.idLengths,
        comparison: .creationAtomic, stateChanges: [], removals: [.recoverable, .permanent],
        stages: SecretsManager.stages, maximumLabels: SecretsManager.labelQuota - 3, concurrency: 8)

    package var location: String { session.location }

    let session: AWSSession
    let entropy: any Entropy
    private let lastID = Mutex<UInt64>(0)

    init(_ session: AWSSession, entropy: any Entropy) {
        self.session = session
        self.entropy = entropy
    }

    /// A UUID of version 7 (RFC 9562, 5.7, with the counter of 6.2, method 1): milliseconds since 1970 in 48 bits, a
    /// counter of 12 that keeps ids of one instant in order, and 62 random bits.
    func newID() throws(HoldfastError) -> SecretVersionID {
        let milliseconds = UInt64(clamping: session.now.nanoseconds / 1_000_000)
        let place = lastID.withLock { last in
            last = max(milliseconds << 12, last + 1)
            return last
        }
        let random = try entropy.bytes(8)
        let instant = place >> 12
        var bytes: [UInt8] = stride(from: 40, through: 0, by: -8).map { (shift: Int) in
            UInt8(truncatingIfNeeded: instant >> UInt64(shift))
        }
        bytes += [0x70 | UInt8(place >> 8 & 0x0F), UInt8(place & 0xFF), 0x80 | random[0] & 0x3F] + random[1...]
        var text = Array(Hex.encode(bytes).utf8)
        for place in [20, 16, 12, 8] { text.insert(UInt8(ascii: "-"), at: place) }
        return SecretVersionID(validated: text)
    }

    // MARK: - Calls

    /// - Returns: The answer, or nil and what was refused.
    func send(
        _ operation: String, _ right: VaultRight, _ subject: String, _ body: consuming AWSObject,
        effect: VaultRequest.Effect = .none
    ) throws(HoldfastError) -> AWSAnswer {
        try session.send(
            AWSCall(operation: operation, right: right, subject: subject, body: body.taken(), effect: effect))
    }

    /// A refusal of which nothing better is known than that the request did not suit the service.
    func unfit(_ operation: String, _ subject: String) -> HoldfastError {
        HoldfastError(
            .usage, "AWS Secrets Manager does not take \(operation) of \(subject) at \(location)",
            hint: "Look at the secret with the service's own tool: its rotation, its replicas and who owns it.")
    }
}
