// A password that a daemon handed on to a run, through its own process.

/// Tells such a password from a file of the operator.
package enum HandedPassword {
    /// Whether the path is that of an open file of a process, which is gone when the process is.
    package static func isHanded(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 5 && parts[0].isEmpty && parts[1] == "proc" && Int32(parts[2]) != nil && parts[3] == "fd"
            && Int32(parts[4]) != nil
    }
}
