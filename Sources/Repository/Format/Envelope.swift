// How a fresh seed reaches those who may read: one ephemeral X25519 key and up to four recipients.

import Primitives
import Sealing

/// A 32-byte seed, wrapped for up to four public keys.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 32 | ephemeral X25519 public key |
/// | 32 | 4 × 56 | recipients: 8 bytes of SHA-256(public key), seed under AES-256-GCM (32 + 16); zero when unused |
///
/// kek = HKDF-SHA256(X25519(ephemeral, recipient), salt, "envelope" ‖ repository ‖ kind ‖ epoch ‖ ephemeral ‖
/// recipient). The kek seals one message, so the nonce is zero.
package struct Envelope: Sendable, Hashable {
    package static let maximumRecipients = 4
    package static let size = 32 + maximumRecipients * 56

    package struct Recipient: Sendable, Hashable {
        package var hint: UInt64
        package var wrapped: [UInt8]
    }

    /// What the wrapping is bound to.
    package struct Binding: Sendable {
        package var repository: RepositoryID
        package var kind: UInt8
        package var epoch: Epoch
        package var salt: Bytes32

        package init(repository: RepositoryID, kind: UInt8, epoch: Epoch, salt: Bytes32) {
            self.repository = repository
            self.kind = kind
            self.epoch = epoch
            self.salt = salt
        }
    }

    package var ephemeral: Bytes32
    package var recipients: [Recipient]

    /// Wraps `seed` for `recipients` under a fresh ephemeral key.
    package static func seal(
        _ seed: SecretBytes, to recipients: [Bytes32], binding: Binding, entropy: any Entropy
    ) throws(HoldfastError) -> Envelope {
        precondition((1...maximumRecipients).contains(recipients.count), "an envelope has one to four recipients")
        let ephemeral = try AgreementKey.generate(entropy: entropy)
        var wrapped: [Recipient] = []
        for recipient in recipients {
            let kek = try wrappingKey(
                ephemeral.sharedSecret(with: recipient), ephemeral: ephemeral.publicKey, recipient, binding)
            let box = try seed.withBytes { (raw) throws(HoldfastError) in
                try SealedBox.seal(RawSpan(_unsafeBytes: raw), key: kek, associated: RawSpan())
            }
            wrapped.append(Recipient(hint: hint(recipient), wrapped: box))
        }
        return Envelope(ephemeral: ephemeral.publicKey, recipients: wrapped)
    }

    /// The seed, when one of `keys` is a recipient; nil when none is.
    ///
    /// - Throws: `.corruptObject` when a wrapping for one of the keys does not open.
    package func open(with keys: [AgreementKey], binding: Binding) throws(HoldfastError) -> SecretBytes? {
        for key in keys {
            let wanted = Self.hint(key.publicKey)
            for recipient in recipients where recipient.hint == wanted {
                let kek = try Self.wrappingKey(
                    key.sharedSecret(with: ephemeral), ephemeral: ephemeral, key.publicKey, binding)
                return try SealedBox.open(recipient.wrapped.span.bytes, key: kek, associated: RawSpan())
            }
        }
        return nil
    }

    package func write(to writer: inout ByteWriter) {
        writer.raw(ephemeral)
        for recipient in recipients {
            writer.u64(recipient.hint)
            writer.raw(recipient.wrapped)
        }
        writer.zeros((Self.maximumRecipients - recipients.count) * 56)
    }

    package init(ephemeral: Bytes32, recipients: [Recipient]) {
        self.ephemeral = ephemeral
        self.recipients = recipients
    }

    package init(from reader: inout ByteReader) throws(HoldfastError) {
        ephemeral = try reader.bytes32()
        recipients = []
        var isOver = false
        for _ in 0..<Self.maximumRecipients {
            let hint = try reader.u64()
            let wrapped = try reader.raw(48)
            if hint == 0, wrapped.allSatisfy({ $0 == 0 }) {
                isOver = true
                continue
            }
            guard !isOver else { throw reader.corrupt("its recipients have gaps") }
            recipients.append(Recipient(hint: hint, wrapped: wrapped))
        }
        guard !recipients.isEmpty else { throw reader.corrupt("it has no recipient") }
    }

    private static func hint(_ publicKey: Bytes32) -> UInt64 {
        publicKey.withBytes { raw in SHA256.digest(RawSpan(_unsafeBytes: raw)).w0 }
    }

    private static func wrappingKey(
        _ shared: SecretBytes, ephemeral: Bytes32, _ recipient: Bytes32, _ binding: Binding
    ) throws(HoldfastError) -> SecretBytes {
        var info = ByteWriter()
        info.raw(Array("envelope".utf8))
        info.raw(binding.repository.bytes)
        info.u8(binding.kind)
        info.u32(binding.epoch)
        info.raw(ephemeral)
        info.raw(recipient)
        return try HKDF.derive(shared, salt: binding.salt.array, info: info.bytes, count: 32)
    }
}
