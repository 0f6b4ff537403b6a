// Telling of alerts, with real programs and real servers.

import Foundation
import Glibc
import Logging
import Primitives
import Scheduling
import State
import Synchronization
import Telemetry
import TestSupport
import Testing

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
            userAgent: "holdfast/test", clock: clock, cancellation: Cancellation())
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
            .tell(AlertNote(alert, host: "host"))
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
                try webhook("http://localhost:\(server.port)/").tell(AlertNote(alert, host: "host"))
            }
            #expect(found?.code == .storeUnavailable && found?.message.contains("\(status)") == true)
            #expect(server.log.count == tries)
        }
    }

    @Test("give up a server that does not answer, in bounded time")
    func silent() throws {
        let server = try WebServer(delay: 600)
        let found = failure {
            try webhook("http://localhost:\(server.port)/", timeout: .milliseconds(300)).tell(
                AlertNote(alert, host: "host"))
        }
        #expect(found?.code == .storeUnavailable)
    }

    @Test("refuse a server whose certificate nobody vouches for, and take it when somebody does")
    func certificates() throws {
        let server = try WebServer(tls: true)
        let untrusted = failure {
            try webhook("https://localhost:\(server.port)/").tell(AlertNote(alert, host: "host"))
        }
        #expect(untrusted?.code == .accessDenied && server.log.isEmpty)
        setenv("SSL_CERT_FILE", server.directory.path + "/cert.pem", 1)
        defer { unsetenv("SSL_CERT_FILE") }
        try webhook("https://localhost:\(server.port)/").tell(AlertNote(alert, host: "host"))
        #expect(server.log.count == 1)
        // It is for localhost and for no other name.
        let other = failure {
            try webhook("https://127.0.0.1:\(server.port)/").tell(AlertNote(alert, host: "host"))
        }
        #expect(other?.code == .accessDenied && server.log.count == 1)
    }

    @Test("run a program with the alert on its standard input, and stop one that hangs")
    func commands() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/told"
        let runner = SystemProcessRunner()
        try CommandNotifier(name: "c", words: ["sh", "-c", "cat > \"$0\"", path], runner: runner)
            .tell(AlertNote(alert, host: "host"))
        let told = try String(contentsOfFile: path, encoding: .utf8)
        #expect(told.hasSuffix("}\n") && told.contains(#""schema":"holdfast.alert/1""#))
        for words in [["false"], ["sleep", "1000"], ["/nonexistent"]] {
            let notifier = CommandNotifier(name: "c", words: words, timeout: .milliseconds(300), runner: runner)
            #expect(failure { try notifier.tell(AlertNote(alert, host: "host")) }?.code == .processFailed)
        }
    }

    @Test("that fail hold up no other, are told of to the others, and stop being told when they work")
    func dispatch() throws {
        let directory = TemporaryDirectory()
        let store = try SQLiteRunStore(
            path: directory.path + "/runs.sqlite", clock: RunStoreClock(boot: "one") { .seconds(1) })
        let (good, bad) = (Recorder("good"), Recorder("bad"))
        bad.isBroken.withLock { $0 = true }
        let dispatcher = AlertDispatcher(
            store, [AlertRoute(bad, from: .info), AlertRoute(good, from: .warning)], host: "host",
            clock: ManualClock(noon), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        _ = try store.fire("a", .critical, "one", at: noon)
        _ = try store.fire("b", .info, "small", at: noon)
        for _ in 0..<3 { dispatcher.round(until: Cancellation()) }
        #expect(good.told.withLock { $0 } == ["a firing", "notifier/bad firing"])
        bad.isBroken.withLock { $0 = false }
        _ = try store.resolve("a", at: noon + .seconds(1))
        for _ in 0..<3 { dispatcher.round(until: Cancellation()) }
        #expect(good.told.withLock { $0 }.suffix(2) == ["a resolved", "notifier/bad resolved"])
        #expect(bad.told.withLock { $0 } == ["a resolved"])
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

private final class Recorder: Notifier {
    let name: String
    let capabilities = NotifierCapabilities(isRemote: false)
    let told = Mutex<[String]>([])
    let isBroken = Mutex(false)

    init(_ name: String) { self.name = name }

    func tell(_ note: AlertNote) throws(HoldfastError) {
        if isBroken.withLock({ $0 }) { throw HoldfastError(.processFailed, "broken", hint: "") }
        told.withLock { $0.append("\(note.key) \(note.state)") }
    }
}
