// Who uses a file or a directory: a look through /proc.

import CLinux
import Glibc

/// Processes that use a file or a directory, as far as this user may see: root sees all, others their own processes.
///
/// Processes in containers below are seen; those of other containers, and of the host from within one, are not.
enum OpenFiles {
    /// Ids of other processes that have the file at `path` open.
    static func holders(of path: String) -> [Int32] {
        var wanted = stat()
        guard stat(path, &wanted) == 0 else { return [] }
        var found: [Int32] = []
        let own = getpid()
        for process in names(in: "/proc").compactMap({ Int32($0) }) where process != own {
            let directory = "/proc/\(process)/fd"
            let isHolder = names(in: directory).contains { name in
                var status = stat()
                return stat("\(directory)/\(name)", &status) == 0 && status.st_ino == wanted.st_ino
                    && status.st_dev == wanted.st_dev
            }
            if isHolder { found.append(process) }
        }
        return found
    }

    /// Ids of processes called one of `names` that work in the directory at `path`.
    static func residents(of path: String, called wanted: Set<String>) -> [Int32] {
        var place = stat()
        guard stat(path, &place) == 0 else { return [] }
        return names(in: "/proc").compactMap { Int32($0) }.filter { process in
            var status = stat()
            return stat("/proc/\(process)/cwd", &status) == 0 && status.st_ino == place.st_ino
                && status.st_dev == place.st_dev && wanted.contains(name(of: process))
        }
    }

    /// The name that the kernel knows a process by, of at most 15 bytes.
    private static func name(of process: Int32) -> String {
        let descriptor = holdfast_openat(AT_FDCWD, "/proc/\(process)/comm", O_RDONLY, 0)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count)].prefix { $0 != 0x0A }, as: UTF8.self)
    }

    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) { names.append(String(cString: holdfast_dirent_name(entry))) }
        return names
    }
}
