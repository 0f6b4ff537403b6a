// Finds code that closes a descriptor which is not its own any more.

import Glibc
import Primitives
import Synchronization

/// How often another thread's descriptors were closed under its hands while `body` ran.
///
/// That thread opens and closes some all the time: it gets the numbers that have just become free, and one that `body`
/// closes a second time is gone when it is closed there.
///
/// - Returns: nil when no thread could be started.
package func foreignCloses(while body: () -> Void) -> Int? {
    let stop = Cancellation()
    let strange = Mutex(0)
    let other = JoinableThread {
        while !stop.isRaised {
            let own = (0..<8).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
            for descriptor in own where close(descriptor) != 0 { strange.withLock { $0 += 1 } }
        }
    }
    guard let other else { return nil }
    body()
    stop.raise()
    other.join()
    return strange.withLock { $0 }
}
