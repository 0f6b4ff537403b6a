// The programs and libraries of others that backups and checks use, with their versions.

import CPostgres
import CSQLite
import Primitives

/// What this machine has to talk to databases with.
package enum ClientTools {
    /// Major versions of PostgreSQL that are looked for.
    private static let majors = 13...20

    /// A finding for each; what no source needs may be missing, so nothing here is worse than good.
    package static func findings(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        var findings = [
            WorkloadFinding(.good, "SQLite", "library \(String(cString: sqlite3_libversion()))"),
            WorkloadFinding(.good, "PostgreSQL", "library libpq \(libpqVersion)"),
        ]
        var places: Set<String> = []
        for major in majors {
            try context.cancellation.check()
            guard let text = try programs(of: major, context, &places) else { continue }
            findings.append(WorkloadFinding(.good, "PostgreSQL \(major)", text))
        }
        if places.isEmpty {
            findings.append(
                WorkloadFinding(
                    .good, "PostgreSQL programs", "there are none, so restored clusters cannot be checked here",
                    hint: "Install the server of the cluster's major version where drills are run."))
        }
        return findings
    }

    /// Such as 15.20 of 150020.
    private static var libpqVersion: String {
        let number = Int(PQlibVersion())
        return "\(number / 10_000).\(number % 10_000)"
    }

    private static func programs(
        of major: Int, _ context: WorkloadContext, _ places: inout Set<String>
    ) throws(HoldfastError) -> String? {
        var found: [String] = []
        var directory = ""
        for program in ["postgres", "pg_dump", "pg_verifybackup", "pg_amcheck"] {
            do throws(HoldfastError) {
                let programs = try PostgresPrograms.find(program, major: major, context)
                directory = programs.directory
                let version = try PostgresPrograms.version(of: [programs.path(program), "--version"], context)
                found.append("\(program) \(version?.text ?? "")")
            } catch {
                if error.code == .interrupted { throw error }
            }
        }
        guard !found.isEmpty else { return nil }
        places.insert(directory)
        return "\(found.joined(separator: ", ")) in \(directory)"
    }
}
