// Telling of alerts, with real programs and real servers.

import Foundation
import Glibc
import Logging
import Primitives
import Scheduling
import State
import Synchronization
import TestSupport
import Testing

@testable import Telemetry

/// A web server of Python that writes down what it is sent.
private final class WebServer {
    let directory = TemporaryDirectory()
    private let process = Process()
    var port: UInt16 = 0

    private static let script = """
        import http.server, json, ssl, sys, time
        directory, status, tls, delay = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "tls", float(sys.argv[4])
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                with open(directory + "/log", "a") as log:
                    log.write(json.dumps({"path": self.path, "body": body,
                        "signature": self.headers.get("Holdfast-Signature", "")}) + "\\n")
                time.sleep(delay)
                self.send_response(status); self.send_header("Content-Length", "0"); self.end_headers()
            def log_message(self, *rest): pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with open(directory + "/port.new", "w") as file: file.write(str(server.server_port))
        import os; os.rename(directory + "/port.new", directory + "/port")
        server.serve_forever()
        """

    init(status: Int = 200, tls: Bool = false, delay: Double = 0) throws {
        if tls {
            let openssl = Process()
            openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            openssl.arguments = [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost", "-keyout", directory.path + "/key.pem", "-out",
                directory.path + "/cert.pem",
            ]
            openssl.standardError = FileHandle.nullDevice
            try openssl.run()
            openssl.waitUntilExit()
            try #require(openssl.terminationStatus == 0)
        }
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c", Self.script, directory.path, "\(status)", tls ? "tls" : "plain", "\(delay)",
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<400 where port == 0 {
            let text = try? String(contentsOfFile: directory.path + "/port", encoding: .utf8)
            port = text.flatMap { UInt16($0) } ?? 0
            if port == 0 { SystemClock().sleep(for: .milliseconds(50), unless: Cancellation()) }
        }
        try #require(port != 0)
    }

    deinit {
        // Not SIGTERM: the child may have been born with that signal blocked.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    var log: [[String: String]] {
        let text = (try? String(contentsOfFile: directory.path + "/log", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: String]
        }
    }
}

@Suite("Notifiers", .serialized)
struct NotifierTests {
    private let noon = Timestamp(seconds: 1_800_000_000)
    private var alert: AlertRecord {
        AlertRecord(
            key: "job/a/failed", severity: .critical, state: .firing, summary: "it failed", since: noon, changed: noon)
    }

    private func secret(_ text: String) -> SecretBytes {
        var bytes = Array(text.utf8)
        return SecretBytes(wiping: &bytes)
    }

    private func webhook(
        _ url: String, secret: SecretBytes? = nil, timeout: Duration = .seconds(5),
        clock: any Primitives.Clock = ManualClock()
    ) throws -> WebhookNotifier {
        WebhookNotifier(
            name: "hook", address: try #require(WebAddress(url)), secret: secret, timeout: timeout,
            userAgent: "holdfast/test", clock: clock)
    }

    private func tell(_ notifier: any Notifier) throws {
        try notifier.tell(AlertNote(alert, host: "host"), unless: Cancellation())
    }

    private func failure(_ body: () throws -> Void) -> HoldfastError? {
        do {
            try body()
            return nil
        } catch {
            return error as? HoldfastError
        }
    }

    @Test("post the alert as JSON, signed with HMAC-SHA-256 over time and body")
    func signed() throws {
        let server = try WebServer()
        let clock = ManualClock(noon)
        try webhook("http://localhost:\(server.port)/hook?x=1", secret: secret("key"), clock: clock)
            .tell(AlertNote(alert, host: "host"), unless: Cancellation())
        let got = try #require(server.log.first)
        #expect(got["path"] == "/hook?x=1")
        let body = try #require(got["body"])
        #expect(body.contains(#""key":"job/a/failed""#) && body.contains(#""state":"firing""#))
        // Another implementation of the same algorithm.
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import hmac,sys; print(hmac.new(b'key', sys.argv[1].encode(), 'sha256').hexdigest(), end='')",
            "\(noon.seconds).\(body)",
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let expected = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        #expect(got["signature"] == "t=\(noon.seconds),v1=\(expected)")
    }

    @Test("try a server that is out of order three times, and one that refuses once")
    func attempts() throws {
        for (status, tries) in [(503, 3), (404, 1)] {
            let server = try WebServer(status: status)
            let found = failure {
                try tell(webhook("http://localhost:\(server.port)/"))
            }
            #expect(found?.code == .storeUnavailable && found?.message.contains("\(status)") == true)
            #expect(server.log.count == tries)
        }
    }

    @Test("give up a server that does not answer, in bounded time")
    func silent() throws {
        let server = try WebServer(delay: 600)
        let found = failure {
            try tell(webhook("http://localhost:\(server.port)/", timeout: .milliseconds(300)))
        }
        #expect(found?.code == .storeUnavailable)
    }

