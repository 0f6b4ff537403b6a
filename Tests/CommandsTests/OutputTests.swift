// What verbs print: escaped names, tables, failures and JSON, byte by byte.

import Glibc
import Primitives
import TestSupport
import Testing

@testable import Commands

/// What `body` writes to a descriptor.
func written(_ body: (Int32) throws -> Void) throws -> String {
    let directory = TemporaryDirectory()
    let file = open(directory.path + "/out", O_RDWR | O_CREAT, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    try body(file)
    lseek(file, 0, SEEK_SET)
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(file, &bytes, bytes.count)
    return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
}

@Suite("Output")
struct OutputTests {
    @Test("names show what a terminal would obey or could not show")
    func shownNames() {
        #expect(ShownText.path(Array("plain – ünï 日本 👩‍👩‍👧.txt".utf8)) == "plain – ünï 日本 👩‍👩‍👧.txt")
        #expect(ShownText.path([0x61, 0xFF, 0x62]) == "a\\xFFb")
        #expect(ShownText.path([0xE2, 0x82]) == "\\xE2\\x82")
        #expect(ShownText.path([0xC0, 0xAF, 0x41]) == "\\xC0\\xAFA")
        #expect(ShownText.path(Array("a\u{1B}[31m\nb\t\u{7F}".utf8)) == "a\\x1B[31m\\x0Ab\\x09\\x7F")
        #expect(ShownText.path(Array("a\u{9B}b\u{202E}c".utf8)) == "a\\xC2\\x9Bb\\xE2\\x80\\xAEc")
        #expect(ShownText.path(Array("\\xFF".utf8)) == "\\\\xFF")
        #expect(ShownText.line("say \\ and \u{7}") == "say \\ and \\x07")
    }

    @Test("a path in JSON has its bytes beside it when the text cannot hold them")
    func paths() {
        #expect(PathText(Array("a/ü".utf8)) == PathText(Array("a/ü".utf8)))
        #expect(PathText(Array("a/ü".utf8)).pathBytes == nil)
        let odd = PathText([0x61, 0xFF])
        #expect(odd.path == "a\u{FFFD}")
        #expect(odd.pathBytes == "Yf8=")
    }

    @Test("columns are as wide as what stands in them")
    func table() {
        var table = Table([("ID", .left), ("SIZE", .right), ("FLAGS", .left)])
        table.add(["a", "10 B", ""])
        table.add(["long", "1.0 KiB", "x"])
        #expect(table.lines == ["ID       SIZE  FLAGS", "a        10 B", "long  1.0 KiB  x"])
    }

    private var failure: HoldfastError {
        HoldfastError(
            .corruptObject, "pack 1 does not match\u{1B}", hint: "Run `holdfast check`.",
            context: [("expected", "aa"), ("found", "bb")],
            cause: HoldfastError(.inputOutput, "read a: no", cause: HoldfastError(.busy, "inner")))
    }

    @Test("a failure is a message with its context and a hint, and on request its causes")
    func errorText() {
        let brief = [
            "holdfast: pack 1 does not match\\x1B (expected: aa, found: bb)", "hint: Run `holdfast check`.",
        ]
        #expect(ErrorText.lines(failure, verbose: false) == brief)
        #expect(ErrorText.lines(failure, verbose: true) == brief + ["cause: read a: no", "cause: inner"])
        #expect(ErrorText.lines(HoldfastError(.usage, "no"), verbose: false) == ["holdfast: no"])
    }

    @Test("a failure in JSON keeps its form, and takes the place of what was begun")
    func errorJSON() throws {
        let failure = failure
        let text = try written { file in
            let quiet = Console(descriptor: open("/dev/null", O_WRONLY), isTerminal: false)
            let output = Output(isJSON: true, isQuiet: false, descriptor: file, console: quiet)
            try output.json(["begun": 1])
            try output.line("text")
            output.report(failure, verbose: false)
        }
        #expect(
            text == """
                {"code":"corrupt-object","context":{"expected":"aa","found":"bb"},"hint":"Run `holdfast check`.",\
                "message":"pack 1 does not match\\u001b","retry":"never","schema":"holdfast.error/1"}

                """)
    }

    @Test("text and JSON exclude each other")
    func modes() throws {
        for isJSON in [false, true] {
            let text = try written { file in
                let output = Output(isJSON: isJSON, isQuiet: false, descriptor: file)
                try output.line("text")
                try output.json(["a": "/"])
                try output.flush()
            }
            #expect(text == (isJSON ? "{\"a\":\"/\"}\n" : "text\n"))
        }
    }

    @Test("a reader that goes away is told apart from a full disk")
    func closedReader() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        let output = Output(isJSON: false, isQuiet: false, descriptor: ends[1])
        try output.line("text")
        #expect(code { try output.flush() } == .inputOutput)
        #expect(output.isClosed)
        let full = Output(isJSON: false, isQuiet: false, descriptor: open("/dev/full", O_WRONLY))
        try full.line("text")
        #expect(code { try full.flush() } == .noSpace)
        #expect(!full.isClosed)
    }

    @Test("reports keep their form")
    func goldens() throws {
        func text(_ value: some Encodable) throws -> String {
            String(decoding: try JSONText.encode(value), as: UTF8.self)
        }
        #expect(
            try text(InitReport(repository: "r", location: "/l", slot: "s", compression: "zstd:3"))
                == #"{"compression":"zstd:3","location":"/l","repository":"r","schema":"holdfast.init/1","slot":"s"}"#)
        #expect(
            try text(KeyAddedReport(slot: "s", role: "writer", label: "l"))
                == #"{"label":"l","role":"writer","schema":"holdfast.keys-add/1","slot":"s"}"#)
        #expect(
            try text(KeyRemovedReport(slot: "s", epoch: 2))
                == #"{"epoch":2,"schema":"holdfast.keys-remove/1","slot":"s"}"#)
        #expect(
            try text(KeyGrantedReport(slot: "s", attest: true, isNew: false))
                == #"{"attest":true,"isNew":false,"schema":"holdfast.keys-grant/1","slot":"s"}"#)
        #expect(
            try text(KeysRotatedReport(slot: "s", epoch: nil)) == #"{"schema":"holdfast.keys-rotate/1","slot":"s"}"#)
        let key = KeySummary(
            slot: "s", role: "admin", label: "l", created: "t", opensWith: "password", readback: false, attest: true,
            sources: 0, newestEpoch: 1, isCurrent: true)
        #expect(
            try text(KeysReport(repository: "r", epoch: 1, keys: [key])) == """
                {"epoch":1,"keys":[{"attest":true,"created":"t","isCurrent":true,"label":"l","newestEpoch":1,\
                "opensWith":"password","readback":false,"role":"admin","slot":"s","sources":0}],\
                "repository":"r","schema":"holdfast.keys/1"}
                """)
        let damaged = DamagedObject("snapshots/a/b", HoldfastError(.corruptObject, "m"))
        #expect(
            try text(SnapshotsReport(repository: "r", snapshots: [], heads: [], damaged: [damaged])) == """
                {"damaged":[{"code":"corrupt-object","message":"m","object":"snapshots/a/b"}],"heads":[],\
                "repository":"r","schema":"holdfast.snapshots/1","snapshots":[]}
                """)
    }
}
