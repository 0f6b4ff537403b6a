// Error numbers by meaning, and their text.

import CLinux
import Glibc

/// The error numbers that Holdfast tells apart.
package enum SystemErrno {
    package static let noSpace = ENOSPC
    package static let quota = EDQUOT
    package static let accessDenied = EACCES
    package static let notPermitted = EPERM
    package static let readOnly = EROFS
    package static let noEntry = ENOENT
    package static let again = EAGAIN
    package static let tooManyFiles = EMFILE
    package static let noMemory = ENOMEM
    package static let exists = EEXIST
    package static let interrupted = EINTR
}

/// The text of an error number, as strerror_r(3) gives it.
package func describeErrno(_ number: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // The GNU variant returns the text, the XSI variant fills the buffer; Swift imports the XSI one.
    guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    let end = buffer.firstIndex(of: 0) ?? buffer.count
    return String(decoding: buffer[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs a system call again while a signal interrupts it; returns its result and the error number of a failure.
package func retryingInterrupts<R: SignedInteger>(_ call: () -> R) -> (result: R, errorNumber: Int32) {
    while true {
        let result = call()
        if result >= 0 { return (result, 0) }
        let number = errno
        if number != EINTR { return (result, number) }
    }
}
