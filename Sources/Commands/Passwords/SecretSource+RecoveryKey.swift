// A recovery key as it is typed: line by line, each looked at when it is there.

import Glibc
import Primitives
import Repository

extension SecretSource {
    /// How often one line may be typed wrongly.
    private static let maximumTries = 5

    /// The key in a file, on standard input (`-`), or typed on the terminal without being shown.
    ///
    /// - Throws: `.wrongKey` for a text that is no recovery key, or with the line that has a mistake; `.usage` without
    ///   a file and a terminal.
    func recoveryKey(from path: String?) throws(HoldfastError) -> SecretBytes {
        guard let path else { return try askedRecoveryKey().secret }
        let file = try SecretFile.read(path == "-" ? "/dev/stdin" : path, limit: Self.maximumPassword)
        if path != "-" { warnIfOpen(file, path) }
        guard !file.isLonger, let key = try SlotKey(recoveryKey: file.bytes) else { throw RecoveryKeyText.notOne }
        return key.secret
    }

    /// Asks for the lines that are left; a line with a mistake is asked for again.
    ///
    /// - Parameter first: The first line, when it was typed already and is right.
    func askedRecoveryKey(after first: SecretBytes? = nil) throws(HoldfastError) -> SlotKey {
        var lines: [SecretBytes] = first.map { [$0] } ?? []
        var tries = 0
        while lines.count < RecoveryKeyText.lines {
            let number = lines.count + 1
            guard let line = try ask("line \(number) of the recovery key: ") else {
                throw HoldfastError(
                    .usage, "there is no terminal to type the recovery key on",
                    hint: "Name a file with its four lines, or - for standard input.")
            }
            // Who pastes it pastes all of it, or reads the QR code.
            if lines.isEmpty, case .key(let key) = RecoveryKeyText.read(line) {
                return SlotKey(secret: key, isRaw: true)
            }
            if RecoveryKeyText.isLine(line, number: number) {
                lines.append(line)
                tries = 0
                continue
            }
            tries += 1
            guard tries < Self.maximumTries else {
                throw HoldfastError(
                    .wrongKey, "line \(number) of the recovery key has a mistake",
                    hint: "Compare with the page, letter by letter; large or small letters and spaces do not matter.")
            }
            warn("line \(number) has a mistake; type it again")
        }
        guard let key = try SlotKey(recoveryKey: Self.joined(lines)) else { throw RecoveryKeyText.notOne }
        return key
    }

    private static func joined(_ lines: [SecretBytes]) -> SecretBytes {
        let text = SecretBytes(count: lines.reduce(0) { $0 + $1.count + 1 })
        text.withMutableBytes { raw in
            var place = 0
            for line in lines {
                line.withBytes { UnsafeMutableRawBufferPointer(rebasing: raw[place...]).copyMemory(from: $0) }
                place += line.count
                raw[place] = UInt8(ascii: "\n")
                place += 1
            }
        }
        return text
    }
}
