// One connection to a web server: a socket under one time limit for everything, and under TLS where it leaves the
// machine.

import CLinux
import CTLS
import Glibc
import Primitives

/// Until when an exchange with a server has to be over, whatever the server does.
///
/// A limit for each wait would be none: a server that sends a byte now and then would hold its thread for ever.
struct ExchangeLimit: Sendable {
    /// How long a wait takes to see a cancellation.
    private static let nap = Duration.milliseconds(100)

    let deadline: Duration
    let clock: any Clock
    let cancellation: Cancellation

    init(_ length: Duration, clock: any Clock, cancellation: Cancellation) {
        deadline = clock.uptime() + length
        self.clock = clock
        self.cancellation = cancellation
    }

    /// A limit for one of `parts` things that come one after the other, so that the first cannot take all.
    func share(of parts: Int, _ what: String) throws(HoldfastError) -> ExchangeLimit {
        ExchangeLimit(try check(what) / max(1, parts), clock: clock, cancellation: cancellation)
    }

    /// - Throws: `.storeUnavailable` when the time is over, `.interrupted` when it was called off.
    func check(_ what: String) throws(HoldfastError) -> Duration {
        try cancellation.check()
        let left = deadline - clock.uptime()
        guard left > .zero else { throw over(what) }
        return left
    }

    private func over(_ what: String) -> HoldfastError {
        WebConnection.unavailable("its time was over while \(what)")
    }

    /// Waits until `descriptor` can be read from or written to.
    func wait(for descriptor: Int32, _ events: Int32, _ what: String) throws(HoldfastError) {
        // What was waited counts as well, so that a clock that stands still does not make it endless.
        var waited = Duration.zero
        while true {
            let left = try check(what) - waited
            guard left > .zero else { throw over(what) }
            let nap = min(left, Self.nap)
            var watched = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let ready = poll(&watched, 1, Int32(max(1, nap / .milliseconds(1))))
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw HoldfastError.systemCall("wait for", errno, on: "a socket") }
            waited += nap
        }
    }
}

/// A connection that is closed with its last reference. One thread.
final class WebConnection {
    /// What a connection is made of. Given to ``init`` whole, so that whatever fails before cleans up after itself and
    /// nothing is closed twice.
    private struct Parts {
        var descriptor: Int32
        var context: OpaquePointer?
        var session: OpaquePointer?

        func close() {
            if let session { SSL_free(session) }
            if let context { SSL_CTX_free(context) }
            Glibc.close(descriptor)
        }
    }

    private static let maximumAddresses = 16

    private let parts: Parts
    private let limit: ExchangeLimit

    /// Connects to the first address of the host that answers.
    ///
    /// The time that looking up the host takes is the resolver's (resolv.conf(5)) and counts, but cannot be cut short.
    ///
    /// - Parameter limit: For the connection and all that goes over it.
    /// - Throws: `.storeUnavailable` with `retry: .later`; `.accessDenied` when the peer is not who it should be;
    ///   `.interrupted`.
    init(_ address: WebAddress, limit: ExchangeLimit) throws(HoldfastError) {
        self.limit = limit
        parts = try Self.open(address, limit)
    }

    deinit { parts.close() }

    private static func open(_ address: WebAddress, _ limit: ExchangeLimit) throws(HoldfastError) -> Parts {
        var parts = Parts(descriptor: try connect(address, limit))
        guard address.isTLS else { return parts }
        do throws(HoldfastError) {
            try secure(&parts, address, limit)
        } catch {
            parts.close()
            throw error
        }
        return parts
    }

    private static func secure(
        _ parts: inout Parts, _ address: WebAddress, _ limit: ExchangeLimit
    ) throws(HoldfastError) {
        parts.context = holdfast_tls_context()
        if let context = parts.context {
            parts.session = holdfast_tls_session(context, parts.descriptor, address.host)
        }
        guard let session = parts.session else {
            throw HoldfastError(.cryptography, "TLS cannot be set up", hint: "Check the installation of OpenSSL.")
        }
        while true {
            ERR_clear_error()
            let status = SSL_connect(session)
            if status == 1 { return }
            if try wait(session, status, parts.descriptor, limit, "TLS was set up") { continue }
            throw HoldfastError(
                .accessDenied, "no trusted connection to \(address): \(lastError)",
                hint: "Its certificate must be for that name, and vouched for by the system's certificates.",
                retry: .later)
        }
    }

