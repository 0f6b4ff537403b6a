// The root of the command line, and the way from arguments to an exit status.

import ArgumentParser
import Glibc
import Primitives

struct Holdfast: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfast",
        abstract: "Encrypted, compressed, content-addressed snapshots, restored and proven.",
        discussion: """
            Holdfast keeps snapshots of directories and streams in a repository: sealed with a password, compressed, \
            and stored once however often the same content comes.

            The repository is named by --repo or HOLDFAST_REPO. Its password comes from HOLDFAST_PASSWORD, \
            HOLDFAST_PASSWORD_FILE or HOLDFAST_PASSWORD_COMMAND, a raw key from HOLDFAST_KEY_FILE; without any of \
            them the configuration says where it is, or a terminal is asked.

            Sources, repositories, retention and mirrors can stand in a configuration file: --config, else \
            HOLDFAST_CONFIG, else ./holdfast.yaml, else /etc/holdfast/holdfast.yaml.
            """,
        version: "holdfast \(ToolVersion.current)",
        subcommands: [
            Init.self, BackupVerb.self, Snapshots.self, ListVerb.self, FindVerb.self, DumpVerb.self, DiffVerb.self,
            RestoreVerb.self, DrillVerb.self, RPOVerb.self, EvidenceVerb.self, ReportVerb.self,
            VerifyReport.self, ExceptionVerb.self, Check.self, Doctor.self, Repair.self,
            Forget.self,
            Prune.self, MirrorVerb.self, Keys.self, RecoveryKitVerb.self, VaultVerb.self, AuditVerb.self,
            Config.self, DaemonVerb.self, StatusVerb.self, NotifyVerb.self, ScheduleVerb.self,
        ])

    // Options before the verb mean the same as after it.
    @OptionGroup(title: "Global Options") var global: GlobalOptions
}

/// The program.
package enum Program {
    /// Parses the arguments of the process, runs the verb and ends the process with its exit status.
    package static func main() -> Never {
        do {
            var command = try Holdfast.parseAsRoot()
            try command.run()
            exit(0)
        } catch {
            // What a verb threw was told by the verb itself.
            let isOfParser = !(error is ExitCode) && Holdfast.exitCode(for: error) == .validationFailure
            if isOfParser, CommandLine.arguments.contains("--json") {
                let failure = HoldfastError(
                    .usage, Holdfast.message(for: error), hint: "Run `holdfast help` for the verbs and options.")
                Output(isJSON: true, isQuiet: false).reportAsJSON(failure)
            }
            Holdfast.exit(withError: error)
        }
    }
}
