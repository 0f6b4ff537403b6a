// Producers that succeed, fail, die, hang and print nothing.

import Glibc
import Primitives
import TestSupport
import Testing
import Workloads

@Suite("commands as sources")
struct CommandTests {
    private func run(
        _ script: String, minimum: Int = 1, cancellation: Cancellation = Cancellation(),
        configure: (inout ProcessRequest) -> Void = { _ in }
    ) throws -> [UInt8] {
        var request = ProcessRequest(["/bin/sh", "-c", script])
        request.grace = .milliseconds(200)
        configure(&request)
        let source = try CommandSource(
            request, runner: SystemProcessRunner(), minimumSize: ByteCount(minimum), cancellation: cancellation)
        let output = try drain(source)
        try source.finish()
        return output
    }

    private func failure(_ body: () throws -> Void) -> HoldfastError? {
        do {
            try body()
            return nil
        } catch { return error as? HoldfastError }
    }

    @Test("output is read whole, whatever its size")
    func output() throws {
        #expect(try run("printf hello") == bytes("hello"))
        #expect(try run("head -c 3000000 /dev/zero").count == 3_000_000)
    }

    @Test("arguments reach the program as they are")
    func arguments() throws {
        let request = ProcessRequest(["printf", "%s|", "a b", "$HOME", "*", ""])
        let source = try CommandSource(request, runner: SystemProcessRunner(), cancellation: Cancellation())
        #expect(try drain(source) == bytes("a b|$HOME|*||"))
        try source.finish()
    }

    @Test("an exit status other than 0 fails the source and shows what was printed")
    func exitStatus() throws {
        let error = try #require(failure { _ = try run("echo data; echo broken pipe dream >&2; exit 7") })
        #expect(error.code == .sourceFailed)
        #expect(error.message.contains("exit status 7"))
        #expect(error.message.contains("/bin/sh"))
        #expect(error.context.contains { $0.key == "stderr" && $0.value.contains("broken pipe dream") })
    }

    @Test("a producer killed by a signal fails the source")
    func signal() throws {
        let error = try #require(failure { _ = try run("echo data; kill -9 $$") })
        #expect(error.code == .sourceFailed)
        #expect(error.message.contains("signal 9"))
    }

    @Test("only the last 8 KiB of standard error are kept, and a flood of it does not block")
    func flood() throws {
        var request = ProcessRequest(["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' e >&2; printf END >&2"])
        request.grace = .milliseconds(200)
        let process = try SystemProcessRunner().start(request, cancellation: Cancellation())
        #expect(process.wait() == .exited(0))
        #expect(process.errorTail.count == 8192)
        #expect(process.errorTail.suffix(4) == bytes("eEND"))
    }

