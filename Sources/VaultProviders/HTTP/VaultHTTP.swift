// The way to a vault over HTTPS.

import AsyncHTTPClient
import CLinux
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Primitives
import SecretVaults
import Synchronization

/// A client of one origin, over async-http-client.
///
/// Redirects within the origin are followed, three at most. Anywhere else they are a failure that names the other
/// host: no credential, no body, follows there. Proxies are not used. Connections are kept for a minute, and shared by
/// all clients of a process that were made alike.
package final class VaultHTTP: VaultTransport {
    private let origin: WebAddress
    private let options: VaultHTTPOptions
    let client: HTTPClient
    private let gate: CallGate

    package var location: String { Self.name(of: origin) }

    /// - Throws: `.configuration` for a file of authorities that can't be read.
    package init(_ origin: WebAddress, _ options: VaultHTTPOptions, clock: any Primitives.Clock) throws(HoldfastError) {
        self.origin = origin
        self.options = options
        client = try Self.client(options)
        gate = CallGate(
            concurrency: options.concurrency, callsPerSecond: options.callsPerSecond, clock: clock)
    }

    /// Clients by what they were made with. None is ever shut down: the library ends the process when a connection is
    /// given back just while that is done, and one is, right after the last answer. A process has one or two.
    private static let clients = Mutex<[VaultHTTPOptions: HTTPClient]>([:])

    private static func client(_ options: VaultHTTPOptions) throws(HoldfastError) -> HTTPClient {
        // A file of authorities that can't be read is told each time.
        let trust = try trust(options)
        var key = options
        key.callsPerSecond = nil
        return clients.withLock { clients in
            if let client = clients[key] { return client }
            let client = made(options, trust)
            clients[key] = client
            return client
        }
    }

    private static func made(_ options: VaultHTTPOptions, _ trust: TLSConfiguration) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: trust,
            redirectConfiguration: .disallow,
            timeout: .init(connect: .init(options.connectTimeout), read: .init(options.readTimeout)))
        configuration.httpVersion = .http1Only
        // One call is one attempt: a refused connection is told at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(options.concurrency, 1)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    package func send(_ request: VaultRequest) throws(HoldfastError) -> VaultAnswer {
        var request = request
        for _ in 0...Self.maximumRedirects {
            let answer = try gate.pass { () throws(HoldfastError) in try sendOnce(request) }
            guard [301, 302, 303, 307, 308].contains(answer.status), let place = answer.headers["location"] else {
                return answer
            }
            // A write is followed only where the method is kept by the rules.
            guard request.method == .get || answer.status >= 307 else {
                throw unavailable("it answers a write with a redirect that would turn it into a reading")
            }
            request.target = try target(of: place)
        }
        throw unavailable("it redirects in a circle")
    }

    private static let maximumRedirects = 3

    /// - Throws: `.vaultUnavailable` for another origin, which is named without its path.
    private func target(of place: String) throws(HoldfastError) -> String {
        if place.hasPrefix("/") && !place.hasPrefix("//") { return place }
        guard let other = WebAddress(place) else { throw unavailable("it redirects to what is no address to go to") }
        guard other.isTLS == origin.isTLS, other.host == origin.host, other.port == origin.port else {
            throw HoldfastError(
                .vaultUnavailable, "the vault \(location) redirects to \(Self.name(of: other))",
                hint: "It may be a standby. Name the other host if it is the vault; credentials follow to none.",
                retry: .later)
        }
        return other.path
    }

    private func sendOnce(_ request: VaultRequest) throws(HoldfastError) -> VaultAnswer {
        let collector = AnswerCollector(limit: Int(clamping: limit(of: request).bytes))
        var headers = HTTPHeaders()
        for (name, value) in request.headers { headers.add(name: name, value: value) }
        let body = request.body.map { secret in
            secret.withBytes { raw in
                var buffer = ByteBufferAllocator().buffer(capacity: raw.count)
                buffer.writeBytes(raw)
                return buffer
            }
        }
        do {
            let sent = try HTTPClient.Request(
                url: Self.name(of: origin) + request.target, method: HTTPMethod(rawValue: request.method.rawValue),
                headers: headers, body: body.map { .byteBuffer($0) })
            let answer = try client.execute(
                request: sent, delegate: collector, deadline: .now() + TimeAmount(options.timeout)
            ).wait()
            // After an answer nobody reads it again; after a failure a write may be under way still.
            body?.withUnsafeReadableBytes { zero(UnsafeMutableRawBufferPointer(mutating: $0)) }
            return answer
        } catch {
            throw failure(error, request, mayHaveArrived: collector.mayHaveArrived)
        }
    }

    private func limit(of request: VaultRequest) -> ByteCount {
        request.largestAnswer.map { min($0, options.largestAnswer) } ?? options.largestAnswer
    }

    // MARK: - Failures

    private func failure(_ error: any Error, _ request: VaultRequest, mayHaveArrived: Bool) -> HoldfastError {
        if request.effect == .write && mayHaveArrived {
            return HoldfastError(
                .writeUnknown, "the vault \(location) did not answer a write: \(Self.words(for: error))",
                hint: "It may have been done. Look at the secret before anything else is written.")
        }
        if error is AnswerCollector.TooLarge {
            return HoldfastError(
                .limitExceeded, "the vault \(location) sent an answer of more than \(limit(of: request))",
                hint: "Ask for fewer secrets at once, or split large folders.")
        }
        return unavailable(Self.words(for: error))
    }

    private func unavailable(_ what: String) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "the vault \(location) can't be asked: \(what)",
            hint: "Check the address, the network, the vault's certificate and its authority, then try again.",
            retry: .later)
    }

    /// In words of our own: what the libraries say is made for developers.
    static func words(for error: any Error) -> String {
        if let error = error as? HTTPClientError {
            switch error {
            case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout: return "no connection in time"
            case .readTimeout, .writeTimeout, .deadlineExceeded: return "no answer in time"
            case .remoteConnectionClosed: return "the connection was closed"
            default: return "the call failed (\(error.shortDescription))"
            }
        }
        if error is NIOSSLExtraError { return "its certificate is for another host" }
        if error is NIOSSLError || error is BoringSSLError {
            return "\(error)".contains("CERTIFICATE_VERIFY_FAILED")
                ? "its certificate is expired, or of an authority that is not trusted" : "TLS failed"
        }
        if error is NIOConnectionError || error is IOError { return "no connection" }
        return "the call failed"
    }

    /// Without a path.
    var root: String { Self.name(of: origin) }

    private static func name(of address: WebAddress) -> String {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        return "\(address.isTLS ? "https" : "http")://\(host):\(address.port)"
    }

    private static func trust(_ options: VaultHTTPOptions) throws(HoldfastError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        guard let path = options.authorities else { return configuration }
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(path), !certificates.isEmpty else {
            throw HoldfastError(
                .configuration, "\(path) holds no certificate that can be read",
                hint: "Name a PEM file with the authorities to trust, readable by the user that Holdfast runs as.")
        }
        configuration.trustRoots = .certificates(certificates)
        return configuration
    }
}

/// Overwrites memory in a way that the compiler does not take out.
func zero(_ raw: UnsafeMutableRawBufferPointer) {
    if let base = raw.baseAddress { holdfast_zero(base, raw.count) }
}
