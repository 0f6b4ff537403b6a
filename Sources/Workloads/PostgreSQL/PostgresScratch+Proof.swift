// Whether a password opens a restored copy, as it would open the database that came back.

import Primitives

/// What came of a password.
package enum PasswordProof: Sendable, Hashable {
    /// A wrong one was refused, and then this one let the role in.
    case opened
    /// The copy has the role without any password, so that none can be held against it.
    case noVerifier
    /// The copy does not have the role.
    case noRole
}

/// A scratch server over a copy with passwords of its own.
package protocol PasswordProver: PasswordLogin {
    /// Sees a wrong password refused first, and then logs in with `password`.
    ///
    /// - Throws: `.accessDenied` when it is refused; `.checkFailed` when the wrong one is not; and as
    ///   ``PasswordLogin/logIn(as:to:with:_:)``.
    func prove(
        _ password: SecretBytes, opens database: String, as role: String, _ context: WorkloadContext
    ) throws(HoldfastError) -> PasswordProof
}

extension PostgresScratch: PasswordProver {
    private static let patienceOfRules = Duration.seconds(10)

    package func logIn(
        as role: String, to database: String, with password: SecretBytes, _ context: WorkloadContext
    ) throws(HoldfastError) {
        // What our own sessions begin with only a superuser may set.
        let address = try Self.address(place, role, database, options: "")
        try PostgresLogin(role, database, password).run(at: address, context)
    }

    package func prove(
        _ password: SecretBytes, opens database: String, as role: String, _ context: WorkloadContext
    ) throws(HoldfastError) -> PasswordProof {
        let connection = try PostgresConnection(
            try PostgresAddress(address), for: .database(nil), clock: context.clock,
            cancellation: context.cancellation)
        let row = try connection.rows(
            "SELECT rolpassword IS NOT NULL, coalesce(rolpassword LIKE 'md5%', false), "
                + "coalesce(rolvaliduntil < now(), false) FROM pg_catalog.pg_authid "
                + "WHERE rolname = \(try connection.literal(role))", columns: 3, for: "the role"
        ).first
        guard let row else { return .noRole }
        guard row[0] == "t" else { return .noVerifier }
        guard row[2] == "f" else {
            throw HoldfastError(
                .accessDenied, "the password of \(role) has ended by its VALID UNTIL",
                hint: "Whoever restores this has to set a later date first.")
        }
        // An old verifier can be asked for in the old way alone; that is a password, too.
        let method = row[1] == "t" ? "md5" : ScratchRules.scram
        guard method != ScratchRules.scram || rules.superusers.contains(role) else {
            try prove(password, role, database, context)
            return .opened
        }
        // Our own way in is by this role, or not by this method: for as long as this takes it is closed.
        try load(rules.text(asking: role, by: method), connection, context)
        var failure: HoldfastError?
        do throws(HoldfastError) {
            try prove(password, role, database, context)
        } catch {
            failure = error
        }
        try load(rules.text, connection, context)
        if let failure { throw failure }
        return .opened
    }

    private func prove(
        _ password: SecretBytes, _ role: String, _ database: String, _ context: WorkloadContext
    ) throws(HoldfastError) {
        var wrong = Array(Hex.encode(try context.entropy.bytes32().array).utf8)
        var isRefused = false
        do throws(HoldfastError) {
            try logIn(as: role, to: database, with: SecretBytes(wiping: &wrong), context)
        } catch {
            // invalid_password; whatever else is said has nothing to do with it.
            guard error.sqlstate == "28P01" else { throw error }
            isRefused = true
        }
        guard isRefused else {
            throw HoldfastError(
                .checkFailed, "the scratch server let \(role) in with a wrong password",
                hint: "What it says of the right one is worth nothing; look at the rules that the copy brings.")
        }
        try logIn(as: role, to: database, with: password, context)
    }

    /// Puts rules in place, and waits until they hold.
    ///
    /// The postmaster sends its processes the signal to load before it loads the rules itself, and does both before it
    /// takes another connection: one that is begun after `connection` has loaded meets the new rules.
    func load(
        _ text: String, _ connection: PostgresConnection, _ context: WorkloadContext
    ) throws(HoldfastError) {
        func loaded() throws(HoldfastError) -> [[String?]] {
            try connection.rows("SELECT pg_catalog.pg_conf_load_time()", for: "the rules of the scratch server")
        }
        try place.replace(Self.rulesFile, text, ownedBy: user)
        let before = try loaded()
        _ = try connection.rows("SELECT pg_catalog.pg_reload_conf()", for: "the rules of the scratch server")
        let end = context.clock.uptime() + Self.patienceOfRules
        while try loaded() == before {
            try context.cancellation.check()
            guard context.clock.uptime() < end else {
                throw HoldfastError(
                    .limitExceeded, "the scratch server did not load its rules within \(Self.patienceOfRules)",
                    hint: "The machine may be too busy: try again.")
            }
            context.clock.sleep(for: .milliseconds(10), unless: context.cancellation)
        }
    }
}
