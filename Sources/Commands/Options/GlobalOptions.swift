// Options that every verb takes, before or after its name.

import ArgumentParser
import FoundationEssentials
import ObjectStore
import Primitives
import State
import Synchronization

/// Where the repository is and how the verb speaks.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The repository: a path, dir:PATH, file:///PATH, or its name in the configuration.",
            discussion:
                "HOLDFAST_REPO where it is not given, else the configuration's. A password inside a URL is refused.",
            valueName: "location"))
    var repo: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The configuration file.",
            discussion:
                "HOLDFAST_CONFIG where it is not given, else ./holdfast.yaml, else /etc/holdfast/holdfast.yaml.",
            valueName: "file"))
    var config: String?

    @Flag(name: .long, help: "Print one JSON object on standard output; progress and messages go to standard error.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print no progress and no remarks; results and failures still show.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Print more remarks, and the causes of failures.")
    var verbose = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where decrypted index runs are kept between commands.",
            discussion: "HOLDFAST_CACHE_DIR where it is not given, else XDG_CACHE_HOME/holdfast or ~/.cache/holdfast.",
            valueName: "directory"))
    var cacheDir: String?

    @Flag(name: .long, help: "Keep no index runs between commands.")
    var noCache = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where is kept what was seen of repositories, to notice one that was put back.",
            discussion:
                "HOLDFAST_STATE_DIR where it is not given, else STATE_DIRECTORY as systemd sets it, else "
                + "XDG_STATE_HOME/holdfast, else /var/lib/holdfast for root where the daemon has its state there, else "
                + "~/.local/state/holdfast, or /var/lib/holdfast for root without HOME.",
            valueName: "directory"))
    var stateDir: String?

    @Flag(name: .long, help: "Take the repository as it is now, though it was further before, and remember that.")
    var acceptRollback = false

    func validate() throws {
        if quiet && verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
        if noCache && cacheDir != nil { throw ValidationError("--no-cache and --cache-dir exclude each other.") }
    }

    /// Where the unit keeps it.
    private static let systemState = "/var/lib/holdfast"

    /// Where memories of stores are; nil when there is no place for them.
    ///
    /// Not below the cache, which anyone may empty at any time.
    func stateDirectory(
        _ variables: Variables, isRoot: Bool,
        isThere: (String) -> Bool = { FileManager.default.fileExists(atPath: $0) }
    ) -> String? {
        if let stateDir { return stateDir }
        if let own = variables["HOLDFAST_STATE_DIR"] { return own }
        // systemd may name several, with colons between.
        if let unit = variables["STATE_DIRECTORY"]?.split(separator: ":").first { return String(unit) }
        if let shared = variables["XDG_STATE_HOME"], shared.hasPrefix("/") { return shared + "/holdfast" }
        // That of the service, whose runs and orders root's shell is about, comes before one that nobody named.
        if isRoot, isThere(Self.systemState + "/" + SQLiteRunStore.fileName) { return Self.systemState }
        if let home = variables["HOME"] { return home + "/.local/state/holdfast" }
        return isRoot ? Self.systemState : nil
    }

    /// Where the cache is; nil for none.
    func cacheDirectory(_ variables: Variables) -> String? {
        if noCache { return nil }
        if let cacheDir { return cacheDir }
        if let own = variables["HOLDFAST_CACHE_DIR"] { return own }
        // The XDG base directory specification: a relative path is to be ignored.
        if let shared = variables["XDG_CACHE_HOME"], shared.hasPrefix("/") { return shared + "/holdfast" }
        return variables["HOME"].map { $0 + "/.cache/holdfast" }
    }
}

/// Environment variables as the command line reads them: an empty value counts as not set.
struct Variables: Sendable {
    private let read: @Sendable (String) -> String?
    private let take: @Sendable (String) -> SecretBytes?

    /// - Parameter take: Takes a secret out of the environment; where not given, it is read and stays there.
    init(_ read: @escaping @Sendable (String) -> String?, take: (@Sendable (String) -> SecretBytes?)? = nil) {
        self.read = read
        self.take =
            take ?? { name in
                guard let value = read(name) else { return nil }
                var bytes = Array(value.utf8)
                return SecretBytes(wiping: &bytes)
            }
    }

    /// The value of a variable that holds a secret.
    func secret(_ name: String) -> SecretBytes? {
        guard let secret = take(name), secret.count > 0 else { return nil }
        return secret
    }

    subscript(name: String) -> String? {
        guard let value = read(name), !value.isEmpty else { return nil }
        return value
    }

    /// Those of this process.
    static let process = Variables(
        { ProcessEnvironment.value($0) },
        take: { name in
            // Once taken a secret is not in the environment any more, and may be asked for by another repository.
            taken.withLock { taken in
                if let secret = taken[name] { return secret }
                let secret = ProcessEnvironment.take(name)
                taken[name] = secret
                return secret
            }
        })

    private static let taken = Mutex<[String: SecretBytes]>([:])
}
