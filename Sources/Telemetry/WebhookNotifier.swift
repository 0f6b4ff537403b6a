// Alerts by a signed POST over HTTP/1.1 (RFC 9112).

import Glibc
import Primitives
import Sealing

/// Posts the alert as JSON, and tries again within bounds.
///
/// With a secret the header `Holdfast-Signature: t=SECONDS,v1=HEX` goes along: HEX is the HMAC-SHA-256, under the
/// secret, of SECONDS, a full stop and the body. A receiver compares it in constant time and refuses old times.
package struct WebhookNotifier: Notifier {
    package static let attempts = 3
    package static let standardTimeout = Duration.seconds(10)
    private static let backoff = Duration.seconds(2)
    private static let maximumStatusLine = 1024

    package let name: String
    package let capabilities = NotifierCapabilities(isRemote: true)
    private let address: WebAddress
    private let secret: SecretBytes?
    private let timeout: Duration
    private let userAgent: String
    private let clock: any Clock

    /// - Parameter timeout: For all of one attempt, however slowly the server answers.
    package init(
        name: String, address: WebAddress, secret: SecretBytes?, timeout: Duration = Self.standardTimeout,
        userAgent: String, clock: any Clock
    ) {
        self.name = name
        self.address = address
        self.secret = secret
        self.timeout = timeout
        self.userAgent = userAgent
        self.clock = clock
    }

    package func tell(_ note: AlertNote, unless cancellation: Cancellation) throws(HoldfastError) {
        let body = try note.encoded()
        var wait = Self.backoff
        for attempt in 1...Self.attempts {
            do throws(HoldfastError) {
                return try post(body, cancellation)
            } catch {
                if error.retry == .never || attempt == Self.attempts { throw error }
            }
            clock.sleep(for: wait, unless: cancellation)
            try cancellation.check()
            wait *= 2
        }
    }

    private func post(_ body: [UInt8], _ cancellation: Cancellation) throws(HoldfastError) {
        let limit = ExchangeLimit(timeout, clock: clock, cancellation: cancellation)
        let connection = try WebConnection(address, limit: limit)
        try connection.write(request(body) + body)
        var answer: [UInt8] = []
        while !answer.contains(10), answer.count < Self.maximumStatusLine {
            let piece = try connection.read(limit: Self.maximumStatusLine)
            if piece.isEmpty { break }
            answer += piece
        }
        let line = String(decoding: answer.prefix { $0 != 10 && $0 != 13 }, as: UTF8.self)
        let words = line.split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw HoldfastError(
                .storeUnavailable, "\(address) did not answer as a web server", hint: "Check the address.",
                retry: .later)
        }
        guard !(200..<300).contains(status) else { return }
        let mayPass = status == 429 || status >= 500
        throw HoldfastError(
            .storeUnavailable, "\(address) answered with status \(status)", hint: "Check the address and its secret.",
            retry: mayPass ? .later : .never)
    }

    private func request(_ body: [UInt8]) -> [UInt8] {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        let isUsual = address.port == (address.isTLS ? 443 : 80)
        var lines = [
            "POST \(address.path) HTTP/1.1", "Host: \(host)\(isUsual ? "" : ":\(address.port)")",
            "User-Agent: \(userAgent)", "Content-Type: application/json", "Content-Length: \(body.count)",
            "Connection: close",
        ]
        if let secret {
            let seconds = clock.now().seconds
            let signed = Array("\(seconds).".utf8) + body
            let code = KeyedHash.digest(key: secret, signed.span.bytes)
            lines.append("Holdfast-Signature: t=\(seconds),v1=\(Hex.encode(code.array))")
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }
}
