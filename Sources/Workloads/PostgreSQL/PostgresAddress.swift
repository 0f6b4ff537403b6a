// Where a PostgreSQL server is and as whom to talk to it: a postgres:// URL without a password.

import CPostgres
import Glibc
import Primitives

/// A checked `postgres://` or `postgresql://` URL.
///
/// Passwords come by libpq's own conventions: PGPASSFILE or `~/.pgpass`, PGPASSWORD, PGSERVICE and PGSERVICEFILE.
/// What the URL leaves open comes from the PG* variables and libpq's defaults.
/// See https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING.
package struct PostgresAddress: Sendable, Hashable {
    /// The URL as it was given; it holds no password, so it may be shown and handed to a child.
    package let text: String
    /// libpq's parameters by their names, of those that the URL gives.
    package let parameters: [String: String]

    /// Whether `text` looks like one, right or wrong.
    package static func isAddress(_ text: String) -> Bool {
        text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
    }

    /// - Throws: `.usage` for a URL that cannot be understood or that holds a password.
    package init(_ text: String) throws(HoldfastError) {
        guard Self.isAddress(text), !text.utf8.contains(0) else {
            throw HoldfastError(
                .usage, "a PostgreSQL source is written postgres://USER@HOST:PORT/DATABASE",
                hint: "For a local socket write postgres:///DATABASE?host=/var/run/postgresql.")
        }
        try LocationText.refusePassword(in: text)
        guard !text.contains("password=") else { throw Self.passwordRefused }
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            let reason = message.map { String(cString: $0) } ?? "no memory"
            PQfreemem(message)
            throw HoldfastError(
                .usage, "the PostgreSQL URL cannot be understood: \(postgresLine(reason))",
                hint: "Escape special characters with % and two hexadecimal digits.")
        }
        defer { PQconninfoFree(options) }
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        guard found["password"] == nil, found["sslpassword"] == nil else { throw Self.passwordRefused }
        // A slash in a password that is not escaped makes its first part a port.
        guard found["port"]?.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "," }) != false else {
            throw HoldfastError(
                .usage, "the port of the PostgreSQL URL is no number",
                hint: "Escape special characters with % and two hexadecimal digits; leave out the password.")
        }
        self.text = text
        parameters = found
    }

    /// Whether the URL names the directory of a socket and nothing else, so that no other machine can be meant.
    var isLocal: Bool {
        guard let hosts = parameters["host"]?.split(separator: ","), !hosts.isEmpty else { return false }
        return hosts.allSatisfy { $0.hasPrefix("/") || $0.hasPrefix("@") }
    }

    /// The database that the URL names.
    package var database: String? { parameters["dbname"] }

    /// The address as a connection string for a child's arguments, of the database `name`; it holds no password.
    func connectionString(database name: String) -> String {
        var values = parameters
        values["dbname"] = name
        return values.sorted { $0.key < $1.key }.map { key, value in
            let escaped = value.flatMap { $0 == "'" || $0 == "\\" ? ["\\", $0] : [$0] }
            return "\(key)='\(String(escaped))'"
        }
        .joined(separator: " ")
    }

    private static var passwordRefused: HoldfastError {
        HoldfastError(
            .usage, "a password inside a URL is refused, since others can see it in the list of processes",
            hint: "Put it into a password file with mode 0600 and name that with PGPASSFILE.")
    }
}

/// libpq's text as one line: it ends in line feeds and puts details on lines of their own.
func postgresLine(_ text: String) -> String {
    text.split(separator: "\n").map { $0.trimmed }.joined(separator: "; ")
}

extension Substring {
    fileprivate var trimmed: String {
        var rest = self
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" || last == "\r" { rest.removeLast() }
        return String(rest)
    }
}
