// Names of users and groups, asked for once per number.

import Glibc
import Synchronization

/// A cache over getpwuid_r(3) and getgrgid_r(3), which may ask a directory service over the network.
final class OwnerNames: Sendable {
    /// Beyond this many numbers the cache is emptied and begins anew.
    static let maximumNames = 65_536
    /// The longest record that is read: a group with many members is long.
    static let maximumRecord = 1 << 20

    private let users = Mutex<[UInt32: String]>([:])
    private let groups = Mutex<[UInt32: String]>([:])

    func user(_ number: UInt32) -> String {
        if let known = users.withLock({ $0[number] }) { return known }
        let name = Self.lookUp { buffer, count in
            var record = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let status = getpwuid_r(number, &record, buffer, count, &found)
            return (status, found.flatMap { $0.pointee.pw_name }.map { String(cString: $0) })
        }
        Self.remember(name, for: number, in: users)
        return name
    }

    func group(_ number: UInt32) -> String {
        if let known = groups.withLock({ $0[number] }) { return known }
        let name = Self.lookUp { buffer, count in
            var record = Glibc.group()
            var found: UnsafeMutablePointer<Glibc.group>?
            let status = getgrgid_r(number, &record, buffer, count, &found)
            return (status, found.flatMap { $0.pointee.gr_name }.map { String(cString: $0) })
        }
        Self.remember(name, for: number, in: groups)
        return name
    }

    private static func remember(_ name: String, for number: UInt32, in cache: borrowing Mutex<[UInt32: String]>) {
        cache.withLock { names in
            if names.count >= maximumNames { names.removeAll() }
            names[number] = name
        }
    }

    /// Calls `ask` with growing buffers; empty when there is no such name.
    private static func lookUp(_ ask: (UnsafeMutablePointer<CChar>, Int) -> (Int32, String?)) -> String {
        var count = 4096
        while count <= maximumRecord {
            var buffer = [CChar](repeating: 0, count: count)
            let (status, name) = buffer.withUnsafeMutableBufferPointer { raw -> (Int32, String?) in
                guard let base = raw.baseAddress else { return (ENOENT, nil) }
                return ask(base, raw.count)
            }
            if status == 0 { return name ?? "" }
            guard status == ERANGE else { return "" }
            count *= 4
        }
        return ""
    }
}
