// Environment variables, and the one that holds a secret.

import CLinux
import Glibc

/// The environment variables of this process.
package enum ProcessEnvironment {
    /// The value, or nil when the variable is not set or empty.
    package static func value(_ name: String) -> String? {
        guard let text = getenv(name) else { return nil }
        let value = String(cString: text)
        return value.isEmpty ? nil : value
    }

    /// `NAME=value` lines of all variables, with `changes` in place of what was there.
    package static func lines(setting changes: [String: String]) -> [String] {
        var lines = changes.map { "\($0.key)=\($0.value)" }.sorted()
        var next: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = Glibc.environ
        while let line = next?.pointee {
            let text = String(cString: line)
            if changes[String(text.prefix { $0 != "=" })] == nil { lines.append(text) }
            next = next?.successor()
        }
        return lines
    }

    /// Takes a secret out of the environment: the value is wiped where it stood and the variable is unset, so that
    /// neither a child nor a reader of `/proc` sees it. Call it before other threads are started.
    package static func take(_ name: String) -> SecretBytes? {
        guard let text = getenv(name) else { return nil }
        let raw = UnsafeMutableRawBufferPointer(start: text, count: strlen(text))
        let secret = SecretBytes(count: raw.count)
        secret.withMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(raw)) }
        if let base = raw.baseAddress { holdfast_zero(base, raw.count) }
        unsetenv(name)
        return secret.count > 0 ? secret : nil
    }
}
