// A login with a password that was handed over, in place of whatever libpq would find.

import Primitives

/// Who logs in where, and with what.
package struct PostgresLogin: Sendable {
    let role: String
    let database: String
    /// Without zeros, and not empty: libpq would end it there, or look for another.
    let password: SecretBytes

    /// - Throws: `.usage` for a password that no client could send.
    init(_ role: String, _ database: String, _ password: SecretBytes) throws(HoldfastError) {
        guard password.count > 0, password.withBytes({ !$0.contains(0) }) else {
            throw HoldfastError(
                .usage, password.count == 0 ? "the password is empty" : "the password holds a zero",
                hint: "No client of PostgreSQL can log in with it: look at the field that is named.")
        }
        self.role = role
        self.database = database
        self.password = password
    }

    /// Parameters of the address, with those of the login in place of its own.
    func parameters(_ parameters: [String: String]) -> [String: String] {
        var parameters = parameters
        parameters["user"] = role
        parameters["dbname"] = database
        return parameters
    }

    /// Logs in at `address`.
    ///
    /// - Throws: as ``PasswordLogin/logIn(as:to:with:_:)``.
    func run(at address: PostgresAddress, _ context: WorkloadContext) throws(HoldfastError) {
        let connection = try PostgresConnection(
            address, for: .login(self), clock: context.clock, cancellation: context.cancellation)
        guard connection.hasUsedPassword else {
            throw HoldfastError(
                .accessDenied, "the server let \(role) into \(database) without asking for a password",
                hint: "Ask for scram-sha-256 in pg_hba.conf for this role and this host: what is not asked for is not "
                    + "shown to be right.")
        }
        let row = try connection.rows("SELECT session_user, current_database()", columns: 2, for: "the login").first
        guard let row, row[0] == role, row[1] == database else {
            throw HoldfastError(
                .accessDenied, "the server takes \(role) for somebody else",
                hint: "Look for maps of users in pg_hba.conf, and for a pooler between here and the server.")
        }
    }
}

extension PostgresWorkload: PasswordLogin {
    package func logIn(
        as role: String, to database: String, with password: SecretBytes, _ context: WorkloadContext
    ) throws(HoldfastError) {
        try PostgresLogin(role, database, password).run(at: try address.get(), context)
    }
}

extension DumpWorkload: PasswordLogin {
    package func logIn(
        as role: String, to database: String, with password: SecretBytes, _ context: WorkloadContext
    ) throws(HoldfastError) {
        try PostgresLogin(role, database, password).run(at: try address(), context)
    }
}
