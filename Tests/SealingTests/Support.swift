// Short forms for vectors.

import Primitives
import Testing

func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

func secret(_ hex: String) throws -> SecretBytes {
    var raw = try bytes(hex)
    return SecretBytes(wiping: &raw)
}

func bytes32(_ hex: String) throws -> Bytes32 {
    let raw = try bytes(hex)
    return Bytes32(raw.span.bytes)
}

func text(_ value: Bytes32) -> String { Hex.encode(value.array) }
func text(_ value: SecretBytes) -> String { value.withBytes { Hex.encode($0) } }

/// The code that `body` fails with, or nil when it does not fail.
func failure<R>(_ body: () throws(HoldfastError) -> R) -> ErrorCode? {
    do throws(HoldfastError) {
        _ = try body()
        return nil
    } catch {
        return error.code
    }
}
