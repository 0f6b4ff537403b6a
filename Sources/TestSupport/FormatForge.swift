// Format objects of versions and with features that do not exist yet.

import ObjectStore
import Primitives
import Repository
import Sealing

/// Signs format objects as an admin of a later version would.
package enum FormatForge {
    /// Puts `format/<number>` into the local repository at `path`, opened with an admin's password.
    package static func put(
        number: UInt32 = 2, version: UInt32 = FormatObject.version, read: UInt32 = 0, write: UInt32 = 0,
        collect: UInt32 = 0, into path: String, password: String
    ) throws(HoldfastError) {
        let store = try StoreLocation.open(path)
        let repository = try Repository.open(
            store, secret: TestRepository.secret(password),
            environment: TestRepository.environment(clock: SystemClock()))
        let bytes = try encoded(number: number, version: version, of: repository) { format in
            format.readFeatures = read
            format.writeFeatures = write
            format.collectFeatures = collect
        }
        try store.putIfAbsent(ObjectNames.format(number), bytes.span.bytes)
    }

    package static func encoded(
        number: UInt32, version: UInt32 = FormatObject.version, of repository: Repository,
        _ change: (inout FormatObject) -> Void = { _ in }
    ) throws(HoldfastError) -> [UInt8] {
        var format = repository.format
        format.number = number
        change(&format)
        let admin = try SigningKey(seed: try repository.keyring.key(.adminSeed))
        var body = Array(try format.encoded(signer: admin).dropLast(96))
        withUnsafeBytes(of: version.littleEndian) { body.replaceSubrange(16..<20, with: $0) }
        return try SignedFrame.close(body, signer: admin)
    }
}
