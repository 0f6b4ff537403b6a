// A file descriptor with one owner.

import CLinux
import Glibc
import Primitives

/// Closes its descriptor when the last reference goes. The descriptor is close-on-exec.
package final class OwnedDescriptor: Sendable {
    package let number: Int32

    /// Takes ownership of `number`.
    package init(_ number: Int32) {
        precondition(number >= 0, "a descriptor is not negative")
        self.number = number
    }

    deinit { _ = Glibc.close(number) }

    /// fstat(2) of the descriptor.
    func status(of thing: @autoclosure () -> String) throws(HoldfastError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw HoldfastError.systemCall("stat", errno, on: thing()) }
        return status
    }
}

/// openat(2) of one path part, without following a symbolic link in its place; a negative result is `-errno`.
func openPart(_ directory: Int32, _ name: UnsafePointer<CChar>, _ flags: Int32, mode: UInt32 = 0) -> Int32 {
    let all = flags | O_NOFOLLOW
    let (descriptor, number) = retryingInterrupts { holdfast_open_beneath(directory, name, all, mode) }
    if descriptor >= 0 { return descriptor }
    // ENOSYS before Linux 5.6; EPERM from container filters that do not know openat2, or honestly, and then again.
    guard number == ENOSYS || number == EPERM else { return -number }
    let (second, secondNumber) = retryingInterrupts { holdfast_openat(directory, name, all, mode) }
    return second >= 0 ? second : -secondNumber
}