    /// Waits for what the session asked for; false when it failed for good.
    private static func wait(
        _ session: OpaquePointer, _ status: Int32, _ descriptor: Int32, _ limit: ExchangeLimit, _ what: String
    ) throws(HoldfastError) -> Bool {
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ: try limit.wait(for: descriptor, POLLIN, what)
        case SSL_ERROR_WANT_WRITE: try limit.wait(for: descriptor, POLLOUT, what)
        default: return false
        }
        return true
    }

    private static var lastError: String {
        let number = ERR_get_error()
        guard number != 0 else { return "the connection was closed" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(number, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func connect(_ address: WebAddress, _ limit: ExchangeLimit) throws(HoldfastError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, "\(address.port)", &hints, &list)
        guard status == 0, let first = list else {
            throw unavailable("the host of \(address) has no address: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(first) }
        let all = sequence(first: first) { $0.pointee.ai_next }.prefix(maximumAddresses).map(\.pointee)
        var number: Int32 = 0
        for (place, one) in all.enumerated() {
            let kind = one.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let share = try limit.share(of: all.count - place, "it was connected to")
            let descriptor = socket(one.ai_family, kind, one.ai_protocol)
            number = descriptor < 0 ? errno : try join(descriptor, one, share)
            if number == 0 { return descriptor }
        }
        throw unavailable("no connection to \(address): \(describeErrno(number))")
    }

    /// Connects a socket, and closes it when that fails.
    ///
    /// - Returns: What went wrong with this address, by its number; 0 for nothing.
    private static func join(
        _ descriptor: Int32, _ one: addrinfo, _ limit: ExchangeLimit
    ) throws(HoldfastError) -> Int32 {
        var number: Int32 = 0
        do throws(HoldfastError) {
            if Glibc.connect(descriptor, one.ai_addr, one.ai_addrlen) != 0 {
                number = errno
                if number == EINPROGRESS || number == EINTR {
                    try limit.wait(for: descriptor, POLLOUT, "it was connected to")
                    var size = socklen_t(MemoryLayout<Int32>.size)
                    if getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size) != 0 { number = errno }
                }
            }
        } catch {
            Glibc.close(descriptor)
            // Another address may answer in the time that is left.
            guard error.code == .storeUnavailable else { throw error }
            return ETIMEDOUT
        }
        if number != 0 { Glibc.close(descriptor) }
        return number
    }

    static func unavailable(_ text: String) -> HoldfastError {
        HoldfastError(.storeUnavailable, text, hint: "Check the address and the network.", retry: .later)
    }

    func write(_ bytes: [UInt8]) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            _ = try limit.check("it was written to")
            let rest = bytes[start...]
            ERR_clear_error()
            let count = rest.withUnsafeBytes { raw -> Int in
                if let session = parts.session {
                    return Int(SSL_write(session, raw.baseAddress, Int32(clamping: raw.count)))
                }
                return send(parts.descriptor, raw.baseAddress, raw.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                start += count
            } else if try !isToBeTriedAgain(count, POLLOUT, "it was written to") {
                throw Self.unavailable("the connection broke off while it was written to")
            }
        }
    }

    /// At most `limit` bytes; fewer than one at the end.
    func read(limit most: Int) throws(HoldfastError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        while true {
            _ = try limit.check("an answer was waited for")
            ERR_clear_error()
            let count = buffer.withUnsafeMutableBytes { raw -> Int in
                if let session = parts.session {
                    return Int(SSL_read(session, raw.baseAddress, Int32(clamping: raw.count)))
                }
                return recv(parts.descriptor, raw.baseAddress, raw.count, 0)
            }
            if count > 0 || count == 0 && parts.session == nil { return Array(buffer[..<count]) }
            if try !isToBeTriedAgain(count, POLLIN, "an answer was waited for") { return [] }
        }
    }

    /// After a call that did nothing: waits until it can do something; false when it never will.
    private func isToBeTriedAgain(_ count: Int, _ events: Int32, _ what: String) throws(HoldfastError) -> Bool {
        let number = errno
        if let session = parts.session {
            return try Self.wait(session, Int32(count), parts.descriptor, limit, what)
        }
        guard number == EAGAIN || number == EINTR else { return false }
        try limit.wait(for: parts.descriptor, events, what)
        return true
    }
}
