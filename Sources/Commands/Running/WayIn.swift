// Does the only way into a repository run through a system that is backed up in it?

import Configuring
import Glibc
import Primitives
import Recovery
import Repository
import Workloads

/// Where the password or key of a repository comes from, as far as this host can see, held against what is backed up.
///
/// Seen are files: those that a variable or the configuration names, and those among the words of
/// HOLDFAST_PASSWORD_COMMAND. Not seen is what a program, a variable, a keyboard or a network gives, nor where the
/// holders of other slots keep their keys. Exclusions are not looked at: a file that is left out of the backup is lost
/// with the host as well.
struct WayIn {
    /// A path that a source of the repository takes with all below it.
    struct Covered: Hashable {
        var source: String
        var path: String
    }

    let opening: ConfiguredRepository.Opening
    let variables: Variables
    /// HOLDFAST_PASSWORD was set.
    let isInherited: Bool
    let covered: [Covered]
    /// The files of `opensWith`: secrets that open what comes back.
    let openers: [Covered]

    /// - Throws: what the store throws when its slots are read.
    func findings(_ repository: Repository) throws(HoldfastError) -> [WorkloadFinding] {
        guard repository.keyring.canReadData else { return [] }
        let readers = try repository.knownSlots().filter { known in
            let role = known.member.role
            return known.stored != nil && (role == .admin || role == .restorer)
        }
        let kits = readers.map(\.member).filter { RecoveryKitNumber.ends($0.label) }
        let others = readers.map(\.member).filter { $0.slot != repository.keyring.slot }
        let kit = kits.map(\.label).sorted().last
        guard let (file, source) = circle else {
            if let kit { return [Self.good("\(kit) opens it as well")] }
            guard others.isEmpty else { return [Self.good("\(readers.count) keys can read it")] }
            if let (opener, source) = coveredOpener {
                return [
                    WorkloadFinding(
                        .warning, Self.subject,
                        "one key alone can read it, and \(opener.path), which opens \(opener.source), is kept in it "
                            + "as a part of \(source)",
                        hint: Self.advice)
                ]
            }
            return [
                Self.good(
                    "one key alone can read it",
                    hint: "`holdfast recovery-kit --output kit.pdf` prints a second one, for a safe.")
            ]
        }
        let lies = "the password comes from \(file), which lies in the source \(source) that is backed up here"
        if let kit { return [Self.good("\(lies); \(kit) opens it without")] }
        guard others.isEmpty else {
            let labels = others.map(\.label).sorted().joined(separator: ", ")
            return [
                WorkloadFinding(
                    .warning, Self.subject,
                    "\(lies); of the other keys that can read it (\(labels)) it cannot be seen "
                        + "where they are kept", hint: Self.advice)
            ]
        }
        return [
            WorkloadFinding(
                .error, Self.subject, "\(lies), and no other key can read it: with this host the way in is lost",
                hint: Self.advice, code: .configuration)
        ]
    }

    private static let subject = "way in"
    private static let advice = "Run `holdfast recovery-kit --output kit.pdf`, and keep the page apart from this host."

    private static func good(_ message: String, hint: String = "") -> WorkloadFinding {
        WorkloadFinding(.good, subject, message, hint: hint)
    }

    // MARK: Files

    /// The first file of the way in that a source covers.
    private var circle: (file: String, source: String)? {
        for file in files { if let source = source(covering: file) { return (file, source) } }
        return nil
    }

    private var coveredOpener: (opener: Covered, source: String)? {
        for opener in openers { if let source = source(covering: opener.path) { return (opener, source) } }
        return nil
    }

    private func source(covering file: String) -> String? {
        let real = Self.resolved(file)
        return covered.first { cover in
            let path = Self.resolved(cover.path)
            return real == path || real.hasPrefix(path == "/" ? "/" : path + "/")
        }?.source
    }

    /// The files that the password comes from, by the rules that ``SecretSource`` goes by.
    private var files: [String] {
        if isInherited { return [] }
        if let path = variables["HOLDFAST_PASSWORD_FILE"] { return [path] }
        if let command = variables["HOLDFAST_PASSWORD_COMMAND"] { return Self.files(ofCommand: command) }
        if let path = variables["HOLDFAST_KEY_FILE"] { return [path] }
        switch opening {
        case .password(.file(let path)), .rawKey(let path): return [path]
        case .password(.environment), .unsaid: return []
        }
    }

    /// Programs that every machine has are no secret.
    private static let programs = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"]

    /// The words of a command that are files here, also behind the `=` of an option.
    static func files(ofCommand text: String) -> [String] {
        let words: [String]
        do throws(HoldfastError) {
            words = try CommandWords.split(text, from: "HOLDFAST_PASSWORD_COMMAND")
        } catch {
            // A command that cannot be split opened nothing, which was told.
            return []
        }
        return words.flatMap { word in
            [word] + (word.firstIndex(of: "=").map { [String(word[word.index(after: $0)...])] } ?? [])
        }.filter { word in
            !programs.contains { word.hasPrefix($0) } && access(word, F_OK) == 0
        }
    }

    /// The path without symbolic links where it exists, else as it is written.
    private static func resolved(_ path: String) -> String { Host.realPath(path) ?? Host.absolutePath(path) }
}

extension WayIn.Covered {
    /// The paths of this host that a source takes; none for what is not a path.
    static func paths(of source: ConfiguredSource) -> [WayIn.Covered] {
        guard case .urls(let urls) = source.origin else { return [] }
        return urls.filter { $0.kind?.isPath == true }.map { WayIn.Covered(source: source.name, path: $0.rest) }
    }

    /// The files of secrets that open what a source holds.
    static func openers(of source: ConfiguredSource) -> [WayIn.Covered] {
        source.opensWith.compactMap { reference in
            guard case .file(let path) = reference else { return nil }
            return WayIn.Covered(source: source.name, path: path)
        }
    }

    /// The same for a URL.
    init?(url: String) {
        guard let parsed = SourceURL(url), parsed.kind?.isPath == true else { return nil }
        self.init(source: url, path: parsed.rest)
    }
}
