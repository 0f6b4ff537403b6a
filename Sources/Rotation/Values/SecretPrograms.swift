// Programs of the operator that get or give a secret: on standard input and output, and nowhere else.

import Glibc
import Primitives

/// Runs programs with a secret. There is no shell; the secret is in a file of memory that is the program's standard
/// input, never in its arguments or its environment.
package struct SecretPrograms: Sendable {
    /// How a program ended.
    package struct End: Sendable {
        package var result: ProcessResult
        package var output: SecretBytes
    }

    /// The most that is taken of what a program prints.
    static let maximumOutput = 1 << 20

    let runner: any ProcessRunner
    let cancellation: Cancellation
    let timeout: Duration

    package init(_ runner: any ProcessRunner, cancellation: Cancellation, timeout: Duration = .seconds(300)) {
        self.runner = runner
        self.cancellation = cancellation
        self.timeout = timeout
    }

    /// - Parameter variables: What the program's environment tells beside what is in this one's.
    /// - Throws: `.processFailed` when it can't be started, `.limitExceeded` when it prints too much, `.interrupted`.
    package func run(
        _ words: [String], input: SecretBytes?, variables: [String: String] = [:], named name: String
    ) throws(HoldfastError) -> End {
        var request = ProcessRequest(words)
        request.environment = ProcessEnvironment.lines(setting: variables)
        request.timeout = timeout
        request.passesErrors = true
        let handed: HandedSecret?
        if let input { handed = try HandedSecret(input) } else { handed = nil }
        var file: Int32 = -1
        if let handed {
            file = open(handed.path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw HoldfastError.systemCall("open", errno, on: "a file in memory") }
            request.input = .descriptor(file)
        }
        defer { if file >= 0 { close(file) } }
        let process = try runner.start(request, cancellation: cancellation)
        let buffer = SecretBytes(count: Self.maximumOutput + 1)
        var filled = 0
        do throws(HoldfastError) {
            filled = try buffer.withMutableBytes { (raw) throws(HoldfastError) in
                var filled = 0
                while filled < raw.count {
                    let count = try process.read(into: UnsafeMutableRawBufferPointer(rebasing: raw[filled...]))
                    if count == 0 { break }
                    filled += count
                }
                return filled
            }
        } catch {
            process.terminate()
            _ = process.wait()
            throw error
        }
        if filled > Self.maximumOutput { process.terminate() }
        let result = process.wait()
        withExtendedLifetime(handed) {}
        try cancellation.check()
        guard filled <= Self.maximumOutput else {
            throw HoldfastError(
                .limitExceeded, "\(name) `\(words.first ?? "")` printed more than \(Self.maximumOutput) bytes",
                hint: "Let it print the value alone.")
        }
        let output = buffer.withBytes { raw in
            let own = UnsafeRawBufferPointer(rebasing: raw[..<filled])
            return SecretBytes(copying: own.bytes)
        }
        return End(result: result, output: output)
    }
}
