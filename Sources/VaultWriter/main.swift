// Writes an embedded vault until it is killed. Tests start it; it ships with nothing.

import Foundation
import Primitives
import SecretVaults
import VaultProviders

/// Tells on standard output what is done, a line each, after it is done.
func tell(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

func secret(_ text: String) -> SecretBytes {
    var bytes = Array(text.utf8)
    return SecretBytes(wiping: &bytes)
}

/// Puts versions of five secrets, and destroys some: `put NAME ID NUMBER` and `destroy NAME ID`.
func write(_ vault: EmbeddedVault, from first: Int) throws(HoldfastError) {
    for number in first... {
        let name = try SecretName("secret/\(number % 5)")
        let value = SecretValue(.text, secret("value \(number) " + String(repeating: "x", count: 2000)))
        tell("putting \(name) \(number)")
        let version = try vault.put(SecretPut(name, value, expected: .anything))
        tell("put \(name) \(version.id) \(number)")
        guard number % 7 == 0 else { continue }
        tell("destroying \(name) \(version.id)")
        try vault.change(name, .state(.destroy, of: version.id))
        tell("destroyed \(name) \(version.id)")
    }
}

/// Replaces the password to and fro: `changing`, then `changed`.
func change(_ vault: EmbeddedVault, _ cost: PasswordCost) throws(HoldfastError) {
    while true {
        for (old, new) in [("first", "second"), ("second", "first")] {
            tell("changing")
            do throws(HoldfastError) {
                try vault.changePassword(from: secret(old), to: secret(new), cost: cost)
            } catch {
                // The one before was killed after the other password was in force.
                guard error.code == .wrongKey else { throw error }
            }
            tell("changed")
        }
    }
}

func run(_ arguments: [String]) throws(HoldfastError) {
    guard arguments.count == 3, let number = Int(arguments[2]) else {
        throw HoldfastError(.usage, "VaultWriter create|write|change PATH NUMBER", hint: "A test calls it.")
    }
    let path = arguments[1]
    let cost = PasswordCost(logN: 10, p: 1)
    if arguments[0] == "create" {
        tell("creating")
        _ = try EmbeddedVault.create(
            at: path, password: secret("first"), cost: cost, clock: SystemClock(), entropy: SystemEntropy())
        return tell("created")
    }
    let vault: EmbeddedVault
    do throws(HoldfastError) {
        vault = try EmbeddedVault.open(
            at: path, password: secret("first"), clock: SystemClock(), entropy: SystemEntropy())
    } catch {
        guard error.code == .wrongKey else { throw error }
        vault = try EmbeddedVault.open(
            at: path, password: secret("second"), clock: SystemClock(), entropy: SystemEntropy())
    }
    if arguments[0] == "change" { try change(vault, cost) } else { try write(vault, from: number) }
}

do throws(HoldfastError) {
    try run(Array(CommandLine.arguments.dropFirst()))
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
