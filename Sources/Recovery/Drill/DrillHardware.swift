// The class of machine that a drill ran on: estimates are made only within one class.

import CLinux
import Glibc
import ObjectStore
import Primitives

enum DrillHardware {
    /// - Parameters:
    ///   - scratch: The directory below which was restored.
    ///   - store: Where the repository is.
    static func facts(scratch: String, store: String) -> [String: String] {
        var facts = ["processors": String(Host.processors)]
        facts["processor"] = processor
        facts["disk"] = fileSystem(of: scratch)
        facts["repository"] = store.contains("://") ? String(store.prefix { $0 != ":" }) : "local"
        return facts
    }

    /// The name that the kernel knows the processor by.
    private static var processor: String? {
        guard let bytes = try? InputFile.read("/proc/cpuinfo", limit: ByteCount.mebi(4)) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("model name") }), let colon = line.firstIndex(of: ":")
        else { return nil }
        return String(line[line.index(after: colon)...].drop { $0 == " " }.prefix(128))
    }

    /// The type of the file system by its number, the same on every machine.
    private static func fileSystem(of path: String) -> String? {
        var status = statfs()
        guard statfs(path, &status) == 0 else { return nil }
        // Numbers of statfs(2).
        let names: [Int: String] = [
            0xEF53: "ext4", 0x5846_5342: "xfs", 0x9123_683E: "btrfs", 0x0102_1994: "tmpfs", 0x794C_7630: "overlay",
            0x2FC1_2FC1: "zfs", 0x6969: "nfs",
        ]
        let type = Int(status.f_type) & 0xFFFF_FFFF
        return names[type] ?? String(type, radix: 16)
    }
}
