// Where the password or key of a repository comes from.

import Configuring
import Glibc
import Primitives
import Repository

/// What opens a slot.
struct SlotKey: Sendable {
    let secret: SecretBytes
    /// 32 random bytes rather than a password.
    let isRaw: Bool

    init(secret: SecretBytes, isRaw: Bool) {
        self.secret = secret
        self.isRaw = isRaw
    }

    /// A password, or the letters of a recovery key wherever a password may stand.
    ///
    /// - Throws: `.wrongKey` naming the line with a mistake, when it is a recovery key that was mistyped.
    init(typed text: SecretBytes) throws(HoldfastError) {
        self = try SlotKey(recoveryKey: text) ?? SlotKey(secret: text, isRaw: false)
    }

    /// The recovery key whose letters `text` are; nil for a text that is none.
    init?(recoveryKey text: SecretBytes) throws(HoldfastError) {
        switch RecoveryKeyText.read(text) {
        case .key(let key): self.init(secret: key, isRaw: true)
        case .mistyped(let error): throw error
        case .other: return nil
        }
    }
}

/// Finds the password or key: from exactly one of four variables, else where the configuration says, else from the
/// terminal.
struct SecretSource {
    static let maximumPassword = 4096
    static let rawKeySize = 32
    private static let commandTimeout = Duration.seconds(120)

    let variables: Variables
    let inherited: SecretBytes?
    let runner: any ProcessRunner
    let cancellation: Cancellation
    let warn: @Sendable (String) -> Void

    init(_ context: CommandContext) {
        let output = context.output
        self.init(
            variables: context.variables, inherited: context.inheritedPassword, runner: context.runner,
            cancellation: context.cancellation, warn: { output.warning($0) })
    }

    init(
        variables: Variables, inherited: SecretBytes?, runner: any ProcessRunner, cancellation: Cancellation,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.variables = variables
        self.inherited = inherited
        self.runner = runner
        self.cancellation = cancellation
        self.warn = warn
    }

    /// - Parameter confirming: Ask twice on a terminal, for a password that is new.
    /// - Parameter opening: What the configuration says of the repository.
    /// - Throws: `.usage` when there is no source, or more than one; `.configuration` when the one named gives nothing.
    func key(
        confirming: Bool, opening: ConfiguredRepository.Opening = .unsaid
    ) throws(HoldfastError) -> SlotKey {
        let names = [
            "HOLDFAST_PASSWORD_FILE", "HOLDFAST_PASSWORD_COMMAND", "HOLDFAST_KEY_FILE",
        ].filter { variables[$0] != nil }
        let all = (inherited == nil ? [] : ["HOLDFAST_PASSWORD"]) + names
        guard all.count <= 1 else {
            throw HoldfastError(
                .usage, "\(all.joined(separator: " and ")) are both set",
                hint: "Unset all but one; a wrong guess between them could seal data under the wrong password.")
        }
        if let inherited { return try SlotKey(typed: inherited) }
        if let path = variables["HOLDFAST_PASSWORD_FILE"] { return try password(fromFile: path) }
        if let command = variables["HOLDFAST_PASSWORD_COMMAND"] { return try password(fromCommand: command) }
        if let path = variables["HOLDFAST_KEY_FILE"] { return try rawKey(fromFile: path) }
        switch opening {
        case .unsaid: return try askedPassword("password of the repository: ", confirming: confirming)
        case .rawKey(let path): return try rawKey(fromFile: path)
        case .password(.file(let path)): return try password(fromFile: path)
        case .password(.environment(let name)): return try password(fromVariable: name)
        }
    }

    /// The value of a variable that the configuration names.
    private func password(fromVariable name: String) throws(HoldfastError) -> SlotKey {
        guard let secret = variables.secret(name) else {
            throw HoldfastError(
                .configuration, "the variable \(name), which should hold the password, is not set",
                hint: "Set it for holdfast alone, or let the configuration name a file.")
        }
        return try SlotKey(typed: secret)
    }

    /// A recovery key, else the first line of a file, without its end.
    func password(fromFile path: String) throws(HoldfastError) -> SlotKey {
        let file = try SecretFile.read(path, limit: Self.maximumPassword)
        warnIfOpen(file, path)
        return try Self.slotKey(in: file.bytes, of: "the file \(path)")
    }

