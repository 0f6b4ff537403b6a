// Whether a command could be started.

import CLinux
import Glibc
import Primitives

/// Looks for programs as posix_spawnp(3) does.
package enum ProgramSearch {
    /// The path of the program that `name` would start; nil when there is none.
    package static func path(of name: String, along path: String? = ProcessEnvironment.value("PATH")) -> String? {
        guard !name.isEmpty else { return nil }
        if name.contains("/") { return isExecutable(name) ? name : nil }
        let directories = (path ?? "/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false)
        for directory in directories {
            let candidate = directory.isEmpty ? name : "\(directory)/\(name)"
            if isExecutable(candidate) { return candidate }
        }
        return nil
    }

    private static func isExecutable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }

    /// What a look for the program of `words` found.
    package static func finding(_ words: [String], as subject: String) -> WorkloadFinding {
        let name = words.first ?? ""
        guard let path = path(of: name) else {
            return WorkloadFinding(
                .error, subject, "there is no program \(name.isEmpty ? "named" : name) to start",
                hint: "Check that it is installed, on the PATH, and executable.")
        }
        return WorkloadFinding(.good, subject, "is \(path)")
    }
}
