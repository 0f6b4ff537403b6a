// A delay that spreads jobs over hosts and stays the same, so that the distance between two runs is exact.

import Primitives
import Sealing

/// Stable delays.
package enum Jitter {
    /// A delay from 0 up to and without `most`, in whole seconds.
    ///
    /// It is the first eight bytes of SHA-256(job, a zero byte, host) as a number, most significant first, modulo the
    /// seconds of `most`.
    package static func delay(of job: JobName, on host: String, upTo most: Duration) -> Duration {
        let seconds = UInt64(max(0, most.components.seconds))
        guard seconds > 0 else { return .zero }
        let material = Array(job.description.utf8) + [0] + Array(host.utf8)
        let digest = SHA256.digest(material.span.bytes).array
        let number = digest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return .seconds(Int64(number % seconds))
    }
}
