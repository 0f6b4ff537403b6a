// What this machine is called and has.

import CLinux
import Glibc

/// Facts of the machine that the process runs on.
package enum Host {
    /// The host's name as gethostname(2) gives it.
    package static var name: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        let end = buffer.firstIndex(of: 0) ?? buffer.count
        return String(decoding: buffer[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Processors that this process may use.
    package static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// `path` from the root without symbolic links; nil, with the reason in errno, when nothing is there.
    package static func realPath(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// `path` from the root, without `.`, `..`, doubled and closing slashes. Symbolic links are left as they are.
    package static func absolutePath(_ path: String) -> String {
        var parts: [Substring] = []
        let start = path.hasPrefix("/") ? "" : workingDirectory
        for part in "\(start)/\(path)".split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static var workingDirectory: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getcwd(&buffer, buffer.count) != nil else { return "" }
        let end = buffer.firstIndex(of: 0) ?? buffer.count
        return String(decoding: buffer[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Small files that an operator names on the command line.
package enum InputFile {
    /// Reads the whole of a file.
    ///
    /// - Parameter waits: A pipe is read like a file, once somebody writes to it. False for what a program finds in a
    ///   directory, where a pipe would hold it up.
    /// - Throws: `.configuration` when it cannot be opened, or is no file and `waits` is false; `.limitExceeded` when
    ///   it is larger than `limit`.
    package static func read(_ path: String, limit: ByteCount, waits: Bool = true) throws(HoldfastError) -> [UInt8] {
        let flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (waits ? 0 : O_NONBLOCK)
        let (descriptor, number) = retryingInterrupts { open(path, flags) }
        guard descriptor >= 0 else {
            throw HoldfastError(
                .configuration, "open \(path): \(describeErrno(number))",
                hint: "Check the path of the file, its owner and its mode.")
        }
        defer { close(descriptor) }
        var status = stat()
        guard waits || fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG else {
            throw HoldfastError(.configuration, "\(path) is no file", hint: "Look at it, then take it away.")
        }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let (count, number) = piece.withUnsafeMutableBytes { raw in
                retryingInterrupts { Glibc.read(descriptor, raw.baseAddress, raw.count) }
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: path) }
            if count == 0 { return bytes }
            bytes += piece[..<count]
            guard bytes.count <= limit.bytes else {
                throw HoldfastError(.limitExceeded, "\(path) is larger than \(limit)", hint: "Name a smaller file.")
            }
        }
    }
}
