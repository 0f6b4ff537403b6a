// Answers that are read, and requests that are written, as they go.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Primitives
import SecretVaults
import Synchronization

/// One call under way, whose answer is taken in parts.
///
/// The network is held back when more than ``mostHeld`` waits to be read. Thread: one reader at a time.
final class AnswerStream: HTTPClientResponseDelegate, Sendable {
    typealias Response = Void

    /// Bytes that may wait to be read.
    private static let mostHeld = 1 << 20
    /// Between two looks at whether something came. Much comes in that time where the network is fast.
    private static let look = Duration.milliseconds(2)
    /// Looks for the body of a failure: five seconds. It may never come where the request was not read to its end.
    private static let patience = 2500

    private struct State {
        var status: Int?
        var headers: [String: String] = [:]
        var parts: [ByteBuffer] = []
        var held = 0
        /// Lets more come.
        var more: EventLoopPromise<Void>?
        var isAtEnd = false
        var failure: String?
        /// Nobody reads any more.
        var isDropped = false
    }

    private let state = Mutex(State())
    private let cancellation: Cancellation

    init(_ cancellation: Cancellation) { self.cancellation = cancellation }

    // MARK: - What the client calls

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        var headers: [String: String] = [:]
        for (name, value) in head.headers.reversed().suffix(128) { headers[name.lowercased()] = value }
        state.withLock { state in
            state.status = Int(head.status.code)
            state.headers = headers
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        state.withLock { state in
            guard !state.isDropped else { return task.eventLoop.makeFailedFuture(BodyStream.BrokenOff()) }
            state.parts.append(buffer)
            state.held += buffer.readableBytes
            guard state.held > Self.mostHeld else { return task.eventLoop.makeSucceededVoidFuture() }
            let more = task.eventLoop.makePromise(of: Void.self)
            state.more = more
            return more.futureResult
        }
    }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
        state.withLock { $0.failure = $0.failure ?? VaultHTTP.words(for: error) }
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws { state.withLock { $0.isAtEnd = true } }

    // MARK: - What the reader calls

    /// Waits for the head of the answer. The failure is in words for people.
    func head() throws(HoldfastError) -> Result<(status: Int, headers: [String: String]), Broken> {
        while true {
            let found = state.withLock { state -> Result<(status: Int, headers: [String: String]), Broken>? in
                if let status = state.status { return .success((status, state.headers)) }
                return state.failure.map { .failure(Broken(words: $0)) }
            }
            if let found { return found }
            try pause()
        }
    }

    /// Whether an answer came, or the call broke off, before all was sent.
    var isOver: Bool { state.withLock { $0.status != nil || $0.failure != nil } }

    struct Broken: Error { var words: String }

    /// At most the buffer's length; 0 at the end and only there.
    ///
    /// - Parameter looks: After so many in vain it counts as broken off.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, looks: Int = .max
    ) throws(HoldfastError) -> Result<Int, Broken> {
        guard buffer.count > 0 else { return .success(0) }
        var left = looks
        while true {
            let (found, more) = state.withLock { state -> (Result<Int, Broken>?, EventLoopPromise<Void>?) in
                guard var part = state.parts.first else {
                    if let failure = state.failure { return (.failure(Broken(words: failure)), nil) }
                    return (state.isAtEnd ? .success(0) : nil, nil)
                }
                let count = min(part.readableBytes, buffer.count)
                part.readWithUnsafeReadableBytes { bytes in
                    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                    return count
                }
                if part.readableBytes == 0 { state.parts.removeFirst() } else { state.parts[0] = part }
                state.held -= count
                guard state.held <= Self.mostHeld / 2 else { return (count == 0 ? nil : .success(count), nil) }
                let more = state.more
                state.more = nil
                return (count == 0 ? nil : .success(count), more)
            }
            more?.succeed(())
            if let found { return found }
            left -= 1
            guard left > 0 else { return .failure(Broken(words: "no answer in time")) }
            try pause()
        }
    }

    /// The rest of an answer that is small, as those of failure are; what is beyond `limit` is left.
    func rest(limit: Int) throws(HoldfastError) -> SecretBytes {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 16)
        defer { buffer.deallocate() }
        var filled = 0
        while filled < limit {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            guard case .success(let count) = try read(into: part, looks: Self.patience), count > 0 else { break }
            filled += count
        }
        return SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<filled])))
    }

    func pause() throws(HoldfastError) {
        try cancellation.check()
        cancellation.wait(for: Self.look)
    }

    /// Gives up what is not read; the call was ended before.
    func drop() {
        let more = state.withLock { state in
            state.parts = []
            state.held = 0
            state.isDropped = true
            defer { state.more = nil }
            return state.more
        }
        more?.succeed(())
    }
}

