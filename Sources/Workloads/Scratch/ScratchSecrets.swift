// What people keep that nothing which runs over a restored copy may see.

/// Files and directories by what they are. Those that are not there are none that was hidden.
package struct ScratchSecrets: Sendable, Hashable {
    /// Files with passwords and keys, of repositories and of sources.
    package var keys: [String]
    /// Directories in which is remembered what became of earlier runs.
    package var state: [String]
    /// Repositories in directories, and copies of them.
    package var repositories: [String]

    package init(keys: [String] = [], state: [String] = [], repositories: [String] = []) {
        self.keys = keys
        self.state = state
        self.repositories = repositories
    }

    var paths: [String] { keys + state + repositories }

    /// For the record: `keys (2), state, repositories (1)`.
    ///
    /// - Parameter resolved: The true path of what is out of sight, nil for what is not: nothing is said of that.
    func summary(_ resolved: (String) -> String?) -> [String] {
        func count(_ paths: [String]) -> Int { Set(paths.compactMap(resolved)).count }
        let (keys, states, repositories) = (count(keys), count(state), count(repositories))
        return (keys > 0 ? ["keys (\(keys))"] : []) + (states > 0 ? ["state"] : [])
            + (repositories > 0 ? ["repositories (\(repositories))"] : [])
    }
}
