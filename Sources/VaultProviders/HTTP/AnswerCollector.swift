// Takes an answer from the HTTP client as it comes in.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Primitives
import SecretVaults
import Synchronization

/// Collects one answer of a bounded size; what the client's buffers held of the body is wiped when it was copied.
final class AnswerCollector: HTTPClientResponseDelegate, Sendable {
    typealias Response = VaultAnswer

    struct TooLarge: Error {}

    private struct State: ~Copyable {
        var hasBegun = false
        var status = 0
        var headers: [String: String] = [:]
        var body = SecretBuffer()
    }

    private static let maximumHeaders = 128
    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// Whether a byte of the request went out, so that it may have been carried out.
    var mayHaveArrived: Bool { state.withLock { $0.hasBegun } }

    func didSendRequestHead(task: HTTPClient.Task<VaultAnswer>, _ head: HTTPRequestHead) {
        state.withLock { $0.hasBegun = true }
    }

    func didReceiveHead(task: HTTPClient.Task<VaultAnswer>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        guard length <= limit else { return task.eventLoop.makeFailedFuture(TooLarge()) }
        var headers: [String: String] = [:]
        for (name, value) in head.headers.reversed().suffix(Self.maximumHeaders) { headers[name.lowercased()] = value }
        state.withLock { state in
            state.status = Int(head.status.code)
            state.headers = headers
            state.body = SecretBuffer(capacity: length)
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<VaultAnswer>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        let isFit = buffer.withUnsafeReadableBytes { part in
            let isFit = state.withLock { state in
                guard state.body.count + part.count <= limit else { return false }
                state.body.append(part)
                return true
            }
            // In place: the parser has gone past this part, and nobody else reads it again.
            zero(UnsafeMutableRawBufferPointer(mutating: part))
            return isFit
        }
        return isFit
            ? task.eventLoop.makeSucceededVoidFuture() : task.eventLoop.makeFailedFuture(TooLarge())
    }

    func didFinishRequest(task: HTTPClient.Task<VaultAnswer>) throws -> VaultAnswer {
        state.withLock { state in
            var body = SecretBuffer()
            swap(&body, &state.body)
            return VaultAnswer(status: state.status, headers: state.headers, body: body.taken())
        }
    }
}
