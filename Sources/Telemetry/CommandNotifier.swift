// Alerts for a program of the operator.

import CLinux
import Glibc
import Primitives

/// Runs a program with the alert as one line of JSON on its standard input. It has told when it exits 0.
package struct CommandNotifier: Notifier {
    package static let standardTimeout = Duration.seconds(10)

    package let name: String
    package let capabilities = NotifierCapabilities(isRemote: false)
    private let words: [String]
    private let timeout: Duration
    private let runner: any ProcessRunner

    package init(
        name: String, words: [String], timeout: Duration = Self.standardTimeout, runner: any ProcessRunner
    ) {
        self.name = name
        self.words = words
        self.timeout = timeout
        self.runner = runner
    }

    package func tell(_ note: AlertNote, unless cancellation: Cancellation) throws(HoldfastError) {
        var text = try note.encoded() + [10]
        let input = try HandedSecret(SecretBytes(wiping: &text))
        var request = ProcessRequest(words)
        // Opened anew, so that it is read from its beginning.
        let descriptor = holdfast_openat(AT_FDCWD, input.path, O_RDONLY, 0)
        guard descriptor >= 0 else { throw HoldfastError.systemCall("open", errno, on: "a file in memory") }
        defer { close(descriptor) }
        request.input = .descriptor(descriptor)
        request.timeout = timeout
        request.grace = .seconds(1)
        // What it prints is of no interest. A pipe would be held open by what it leaves running, beyond any timeout.
        request.discardsOutput = true
        let process = try runner.start(request, cancellation: cancellation)
        defer { withExtendedLifetime(input) {} }
        let result = process.wait()
        guard result.isSuccess else {
            try cancellation.check()
            throw HoldfastError(
                .processFailed, "the notifier \(name) did not tell: \(words.first ?? "") ended with \(result)",
                hint: "Run `holdfast notify test`.", retry: .later)
        }
    }
}
