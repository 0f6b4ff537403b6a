// What a key and a place allow, told before anything needs it.

import Glibc
import ObjectStore
import Primitives
import Repository
import Workloads

/// Rights and room of a repository.
enum RepositoryRights {
    /// Less room than this is worth a warning.
    static let littleRoom = ByteCount.mebi(1024)

    static func findings(_ keyring: Keyring) -> [WorkloadFinding] {
        let mayWrite = keyring.role == .admin || keyring.role == .writer
        let write =
            mayWrite
            ? WorkloadFinding(.good, "key", "may take snapshots")
            : WorkloadFinding(
                .warning, "key", "of the role \(keyring.role) may not take snapshots",
                hint: "That is right for a host that only restores or looks after the repository.")
        let read =
            keyring.canReadData
            ? WorkloadFinding(.good, "restore", "this key can read the data")
            : WorkloadFinding(
                .good, "restore", "this key cannot read the data",
                hint: "Keep the key that can where it is found when this host is lost.")
        return [write, read]
    }

    /// The directory of a repository: rights and free space.
    static func findings(location: String) -> [WorkloadFinding] {
        guard case .local(let path)? = try? StoreLocation(location) else { return [] }
        guard access(path, W_OK | X_OK) == 0 else {
            return [
                WorkloadFinding(
                    .error, "write", "\(path) cannot be written to: \(describeErrno(errno))",
                    hint: "Check the mount, the owner and the mode, and the user that holdfast runs as.",
                    code: .accessDenied)
            ]
        }
        var findings = [WorkloadFinding(.good, "write", "\(path) can be written to")]
        var system = statvfs()
        if statvfs(path, &system) == 0 {
            let unit = UInt64(system.f_frsize)
            let free = ByteCount(UInt64(system.f_bavail) * unit)
            let all = ByteCount(UInt64(system.f_blocks) * unit)
            let isLittle = free < littleRoom || free.bytes < all.bytes / 20
            findings.append(
                isLittle
                    ? WorkloadFinding(
                        .warning, "room", "\(free) of \(all) are free",
                        hint: "Thin out with `forget` and `prune` while there is room, or add some.", code: .noSpace)
                    : WorkloadFinding(.good, "room", "\(free) of \(all) are free"))
        }
        return findings
    }
}