/// A call whose answer is read in parts. Dropping it ends the call.
final class StreamedCall: Sendable {
    let answer: AnswerStream
    private let task: HTTPClient.Task<Void>

    init(_ answer: AnswerStream, _ task: HTTPClient.Task<Void>) {
        self.answer = answer
        self.task = task
    }

    deinit {
        task.cancel()
        answer.drop()
    }
}

/// The body of a call, written in parts from a thread that may block.
///
/// No future of the client is waited for: it drops those of writes that wait for the network when a call ends early.
final class BodyStream: Sendable {
    /// The longest time in which the network takes nothing.
    private static let silence = Duration.seconds(600)

    private struct State {
        var writer: HTTPClient.Body.StreamWriter?
        var isOver = false
        var written = 0
        var taken = 0
    }

    private let state = Mutex(State())
    private let end: EventLoopPromise<Void>
    private let isEnded = Atomic<Bool>(false)

    init(on loop: any EventLoop) { end = loop.makePromise(of: Void.self) }

    struct BrokenOff: Error {}

    /// What the client is given for a body.
    var body: HTTPClient.Body {
        .stream { [weak self, end] writer in
            self?.state.withLock { $0.writer = writer }
            return end.futureResult
        }
    }

    /// The call is over, with or without an answer.
    func callEnded() { state.withLock { $0.isOver = true } }

    /// Waits until the network took it. False when the call is over, an answer came, or nothing moves.
    func write(
        _ bytes: UnsafeRawBufferPointer, to answer: AnswerStream, clock: any Primitives.Clock
    ) throws(HoldfastError) -> Bool {
        let limit = clock.uptime() + Self.silence
        func wait(_ isDone: (State) -> Bool) throws(HoldfastError) -> Bool {
            while true {
                let (done, over) = state.withLock { (isDone($0), $0.isOver) }
                if done { return true }
                if over || answer.isOver || clock.uptime() > limit { return false }
                try answer.pause()
            }
        }
        guard try wait({ $0.writer != nil }), let writer = state.withLock({ $0.writer }) else { return false }
        var buffer = ByteBufferAllocator().buffer(capacity: bytes.count)
        buffer.writeBytes(bytes)
        let number = state.withLock { state in
            state.written += 1
            return state.written
        }
        writer.write(.byteBuffer(buffer)).whenComplete { [weak self] result in
            self?.state.withLock { state in
                if case .success = result { state.taken = number } else { state.isOver = true }
            }
        }
        return try wait { $0.taken >= number }
    }

    /// - Parameter isWhole: False lets the call fail, so that the other side never takes a part for the whole.
    func finish(isWhole: Bool) {
        guard !isEnded.exchange(true, ordering: .relaxed) else { return }
        if isWhole { end.succeed(()) } else { end.fail(BrokenOff()) }
    }

    deinit { finish(isWhole: false) }
}

extension VaultHTTP {
    /// Begins a call whose answer is read in parts. One attempt; redirects are answers.
    func stream(
        _ request: VaultRequest, body: BodyStream? = nil, _ cancellation: Cancellation
    ) throws(HoldfastError) -> StreamedCall {
        var headers = HTTPHeaders()
        for (name, value) in request.headers { headers.add(name: name, value: value) }
        let sent: HTTPClient.Request
        do {
            sent = try HTTPClient.Request(
                url: root + request.target, method: HTTPMethod(rawValue: request.method.rawValue), headers: headers,
                body: body?.body)
        } catch {
            throw HoldfastError(.usage, "\(location) is no address that can be asked", hint: "Check it.")
        }
        let answer = AnswerStream(cancellation)
        let task = client.execute(request: sent, delegate: answer)
        if let body { task.futureResult.whenComplete { _ in body.callEnded() } }
        return StreamedCall(answer, task)
    }

    /// A loop of the client's own, for promises.
    var loop: any EventLoop { client.eventLoopGroup.any() }
}
