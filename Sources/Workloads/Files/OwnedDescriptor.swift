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

/// Opens a file of a tree that others filled, to be read, and waits for nobody: what has the name of a file there may
/// be a FIFO without a writer, or a device.
///
/// - Parameters:
///   - shown: The path, for errors.
///   - contents: The code for what is not there, or is no regular file, a symbolic link among it; `code` where nil.
/// - Throws: `code` and the like.
func openRegular(
    _ path: UnsafePointer<CChar>, shown: String, code: ErrorCode = .inputOutput, contents: ErrorCode? = nil
) throws(HoldfastError) -> OwnedDescriptor {
    let (file, absence) = try openRegularIfThere(path, shown: shown, code: code, contents: contents)
    guard let file else {
        guard let contents else { throw HoldfastError.systemCall("open", absence, on: shown, code: code) }
        throw HoldfastError(contents, "\(shown) is not there", hint: "Look into the snapshot with `holdfast ls`.")
    }
    return file
}

/// The same; nil, with the reason, for what is not there.
func openRegularIfThere(
    _ path: UnsafePointer<CChar>, shown: String, code: ErrorCode, contents: ErrorCode? = nil
) throws(HoldfastError) -> (file: OwnedDescriptor?, absence: Int32) {
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
    let (number, failure) = retryingInterrupts { holdfast_openat(AT_FDCWD, path, flags, 0) }
    // A link is refused with the first, a socket with the second.
    if number < 0, failure == ELOOP || failure == ENXIO { throw irregular(shown, contents ?? code) }
    if number < 0, failure == ENOENT || failure == ENOTDIR { return (nil, failure) }
    guard number >= 0 else { throw HoldfastError.systemCall("open", failure, on: shown, code: code) }
    let file = OwnedDescriptor(number)
    guard try file.status(of: shown).st_mode & S_IFMT == S_IFREG else { throw irregular(shown, contents ?? code) }
    return (file, 0)
}

/// The refusal of what is there, and is no file that can be read from its beginning to its end.
func irregular(_ shown: String, _ code: ErrorCode) -> HoldfastError {
    HoldfastError(
        code, "\(shown) is no regular file",
        hint: "A link, a FIFO or a device is not followed there; look how it came into the snapshot.")
}
