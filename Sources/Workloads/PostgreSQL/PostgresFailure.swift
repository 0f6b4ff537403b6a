// From what a PostgreSQL server says to our error: SQLSTATE decides, texts may be in any language.

import Primitives

/// What a server reported.
package struct PostgresReport: Sendable, Hashable {
    /// Five characters of https://www.postgresql.org/docs/15/errcodes-appendix.html; nil when libpq itself failed.
    package var state: String?
    package var message: String
    package var detail = ""
    package var hint = ""

    package init(state: String?, message: String, detail: String = "", hint: String = "") {
        self.state = state
        self.message = message
        self.detail = detail
        self.hint = hint
    }

    /// Takes apart libpq's text of a connection that was asked to be verbose:
    /// `connection to server … failed: FATAL:  28P01: text`, then lines with LOCATION, DETAIL and HINT.
    init(connectionText text: String) {
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        var first = String(lines.first ?? "no reason given")
        state = nil
        if let range = first.firstRange(of: ":  ") {
            let rest = first[range.upperBound...]
            let candidate = rest.prefix(5)
            if candidate.utf8.count == 5, rest.dropFirst(5).hasPrefix(": "), candidate.allSatisfy(Self.isStateCharacter)
            {
                state = String(candidate)
                first = first[..<range.lowerBound] + ": " + rest.dropFirst(7)
            }
        }
        message = postgresLine(([Substring(first)] + lines.dropFirst()).joined(separator: "\n"))
    }

    private static func isStateCharacter(_ character: Character) -> Bool {
        character.isASCII && (character.isNumber || character.isUppercase)
    }
}

extension HoldfastError {
    /// The failure of `action`, a noun phrase such as "the base backup".
    package static func postgres(_ report: PostgresReport, during action: String) -> HoldfastError {
        let (code, hint, retry) = meaning(of: report)
        var context: [(String, String)] = []
        if let state = report.state { context.append(("sqlstate", state)) }
        if !report.detail.isEmpty { context.append(("detail", report.detail)) }
        if !report.hint.isEmpty { context.append(("server's hint", report.hint)) }
        return HoldfastError(code, "\(action): \(report.message)", hint: hint, context: context, retry: retry)
    }

    private static func meaning(of report: PostgresReport) -> (ErrorCode, String, RetryClass) {
        switch report.state {
        case "28P01":
            (.accessDenied, "Check the password in the file that PGPASSFILE names, and the role.", .never)
        case "28000":
            (
                .accessDenied,
                "Check the role, and add a line for it and this host to pg_hba.conf; a base backup needs one with "
                    + "`replication` in the column of the database. Reload the server afterwards.", .never
            )
        case "42501":
            (
                .accessDenied,
                "Give the role what it lacks; for a base backup run `ALTER ROLE … REPLICATION` as a superuser.", .never
            )
        case "3D000": (.sourceFailed, "Check the name of the database in the URL.", .never)
        case "53300":
            (
                .sourceFailed, "Raise max_connections or max_wal_senders, or end idle connections, then try again.",
                .later
            )
        case "53100": (.sourceFailed, "Free space on the server's disk.", .later)
        case "57P01", "57P02", "57P03", "57P05":
            (.sourceFailed, "The server is starting or stopping: try again when it is up.", .later)
        case "57014": (.sourceFailed, "Somebody cancelled the statement on the server; run the command again.", .now)
        case "58P01": recycled
        // What is missing has no state of its own, but "WAL" is the same word in all languages.
        case "XX000" where report.message.contains("WAL"): recycled
        case "55000": (.sourceFailed, "Set wal_level to replica or logical and start the server again.", .never)
        case "XX001", "XX002":
            (.sourceFailed, "The server found damage in its files: look into its log and check its disks.", .never)
        case .some: (.sourceFailed, "Look into the server's log.", .never)
        case nil:
            (.sourceFailed, "Check that the server runs and that host, port or socket directory are right.", .later)
        }
    }

    private static var recycled: (ErrorCode, String, RetryClass) {
        (
            .sourceFailed,
            "WAL that the backup needs was removed too early: raise wal_keep_size to more than the server writes "
                + "during a backup.", .now
        )
    }
}
