// The configuration and the jobs that a daemon has accepted, kept for the runs that it starts.

import Configuring
import FoundationEssentials
import Glibc
import Primitives
import Sealing
import Synchronization

/// Copies of the configuration and of the job files, one directory for each time that they were read.
///
/// A run is a process of its own and reads them again. Would it read the originals, then what somebody is in the middle
/// of changing, or has broken, would be what runs, and not the jobs that hold.
struct AcceptedFiles {
    /// What a run that is just started may still want to read.
    private static let mostKept = 16
    private static let sealName = "accepted"
    private static let maximumFile = ByteCount(64 << 20)

    /// Copies that a run reads, for as long as this lives, or its process.
    final class Hold: Sendable {
        fileprivate let descriptor: Int32
        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }
        deinit { close(descriptor) }
    }

    /// Below the state directory.
    let directory: String

    init(state: String) { directory = "\(state)/accepted" }

    /// Copies the files as they are now.
    ///
    /// - Returns: `context` and `jobs`, about the copies.
    func keep(
        _ context: CommandContext, _ jobs: JobOptions
    ) throws(HoldfastError) -> (context: CommandContext, jobs: JobOptions, directory: String) {
        let kept = "\(directory)/\((numbers().last ?? 0) + 1)"
        do throws(HoldfastError) {
            let schedules = try jobs.directory(context)
            try KeptFile.copy(try JobOptions.files(in: schedules), from: schedules, to: "\(kept)/schedules")
            if let (directory, name) = Self.configuration(context) {
                try KeptFile.copy([name], from: directory, to: "\(kept)/configuration")
            }
        } catch {
            drop(kept)
            throw error
        }
        let (own, ownJobs) = Self.about(kept, context, jobs)
        return (own, ownJobs, kept)
    }

    /// `context` and `jobs`, about copies.
    private static func about(
        _ kept: String, _ context: CommandContext, _ jobs: JobOptions
    ) -> (CommandContext, JobOptions) {
        var (options, ownJobs) = (context.options, jobs)
        ownJobs.schedules = "\(kept)/schedules"
        if let (_, name) = configuration(context) { options.config = "\(kept)/configuration/\(name)" }
        let own = CommandContext(
            options: options, output: context.output, environment: context.environment, variables: context.variables,
            runner: context.runner, inheritedPassword: context.inheritedPassword)
        return (own, ownJobs)
    }

    /// Where the configuration file is, and its name.
    private static func configuration(_ context: CommandContext) -> (directory: String, name: String)? {
        guard let path = ConfigurationPlace.path(context.options, context.variables) else { return nil }
        let absolute = Host.absolutePath(path)
        let slash = absolute.lastIndex(of: "/") ?? absolute.startIndex
        return (String(absolute[..<slash]), String(absolute[absolute.index(after: slash)...]))
    }

    // MARK: Copies that were good

    /// Remembers that these copies are good, and of which files they are. Where that cannot be written, no later start
    /// goes by them.
    func accept(_ kept: String, _ context: CommandContext, _ jobs: JobOptions) {
        guard let seal = seal(kept, context, jobs) else { return }
        try? Data(seal.utf8).write(to: URL(filePath: "\(kept)/\(Self.sealName)"))
    }

    /// Copies of the same files that were good and are whole, newest first.
    func accepted(
        _ context: CommandContext, _ jobs: JobOptions
    ) -> [(context: CommandContext, jobs: JobOptions)] {
        numbers().reversed().compactMap { number in
            let kept = "\(directory)/\(number)"
            guard let text = try? String(contentsOfFile: "\(kept)/\(Self.sealName)", encoding: .utf8),
                text == seal(kept, context, jobs)
            else { return nil }
            return Self.about(kept, context, jobs)
        }
    }

    /// Where the files are, and a hash of the copies, by which those are known that a crash has cut: they are not
    /// synced.
    private func seal(_ kept: String, _ context: CommandContext, _ jobs: JobOptions) -> String? {
        guard let schedules = try? jobs.directory(context) else { return nil }
        var text = "\(Host.absolutePath(schedules))\n"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(kept)/schedules")) ?? []
        var paths = files.sorted().map { "schedules/\($0)" }
        if let (directory, name) = Self.configuration(context) {
            text += "\(directory)/\(name)\n"
            paths.append("configuration/\(name)")
        }
        var hashes = ""
        for path in paths {
            guard let bytes = try? InputFile.read("\(kept)/\(path)", limit: Self.maximumFile, waits: false) else {
                return nil
            }
            hashes += "\(path) \(Self.hash(bytes))\n"
        }
        return text + Self.hash(Array(hashes.utf8)) + "\n"
    }

    private static func hash(_ bytes: [UInt8]) -> String {
        SHA256.digest(bytes.span.bytes).array.map { String($0, radix: 16) }.joined(separator: ".")
    }

    /// Takes copies away that are not wanted after all.
    func drop(_ kept: String) { try? FileManager.default.removeItem(atPath: kept) }

    /// Takes the oldest copies away that no run reads.
    func thin() {
        for number in numbers().dropLast(Self.mostKept) {
            let kept = "\(directory)/\(number)"
            // One that cannot be opened is a remainder of one that was taken away.
            guard let hold = Self.locked(kept, LOCK_EX) else {
                if access(kept, R_OK) != 0 { drop(kept) }
                continue
            }
            withExtendedLifetime(hold) { drop(kept) }
        }
    }

    /// Keeps the copies from being taken away whose jobs are in `schedules`; nil when there are none.
    static func hold(_ schedules: String) -> Hold? {
        guard let slash = schedules.lastIndex(of: "/") else { return nil }
        return locked(String(schedules[..<slash]), LOCK_SH)
    }

    private static func locked(_ kept: String, _ kind: Int32) -> Hold? {
        let descriptor = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let hold = Hold(descriptor)
        return flock(descriptor, kind | LOCK_NB) == 0 ? hold : nil
    }

    private func numbers() -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.compactMap { Int($0) }.sorted()
    }
}
