// A chunk from any of its copies, when the one that is read first is damaged.

import Primitives
import Repository
import Sealing

extension ChunkReader {
    /// Decodes the copy at `location`, else any other, and checks it against `id`.
    ///
    /// - Returns: the plain bytes, or what is wrong with the first copy.
    /// - Throws: failures that are no damage.
    func rescue(
        _ id: ChunkID, from location: ChunkLocation, in index: Index, hash: KeyedHash
    ) throws(HoldfastError) -> Result<[UInt8], HoldfastError> {
        var failure: HoldfastError?
        let others = index.copies(of: id.bytes.prefix).filter { CopyKey($0) != CopyKey(location) }
        for copy in [location] + others {
            do throws(HoldfastError) {
                let plain = try decode(copy)
                if ChunkID(hash.digest(plain.span.bytes)) == id { return .success(plain) }
                failure =
                    failure
                    ?? HoldfastError(
                        .corruptObject, "chunk \(id) in pack \(copy.pack) decodes to other bytes",
                        hint: "Run `holdfast check --read-data`, and restore the pack from a mirror.")
            } catch {
                guard error.isDamage else { throw error }
                failure = failure ?? error
            }
        }
        return .failure(failure ?? Self.missing(id))
    }
}
