// Names of files on stable storage.

import Glibc

/// Returns when the names in a directory are on stable storage: those that were made, renamed and removed before.
package func syncDirectory(_ path: String) throws(HoldfastError) {
    let (directory, number) = retryingInterrupts { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard directory >= 0 else { throw HoldfastError.systemCall("open", number, on: path) }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: path) }
}
