// One connection to a web server: a socket with time limits, under TLS where it leaves the machine.

import CLinux
import CTLS
import Glibc
import Primitives

/// A connection that is closed with its last reference. One thread.
final class WebConnection {
    private let descriptor: Int32
    private var context: OpaquePointer?
    private var session: OpaquePointer?

    /// Connects to the first address of the host that answers.
    ///
    /// - Parameter limit: For each wait, for the connection and for each reading and writing.
    /// - Throws: `.storeUnavailable` with `retry: .later`; `.accessDenied` when the peer is not who it should be.
    init(_ address: WebAddress, limit: Duration) throws(HoldfastError) {
        descriptor = try Self.connect(address, limit: limit)
        guard address.isTLS else { return }
        context = holdfast_tls_context()
        guard let context else {
            Glibc.close(descriptor)
            throw HoldfastError(.cryptography, "TLS cannot be set up", hint: "Check the installation of OpenSSL.")
        }
        ERR_clear_error()
        session = holdfast_tls_connect(context, descriptor, address.host)
        guard session != nil else {
            let reason = Self.lastError
            SSL_CTX_free(context)
            self.context = nil
            Glibc.close(descriptor)
            throw HoldfastError(
                .accessDenied, "no trusted connection to \(address): \(reason)",
                hint: "Its certificate must be for that name, and vouched for by the system's certificates.",
                retry: .later)
        }
    }

    deinit {
        if let session { SSL_free(session) }
        if let context {
            SSL_CTX_free(context)
            Glibc.close(descriptor)
        } else if session == nil {
            Glibc.close(descriptor)
        }
    }

    private static var lastError: String {
        let number = ERR_get_error()
        guard number != 0 else { return "the connection was closed, or took too long" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(number, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func connect(_ address: WebAddress, limit: Duration) throws(HoldfastError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, "\(address.port)", &hints, &list)
        guard status == 0, let first = list else {
            throw unavailable("the host of \(address) has no address: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(first) }
        var next: UnsafeMutablePointer<addrinfo>? = first
        var number: Int32 = 0
        while let one = next?.pointee {
            let descriptor = socket(one.ai_family, one.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), one.ai_protocol)
            if descriptor >= 0 {
                // On Linux the limit for sending is that for connecting as well: socket(7).
                var time = timeval(
                    tv_sec: Int(limit.components.seconds),
                    tv_usec: Int(limit.components.attoseconds / 1_000_000_000_000))
                setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
                if Glibc.connect(descriptor, one.ai_addr, one.ai_addrlen) == 0 { return descriptor }
                number = errno
                Glibc.close(descriptor)
            } else {
                number = errno
            }
            next = one.ai_next
        }
        throw unavailable("no connection to \(address): \(describeErrno(number))")
    }

    private static func unavailable(_ text: String) -> HoldfastError {
        HoldfastError(.storeUnavailable, text, hint: "Check the address and the network.", retry: .later)
    }

    func write(_ bytes: [UInt8]) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            let rest = bytes[start...]
            let count = rest.withUnsafeBytes { raw -> Int in
                if let session { return Int(SSL_write(session, raw.baseAddress, Int32(clamping: raw.count))) }
                return send(descriptor, raw.baseAddress, raw.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Self.unavailable("the connection broke off while it was written to") }
            start += count
        }
    }

    /// At most `limit` bytes; fewer than one at the end.
    func read(limit: Int) throws(HoldfastError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = buffer.withUnsafeMutableBytes { raw -> Int in
            if let session { return Int(SSL_read(session, raw.baseAddress, Int32(clamping: raw.count))) }
            return recv(descriptor, raw.baseAddress, raw.count, 0)
        }
        guard count >= 0 else { throw Self.unavailable("no answer came in time") }
        return Array(buffer[..<count])
    }
}