    @Test("refuse a server whose certificate nobody vouches for, and take it when somebody does")
    func certificates() throws {
        let server = try WebServer(tls: true)
        let untrusted = failure {
            try tell(webhook("https://localhost:\(server.port)/"))
        }
        #expect(untrusted?.code == .accessDenied && server.log.isEmpty)
        setenv("SSL_CERT_FILE", server.directory.path + "/cert.pem", 1)
        defer { unsetenv("SSL_CERT_FILE") }
        try tell(webhook("https://localhost:\(server.port)/"))
        #expect(server.log.count == 1)
        // It is for localhost and for no other name.
        let other = failure {
            try tell(webhook("https://127.0.0.1:\(server.port)/"))
        }
        #expect(other?.code == .accessDenied && server.log.count == 1)
    }

    @Test("run a program with the alert on its standard input, and stop one that hangs")
    func commands() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/told"
        let runner = SystemProcessRunner()
        try CommandNotifier(name: "c", words: ["sh", "-c", "cat > \"$0\"", path], runner: runner)
            .tell(AlertNote(alert, host: "host"), unless: Cancellation())
        let told = try String(contentsOfFile: path, encoding: .utf8)
        #expect(told.hasSuffix("}\n") && told.contains(#""schema":"holdfast.alert/1""#))
        for words in [["false"], ["sleep", "1000"], ["/nonexistent"]] {
            let notifier = CommandNotifier(name: "c", words: words, timeout: .milliseconds(300), runner: runner)
            #expect(failure { try tell(notifier) }?.code == .processFailed)
        }
    }

    @Test("close what they opened once, and nothing that another thread has opened since")
    func closing() throws {
        let server = try ByteServer(.hangUp)
        let hook = try webhook("https://localhost:\(server.port)/")
        // The system's certificates take longer to read than all the rest.
        setenv("SSL_CERT_FILE", "/dev/null", 1)
        defer { unsetenv("SSL_CERT_FILE") }
        let strange = foreignCloses {
            withoutBrokenPipes {
                for _ in 0..<20 { #expect(failure { try tell(hook) } != nil) }
            }
        }
        #expect(strange == 0)
    }

    @Test("give up a server that answers a byte at a time, when the time of all is over")
    func slow() throws {
        for scheme in ["http", "https"] {
            let server = try ByteServer(.trickle)
            let hook = try webhook(
                "\(scheme)://localhost:\(server.port)/", timeout: .milliseconds(300), clock: Hasty())
            let found = withoutBrokenPipes { failure { try tell(hook) } }
            // A handshake that is nonsense is refused at once.
            let isRefused = scheme == "https" && found?.code == .accessDenied
            #expect(found?.message.contains("its time was over") == true || isRefused, "\(found?.message ?? "")")
        }
    }

    @Test("that hang hold up no other")
    func hanging() throws {
        let fixture = try Fixture()
        let (good, hung) = (Recorder("good"), Recorder("hung"))
        hung.hangs.withLock { $0 = true }
        let dispatcher = fixture.dispatcher([hung, good], clock: SystemClock())
        let (stop, abort) = (Cancellation(), Cancellation())
        let thread = try #require(JoinableThread { dispatcher.run(until: stop, abort: abort) })
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        for _ in 0..<200 where good.told.withLock({ $0.isEmpty }) {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
        }
        #expect(good.told.withLock { $0 } == ["a firing"])
        stop.raise()
        abort.raise()
        thread.join()
        #expect(try fixture.untold("hung") == ["a"] && fixture.untold("good") == [])
    }

    @Test("that are replaced tell no more, and the new ones are told what still fires")
    func replaced() throws {
        let fixture = try Fixture()
        let (old, new) = (Recorder("old"), Recorder("new"))
        let dispatcher = fixture.dispatcher([old])
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        dispatcher.round(abort: Cancellation())
        dispatcher.replace([AlertRoute(new, from: .info)])
        dispatcher.round(abort: Cancellation())
        _ = try fixture.store.resolve("a", at: noon + .seconds(1))
        dispatcher.round(abort: Cancellation())
        #expect(old.told.withLock { $0 } == ["a firing"])
        #expect(new.told.withLock { $0 } == ["a firing", "a resolved"])
    }

    @Test("that fail hold up no other, are told of to the others, and are told all when they work")
    func dispatch() throws {
        let fixture = try Fixture()
        let (good, bad) = (Recorder("good"), Recorder("bad"))
        bad.isBroken.withLock { $0 = true }
        let clock = ManualClock(noon)
        let dispatcher = AlertDispatcher(
            fixture.store, [AlertRoute(bad, from: .info), AlertRoute(good, from: .warning)], host: "host",
            clock: clock, logger: fixture.logger)
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        _ = try fixture.store.fire("b", .info, "small", at: noon)
        for _ in 0..<3 { dispatcher.round(abort: Cancellation()) }
        #expect(good.told.withLock { $0 } == ["a firing", "notifier/bad firing"])
        bad.isBroken.withLock { $0 = false }
        clock.advance(by: .seconds(1))
        dispatcher.round(abort: Cancellation())
        #expect(bad.told.withLock { $0 } == ["a firing", "b firing"])
        dispatcher.round(abort: Cancellation())
        #expect(good.told.withLock { $0 }.last == "notifier/bad resolved")
    }

    @Test("that failed are tried again after a while that doubles, those first that were tried the least")
    func again() throws {
        let fixture = try Fixture()
        let clock = ManualClock(noon)
        let picky = Recorder("picky")
        picky.refuses.withLock { $0 = ["a"] }
        var mail = AlertMail(
            AlertRoute(picky, from: .info), fixture.store, host: "host", clock: clock, logger: fixture.logger)
        func round() { mail.round(until: Cancellation(), abort: Cancellation()) }
        _ = try fixture.store.fire("a", .critical, "one", at: noon)
        _ = try fixture.store.fire("b", .critical, "two", at: noon)
        round()
        // Nobody answered, so the second was not tried.
        #expect(picky.tried.withLock { $0 } == ["a"])
        clock.advance(by: .seconds(29))
        round()
        #expect(picky.tried.withLock { $0 } == ["a"])
        clock.advance(by: .seconds(1))
        round()
        #expect(picky.tried.withLock { $0 } == ["a", "b", "a"])
        clock.advance(by: .seconds(59))
        round()
        #expect(picky.tried.withLock { $0 }.count == 4, "the one that was told began the waits anew")
        #expect(try fixture.untold("picky") == ["a"])
    }

    @Test("a command that leaves something running has told when it ends itself")
    func leftRunning() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/process"
        let words = ["sh", "-c", "sleep 300 & echo $! > \"$0\"", path]
        try CommandNotifier(name: "c", words: words, runner: SystemProcessRunner())
            .tell(AlertNote(alert, host: "host"), unless: Cancellation())
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let process = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(kill(process, 0) == 0)
        kill(process, SIGKILL)
    }

    @Test("that are programs are called off without having told")
    func calledOff() throws {
        let notifier = CommandNotifier(name: "c", words: ["sleep", "1000"], runner: SystemProcessRunner())
        let stop = Cancellation()
        let thread = try #require(
            JoinableThread {
                SystemClock().sleep(for: .milliseconds(200), unless: Cancellation())
                stop.raise()
            })
        #expect(failure { try notifier.tell(AlertNote(alert, host: "host"), unless: stop) }?.code == .interrupted)
        thread.join()
    }

    @Test(
        "take addresses of the web that are safe alone",
        arguments: [
            ("https://example.com", true), ("https://example.com:8443/a?b", true), ("http://localhost:80/x", true),
            ("http://[::1]:80/x", true), ("http://example.com/", false), ("https://user:pw@example.com/", false),
            ("ftp://example.com/", false), ("https://", false), ("https://example.com:0/", false),
            ("https://exa mple.com/", false), ("https://example.com:x/", false),
        ])
    func addresses(_ text: String, _ isGood: Bool) { #expect((WebAddress(text) != nil) == isGood) }
}

