// Extended attributes of an open descriptor or of a path that leads through /proc/self/fd.

import CLinux
import Glibc
import Primitives
import Repository

/// What attributes are read from and written to.
enum AttributeHolder {
    /// A descriptor opened for reading or writing.
    case descriptor(Int32)
    /// `/proc/self/fd/N/name`; a link in the last place is not followed.
    case path(UnsafePointer<CChar>)

    /// XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux.
    static let maximumBytes = 65_536

    func list(_ buffer: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        switch self {
        case .descriptor(let number): flistxattr(number, buffer, count)
        case .path(let path): llistxattr(path, buffer, count)
        }
    }

    func get(_ name: UnsafePointer<CChar>, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        switch self {
        case .descriptor(let number): fgetxattr(number, name, buffer, count)
        case .path(let path): lgetxattr(path, name, buffer, count)
        }
    }

    func set(_ name: [UInt8], _ value: [UInt8]) -> Int32 {
        withCString(name) { name in
            value.withUnsafeBufferPointer { value in
                let result =
                    switch self {
                    case .descriptor(let number): fsetxattr(number, name, value.baseAddress, value.count, 0)
                    case .path(let path): lsetxattr(path, name, value.baseAddress, value.count, 0)
                    }
                return result == 0 ? 0 : errno
            }
        }
    }

    func remove(_ name: [UInt8]) -> Int32 {
        withCString(name) { name in
            let result =
                switch self {
                case .descriptor(let number): fremovexattr(number, name)
                case .path(let path): lremovexattr(path, name)
                }
            return result == 0 ? 0 : errno
        }
    }

    /// The names, sorted by bytes; one system call when there are none. A file system without attributes has none.
    func names() -> (names: [[UInt8]], errorNumber: Int32) {
        // The first call asks for the length alone, since most things have no attribute.
        let length = list(nil, 0)
        if length == 0 { return ([], 0) }
        if length < 0 { return ([], errno == ENOTSUP ? 0 : errno) }
        var buffer = [UInt8](repeating: 0, count: Self.maximumBytes)
        let filled = buffer.withUnsafeMutableBufferPointer { raw in
            raw.withMemoryRebound(to: CChar.self) { list($0.baseAddress, $0.count) }
        }
        guard filled >= 0 else { return ([], errno) }
        let names = buffer[..<filled].split(separator: 0).map(Array.init)
        return (names.sorted { $0.lexicographicallyPrecedes($1) }, 0)
    }

    /// One value; nil when it is not there or cannot be read.
    func value(of name: [UInt8]) -> [UInt8]? {
        withCString(name) { name in
            let length = get(name, nil, 0)
            guard length >= 0, length <= Self.maximumBytes else { return nil }
            var buffer = [UInt8](repeating: 0, count: length)
            let filled = buffer.withUnsafeMutableBytes { get(name, $0.baseAddress, $0.count) }
            return filled == length ? buffer : nil
        }
    }

    /// Names and values, sorted by name; an attribute that goes away meanwhile is left out.
    func read() -> (attributes: [ExtendedAttribute], errorNumber: Int32) {
        let (names, number) = names()
        guard number == 0, !names.isEmpty else { return ([], number) }
        var attributes = [ExtendedAttribute]()
        var buffer = [UInt8](repeating: 0, count: Self.maximumBytes)
        for name in names {
            let (filled, number) = withCString(name) { name -> (Int, Int32) in
                buffer.withUnsafeMutableBytes { raw in
                    let count = get(name, raw.baseAddress, raw.count)
                    return (count, count < 0 ? errno : 0)
                }
            }
            if filled >= 0 {
                attributes.append(ExtendedAttribute(name: name, value: Array(buffer[..<filled])))
            } else if number != ENODATA {
                return (attributes, number)
            }
        }
        return (attributes, 0)
    }
}