    @Test("a command that is not there is a clear failure")
    func notFound() throws {
        let error = failure {
            _ = try CommandSource(
                ProcessRequest(["/nowhere/at/all"]), runner: SystemProcessRunner(), cancellation: Cancellation())
        }
        #expect(error?.code == .sourceFailed)
        #expect(error?.message.contains("/nowhere/at/all") == true)
        #expect(
            failure { _ = try SystemProcessRunner().start(ProcessRequest([]), cancellation: Cancellation()) } != nil)
    }

    @Test("nothing printed, or less than the minimum, is refused though the producer exits 0")
    func empty() throws {
        #expect(failure { _ = try run("true") }?.code == .emptyStream)
        #expect(failure { _ = try run("printf 123", minimum: 4) }?.code == .emptyStream)
        #expect(try run("printf 1234", minimum: 4).count == 4)
    }

    @Test("output that was not read to its end does not count as whole")
    func notRead() throws {
        let source = try CommandSource(
            ProcessRequest(["/bin/sh", "-c", "printf hello"]), runner: SystemProcessRunner(),
            cancellation: Cancellation())
        #expect(failure { try source.finish() }?.code == .sourceFailed)
    }

    @Test("a timeout stops the producer and its children")
    func timeout() throws {
        let error = try #require(
            failure { _ = try run("echo x; sleep 1000 | cat") { $0.timeout = .milliseconds(100) } })
        #expect(error.code == .sourceFailed)
        #expect(error.message.contains("timeout"))
    }

    @Test("a producer is asked to stop before it is killed")
    func asked() throws {
        let root = TemporaryDirectory()
        var request = ProcessRequest(
            [
                "/bin/sh", "-c",
                "trap 'echo bye > \(root.path)/bye; exit' TERM; echo ready; while :; do sleep 0.05; done",
            ])
        request.grace = .seconds(60)
        let process = try SystemProcessRunner().start(request, cancellation: Cancellation())
        var buffer = [UInt8](repeating: 0, count: 64)
        #expect(try buffer.withUnsafeMutableBytes { try process.read(into: $0) } == 6)
        process.terminate()
        #expect(process.wait() == .terminated)
        #expect(shell("[ -f bye ]", in: root.path) == 0)
    }

    @Test("a producer that ignores SIGTERM is killed, and cancellation is what is reported")
    func cancellation() throws {
        let root = TemporaryDirectory()
        let cancellation = Cancellation()
        var request = ProcessRequest(
            ["/bin/sh", "-c", "trap '' TERM; echo $$ > '\(root.path)/pid'; echo ready; while :; do sleep 1; done"])
        request.grace = .milliseconds(100)
        let source = try CommandSource(request, runner: SystemProcessRunner(), cancellation: cancellation)
        var buffer = [UInt8](repeating: 0, count: 64)
        #expect(try buffer.withUnsafeMutableBytes { try source.read(into: $0) } == 6)
        cancellation.raise()
        #expect(failure { _ = try drain(source) }?.code == .interrupted)
        #expect(failure { try source.finish() } != nil)
        #expect(shell("! kill -0 $(cat pid) 2>/dev/null", in: root.path) == 0, "the producer is still there")
    }

    @Test("no zombie and no descriptor is left behind, and none is inherited")
    func leaks() throws {
        let root = TemporaryDirectory()
        // Not close-on-exec on purpose: the child must not see it all the same.
        let leaky = open(root.path + "/leak", O_CREAT | O_RDWR, 0o600)
        defer { close(leaky) }
        let seen = try run("ls -l /proc/self/fd")
        #expect(!String(decoding: seen, as: UTF8.self).contains("/leak"))
        let request = ProcessRequest(["/bin/sh", "-c", "echo $$"])
        let source = try CommandSource(request, runner: SystemProcessRunner(), cancellation: Cancellation())
        let text = String(decoding: try drain(source).dropLast(), as: UTF8.self)
        try source.finish()
        let pid = try #require(pid_t(text))
        errno = 0
        #expect(waitpid(pid, nil, WNOHANG) == -1)
        #expect(errno == ECHILD)
    }

    @Test("a command reads the input that it is given, and nothing otherwise")
    func input() throws {
        let root = TemporaryDirectory()
        #expect(shell("printf from-a-file > in", in: root.path) == 0)
        let descriptor = open(root.path + "/in", O_RDONLY)
        defer { close(descriptor) }
        #expect(try run("cat") { $0.input = .descriptor(descriptor) } == bytes("from-a-file"))
        #expect(try run("cat; echo end") == bytes("end\n"))
        #expect(try run("echo $WORD") { $0.environment = ["WORD=given"] } == bytes("given\n"))
    }

    @Test("a bare stream counts its bytes and refuses to be empty or small")
    func bare() throws {
        let root = TemporaryDirectory()
        #expect(shell("printf 12345 > five; : > none", in: root.path) == 0)
        for (name, minimum, code) in [("five", 5, nil), ("five", 6, ErrorCode.emptyStream), ("none", 0, .emptyStream)] {
            let descriptor = open(root.path + "/" + name, O_RDONLY)
            defer { close(descriptor) }
            let stream = StreamSource(
                descriptor: descriptor, minimumSize: ByteCount(minimum), cancellation: Cancellation())
            #expect(try drain(stream).count == (name == "five" ? 5 : 0))
            #expect(failure { try stream.finish() }?.code == code)
        }
    }
}

func drain(_ stream: some ByteStream) throws -> [UInt8] {
    var output = [UInt8]()
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = try buffer.withUnsafeMutableBytes { try stream.read(into: $0) }
        if count == 0 { return output }
        output += buffer[..<count]
    }
}