    /// A file of exactly 32 bytes, or with the letters of a recovery key.
    func rawKey(fromFile path: String) throws(HoldfastError) -> SlotKey {
        let file = try SecretFile.read(path, limit: Self.maximumPassword)
        warnIfOpen(file, path)
        if !file.isLonger, file.bytes.count != Self.rawKeySize, let key = try SlotKey(recoveryKey: file.bytes) {
            return key
        }
        guard !file.isLonger, file.bytes.count == Self.rawKeySize else {
            throw HoldfastError(
                .configuration, "the key file \(path) is not of \(Self.rawKeySize) bytes",
                hint: "A raw key is 32 random bytes, as `holdfast init --raw-key-file` makes them.")
        }
        return SlotKey(secret: file.bytes, isRaw: true)
    }

    /// The raw key in a file, which is made with a fresh key when it is not there.
    func madeRawKey(_ path: String, _ context: CommandContext) throws(HoldfastError) -> SlotKey {
        let fresh = try context.environment.entropy.secret(Self.rawKeySize)
        guard try SecretFile.create(path, fresh) else { return try rawKey(fromFile: path) }
        context.output.remark("made the key file \(ShownText.name(path))")
        return SlotKey(secret: fresh, isRaw: true)
    }

    func askedPassword(_ question: String, confirming: Bool) throws(HoldfastError) -> SlotKey {
        guard let first = try asked(question, confirming: confirming) else {
            throw HoldfastError(
                .usage, "there is no password, and no terminal to ask for it",
                hint: "Set HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND, HOLDFAST_PASSWORD or HOLDFAST_KEY_FILE.")
        }
        if RecoveryKeyText.isLine(first, number: 1) { return try askedRecoveryKey(after: first) }
        return try SlotKey(typed: first)
    }

    /// What is typed on the terminal, twice where it is new; nil where there is none.
    ///
    /// - Throws: `.usage` for nothing, and for two that differ.
    func asked(_ question: String, confirming: Bool) throws(HoldfastError) -> SecretBytes? {
        guard let first = try ask(question) else { return nil }
        guard first.count > 0 else {
            throw HoldfastError(.usage, "the password is empty", hint: "Choose a password of at least one letter.")
        }
        guard confirming else { return first }
        guard let second = try ask("the same again: "), first.equals(second) else {
            throw HoldfastError(.usage, "the two passwords differ", hint: "Run the command again.")
        }
        return first
    }

    func ask(_ question: String) throws(HoldfastError) -> SecretBytes? {
        try Terminal.ask(question, limit: Self.maximumPassword, cancellation: cancellation)
    }

    func warnIfOpen(_ file: SecretFile, _ path: String) {
        if file.isWorldReadable { warn("\(path) can be read by everybody; run `chmod 600` on it") }
    }

    // MARK: The command

    /// The first line that a command prints. Its standard error goes to ours.
    func password(
        fromCommand text: String, of variable: String = "HOLDFAST_PASSWORD_COMMAND"
    ) throws(HoldfastError) -> SlotKey {
        var request = ProcessRequest(try CommandWords.split(text, from: variable))
        request.passesErrors = true
        request.timeout = Self.commandTimeout
        let process = try runner.start(request, cancellation: cancellation)
        let output = SecretBytes(count: Self.maximumPassword)
        var filled = 0
        do throws(HoldfastError) {
            filled = try output.withMutableBytes { (raw) throws(HoldfastError) in
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
        if filled == output.count { process.terminate() }
        let result = process.wait()
        guard result.isSuccess else {
            throw HoldfastError(
                .processFailed, "the command of \(variable) failed: \(result)",
                hint: "Run it by hand; it must print the password on standard output and exit 0.")
        }
        let printed = output.withBytes { raw in
            SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[..<filled])))
        }
        return try Self.slotKey(in: printed, of: "the output of the command")
    }

    /// A recovery key of whatever lines, else a password in the first.
    private static func slotKey(in text: SecretBytes, of source: String) throws(HoldfastError) -> SlotKey {
        if let key = try SlotKey(recoveryKey: text) { return key }
        return try SlotKey(typed: try firstLine(text, of: source))
    }

    /// What stands before the first line feed, without a carriage return at its end.
    static func firstLine(_ text: SecretBytes, of source: String) throws(HoldfastError) -> SecretBytes {
        let line = text.withBytes { raw in
            var line = raw.prefix { $0 != UInt8(ascii: "\n") }
            if line.endIndex < raw.count, line.last == UInt8(ascii: "\r") { line.removeLast() }
            return SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: line)))
        }
        guard line.count > 0 else {
            throw HoldfastError(
                .configuration, "\(source) holds no password in its first line",
                hint: "Put the password into the first line.")
        }
        guard line.count < maximumPassword else {
            throw HoldfastError(
                .configuration, "the password in \(source) is over \(maximumPassword - 1) bytes",
                hint: "Check that it is the right file.")
        }
        return line
    }
}
