// Which configuration file and which repository a run is about.

import Configuring
import FoundationEssentials
import Primitives
import Workloads

/// A repository before it is opened.
struct RepositoryPlace: Sendable, Hashable {
    var location: String
    var opening = ConfiguredRepository.Opening.unsaid
    /// Its part of the configuration, when it was found there.
    var configured: ConfiguredRepository?

    init(location: String) { self.location = location }

    init(_ repository: ConfiguredRepository) {
        location = repository.location
        opening = repository.opening
        configured = repository
    }
}

/// The configuration file of a run.
enum ConfigurationPlace {
    static let standard = ["holdfast.yaml", "/etc/holdfast/holdfast.yaml"]

    /// `--config`, else the variable, else the first of the usual places where there is a file.
    static func path(
        _ options: GlobalOptions, _ variables: Variables, exists: (String) -> Bool = FileManager.default.fileExists
    ) -> String? {
        options.config ?? variables["HOLDFAST_CONFIG"] ?? standard.first { exists($0) }
    }

    /// Reads the file; all that is wrong with it is in the failure, by its places.
    static func load(_ path: String) throws(HoldfastError) -> Configuration {
        switch try read(path) {
        case .good(let configuration): return configuration
        case .bad(let problems):
            throw HoldfastError(
                .configuration, "\(path) has \(problems.count == 1 ? "an error" : "\(problems.count) errors")",
                hint: "Correct the file; `holdfast config check \(path)` looks at it alone.",
                context: problems.map { ("\(path):\($0.position.line):\($0.position.column)", $0.message) })
        }
    }

    static func read(_ path: String) throws(HoldfastError) -> ConfigurationReading {
        try ConfigurationFile.read(path) { pattern in
            var exclusions = Exclusions()
            do throws(HoldfastError) {
                try exclusions.add(pattern: pattern)
                return nil
            } catch {
                return error.message
            }
        }
    }
}

extension CommandContext {
    /// The configuration; nil when there is no file.
    func configuration() throws(HoldfastError) -> Configuration? {
        guard let path = ConfigurationPlace.path(options, variables) else { return nil }
        return try ConfigurationPlace.load(path)
    }

    /// The repository that the option or the variable names, else the one of the configuration.
    ///
    /// - Throws: `.usage` when none is named, or when its location holds a password.
    func place() throws(HoldfastError) -> RepositoryPlace {
        if let place = try namedPlace() { return place }
        guard let configuration = try configuration() else {
            throw HoldfastError(
                .usage, "no repository is named",
                hint: "Give --repo LOCATION, set HOLDFAST_REPO, or write a configuration file.")
        }
        return try place(of: configuration.defaultRepository, in: configuration)
    }

    /// The repository that the option or the variable names; nil when neither is given.
    ///
    /// A word without a slash and a colon is a name of the configuration when there is one like it, else a path.
    func namedPlace() throws(HoldfastError) -> RepositoryPlace? {
        guard let text = options.repo ?? variables["HOLDFAST_REPO"] else {
            return nil
        }
        try LocationText.refusePassword(in: text)
        let mayBeName = !text.contains("/") && !text.contains(":")
        // A file that was named is checked even when this run takes nothing from it.
        let configuration = mayBeName || options.config != nil ? try configuration() : nil
        if mayBeName, let repository = configuration?.repository(named: text) { return RepositoryPlace(repository) }
        return RepositoryPlace(location: text)
    }

    func place(of name: String?, in configuration: Configuration) throws(HoldfastError) -> RepositoryPlace {
        if let name, let repository = configuration.repository(named: name) { return RepositoryPlace(repository) }
        let what = configuration.repositories.isEmpty ? "no repository" : "several repositories and no default"
        throw HoldfastError(
            .usage, "\(configuration.path) has \(what)",
            hint: "Give --repo with a location or a name, or add `repository` to `defaults`.")
    }
}
