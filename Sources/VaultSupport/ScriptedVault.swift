// A server that answers as a script has it, for what a real one can't be made to do.

import Foundation
import Glibc
import Primitives
import SecretVaults
import Synchronization
import VaultProviders

/// A real server that a scripted one passes requests on to.
package protocol ServerBehind: Sendable {
    /// Sends one request as it is.
    func send(_ request: VaultRequest) throws -> VaultAnswer
    /// Whether it is told which host was asked.
    var keepsHost: Bool { get }
}

/// HTTP on a loopback port: each request goes to a script, which answers, passes it on to a real server, or is silent.
///
/// One request on each connection, and a thread for each.
package final class ScriptedVault: Sendable {
    package struct Request: Sendable {
        package var method: String
        package var target: String
        /// By lower-case name.
        package var headers: [String: String]
        package var body: [UInt8]
        /// How many came before it.
        package var number: Int
    }

    package enum Reply: Sendable {
        case answer(Int, headers: [(String, String)] = [], body: String = "{\"errors\":[]}")
        case bytes(Int, [UInt8])
        /// Whatever the real server says.
        case passOn
        /// Passed on, and then the connection is closed in place of an answer.
        case passOnAndLose
        /// Passed on; when the real server has answered this is done, and the connection is closed without a word.
        case passOnThen(@Sendable () -> Void)
        /// The connection is closed, and nobody else hears of the request.
        case lose
    }

    package let port: UInt16
    private let listener: Int32
    private let behind: (any ServerBehind)?
    private let script: @Sendable (Request) -> Reply
    private let seen = Mutex<[Request]>([])
    private let isOver = Mutex(false)
    private let takesChunks: Bool

    /// - Parameter takesChunks: Whether a body that comes in chunks is read to its end before it is answered; its bytes
    ///   are dropped.
    package init(
        before behind: (any ServerBehind)? = nil, takesChunks: Bool = false,
        script: @escaping @Sendable (Request) -> Reply
    ) throws {
        self.behind = behind
        self.takesChunks = takesChunks
        self.script = script
        listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 128) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening else { throw OpenBaoServer.Failure(description: "no port for a scripted vault") }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in accept() }
    }

    package var origin: String { "http://127.0.0.1:\(port)" }
    package var requests: [Request] { seen.withLock { $0 } }

    /// No connection is taken any more.
    package func stop() {
        let wasOver = isOver.withLock { isOver in
            defer { isOver = true }
            return isOver
        }
        if !wasOver { shutdown(listener, Int32(SHUT_RDWR)) }
    }

    private func accept() {
        while true {
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else {
                if errno == EINTR { continue }
                break
            }
            Thread.detachNewThread { [self] in
                serve(connection)
                close(connection)
            }
        }
        close(listener)
    }

    private func serve(_ connection: Int32) {
        guard var request = Self.read(connection, takesChunks) else { return }
        request.number = seen.withLock { seen in
            seen.append(request)
            return seen.count - 1
        }
        switch script(request) {
        case .lose: return
        case .passOnAndLose: _ = passOn(request)
        case .passOnThen(let next):
            _ = passOn(request)
            next()
        case .passOn:
            guard let answer = passOn(request) else { return }
            let names = ["content-type", "date", "x-amzn-errortype"]
            let kept = names.compactMap { name in answer.headers[name].map { (name, $0) } }
            Self.write(connection, answer.status, kept, answer.body.withBytes { Array($0) })
        case .bytes(let status, let body): Self.write(connection, status, [], body)
        case .answer(let status, let headers, let body): Self.write(connection, status, headers, Array(body.utf8))
        }
    }

    private func passOn(_ request: Request) -> VaultAnswer? {
        guard let behind, let method = VaultRequest.Method(rawValue: request.method) else { return nil }
        let own: Set = ["connection", "content-length", "transfer-encoding"]
        let headers = request.headers.filter { !own.contains($0.key) && (behind.keepsHost || $0.key != "host") }.map {
            (name: $0.key, value: $0.value)
        }
        let body = request.body.isEmpty ? nil : SecretBytes(copying: request.body.span.bytes)
        return try? behind.send(VaultRequest(method, request.target, headers: headers, body: body))
    }

    // MARK: - HTTP

    private static func read(_ connection: Int32, _ takesChunks: Bool) -> Request? {
        var bytes: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        var head: Int?
        var length = 0
        var request = Request(method: "", target: "", headers: [:], body: [], number: 0)
        while true {
            if head == nil, let place = bytes.firstRange(of: end) {
                let lines = String(decoding: bytes[..<place.lowerBound], as: UTF8.self).split(separator: "\r\n")
                let words = lines.first?.split(separator: " ") ?? []
                guard words.count == 3 else { return nil }
                (request.method, request.target) = (String(words[0]), String(words[1]))
                for line in lines.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    request.headers[line[..<colon].lowercased()] = line[line.index(after: colon)...]
                        .trimmingCharacters(in: .whitespaces)
                }
                length = request.headers["content-length"].flatMap { Int($0) } ?? 0
                head = place.upperBound
            }
            let isChunked = takesChunks && request.headers["transfer-encoding"] == "chunked"
            if let head, isChunked, bytes[head...].firstRange(of: Array("0\r\n\r\n".utf8)) != nil { return request }
            if let head, !isChunked, bytes.count >= head + length {
                request.body = Array(bytes[head..<(head + length)])
                return request
            }
            var part = [UInt8](repeating: 0, count: 65_536)
            let count = Glibc.read(connection, &part, part.count)
            guard count > 0, bytes.count < 8 << 20 else { return nil }
            bytes += part[..<count]
        }
    }

    private static func write(_ connection: Int32, _ status: Int, _ headers: [(String, String)], _ body: [UInt8]) {
        var head = "HTTP/1.1 \(status) x\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        let all = Array((head + "\r\n").utf8) + body
        var sent = 0
        while sent < all.count {
            let count = all[sent...].withUnsafeBytes { rest in
                send(connection, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }
}