/// Runs `body` as the program runs, which ignores SIGPIPE; here on this thread alone, since the tests share a process.
private func withoutBrokenPipes<R>(_ body: () -> R) -> R {
    var (pipes, before) = (sigset_t(), sigset_t())
    sigemptyset(&pipes)
    sigaddset(&pipes, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &pipes, &before)
    let result = body()
    // What is pending would be delivered as soon as it is not blocked any more.
    var none = timespec()
    while sigtimedwait(&pipes, nil, &none) >= 0 {}
    pthread_sigmask(SIG_SETMASK, &before, nil)
    return result
}

/// Real time for limits, and no waits between attempts.
private struct Hasty: Primitives.Clock {
    func now() -> Timestamp { SystemClock().now() }
    func uptime() -> Duration { SystemClock().uptime() }
    func sleep(for duration: Duration, unless cancellation: Cancellation) {}
}

/// A server on a socket of this process that answers nothing that makes sense.
private final class ByteServer: Sendable {
    enum Manner { case hangUp, trickle }

    let port: UInt16
    private let descriptor: Int32
    private let stop = Cancellation()
    private let thread: JoinableThread?

    init(_ manner: Manner) throws {
        let (own, stop) = (socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0), stop)
        descriptor = own
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isGood = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(own, $0, size) == 0 && listen(own, 64) == 0 && getsockname(own, $0, &size) == 0
            }
        }
        try #require(isGood)
        port = UInt16(bigEndian: address.sin_port)
        thread = JoinableThread {
            while !stop.isRaised {
                var watched = pollfd(fd: own, events: Int16(POLLIN), revents: 0)
                guard poll(&watched, 1, 50) > 0 else { continue }
                let peer = accept(own, nil, nil)
                guard peer >= 0 else { continue }
                // Within the status line's bound for longer than any limit of the tests.
                while manner == .trickle, !stop.isRaised, send(peer, "H", 1, Int32(MSG_NOSIGNAL)) == 1 {
                    stop.wait(for: .milliseconds(40))
                }
                close(peer)
            }
        }
    }

    deinit {
        stop.raise()
        thread?.join()
        close(descriptor)
    }
}
