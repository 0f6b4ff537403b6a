// The bytes of a sealed value.

import CLinux
import Primitives
import SecretVaults

/// Form u8, length u32, the value, then zeros up to a multiple of 256, so that the file tells lengths roughly.
enum SealedValue {
    static let step = 256
    static let head = 5

    static func seal(
        _ value: SecretValue, _ keys: VaultKeys, _ place: VaultKeys.Place, _ salt: Bytes32
    ) throws(HoldfastError) -> [UInt8] {
        let count = (head + value.bytes.count + step - 1) / step * step
        let plain = SecretBytes(count: count)
        plain.withMutableBytes { raw in
            raw[0] = value.form.rawValue
            raw.storeBytes(of: UInt32(value.bytes.count).littleEndian, toByteOffset: 1, as: UInt32.self)
            value.bytes.withBytes { UnsafeMutableRawBufferPointer(rebasing: raw[head...]).copyMemory(from: $0) }
        }
        return try plain.withBytes { (raw) throws(HoldfastError) in
            try keys.seal(RawSpan(_unsafeBytes: raw), at: place, salt: salt)
        }
    }

    /// - Throws: `.corruptObject`.
    static func open(
        _ sealed: [UInt8], _ keys: VaultKeys, _ place: VaultKeys.Place, _ salt: Bytes32
    ) throws(HoldfastError) -> SecretValue {
        let plain = try keys.open(sealed, at: place, salt: salt)
        return try plain.withBytes { (raw) throws(HoldfastError) in
            guard raw.count >= head, let form = SecretForm(rawValue: raw[0]) else { throw damaged() }
            let count = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
            guard count <= raw.count - head else { throw damaged() }
            let own = UnsafeRawBufferPointer(rebasing: raw[head..<head + count])
            return SecretValue(form, SecretBytes(copying: RawSpan(_unsafeBytes: own)))
        }
    }

    private static func damaged() -> HoldfastError {
        HoldfastError(.corruptObject, "a value has no form", hint: "Restore the vault from a snapshot.")
    }
}
