// Logins of a PostgreSQL server: two that take turns, or one whose password changes.

import Primitives
import Sealing
import SecretVaults
import Workloads

/// What becomes of sessions of the old login when it is retired.
package enum OldSessions: String, Sendable, Hashable, CaseIterable {
    /// The login is retired when the last of them has ended.
    case wait
    /// They stay; new ones are refused.
    case keep
    /// They are ended.
    case end
}

/// A server, its logins, and who may change them.
package struct PostgresTargetPlan: Sendable {
    /// Where and as whom logins are changed.
    package var admin: PostgresAddress
    /// The administrator's password; nil where libpq's own conventions give it.
    package var adminPassword: @Sendable () throws(HoldfastError) -> SecretBytes?
    /// Two that take turns, or one.
    package var users: [String]
    /// Whom the two logins act as, so that both own what either makes.
    package var role: String?
    /// Where else a new login must work: standbys, poolers, other addresses of the server.
    package var endpoints: [PostgresAddress] = []
    package var sessions = OldSessions.wait
    package var fields = LoginFields()

    package init(
        admin: PostgresAddress, adminPassword: @escaping @Sendable () throws(HoldfastError) -> SecretBytes?,
        users: [String], role: String?
    ) {
        self.admin = admin
        self.adminPassword = adminPassword
        self.users = users
        self.role = role
    }
}

/// Changes logins with verifiers that are computed here, so that no password is in a statement, and none in the
/// server's log or in pg_stat_statements.
///
/// With two logins the one that readers don't have is changed, and the secret then names that one: what readers have
/// works until it is retired. With one login there is a gap from the change to the promotion. That a password works is
/// seen by a connection of its own that was asked for a password, never by what the server has stored.
package struct PostgresRotationTarget: RotationTarget {
    static let loginTimeout = Duration.seconds(15)
    /// How long a standby may take to replay a change before the step is tried again later.
    static let replayTries = 20
    static let replayNap = Duration.milliseconds(250)

    let plan: PostgresTargetPlan
    let clock: any Clock
    let entropy: any Entropy
    let cancellation: Cancellation

    package init(
        _ plan: PostgresTargetPlan, clock: any Clock, entropy: any Entropy, cancellation: Cancellation
    ) {
        self.plan = plan
        self.clock = clock
        self.entropy = entropy
        self.cancellation = cancellation
    }

    package var name: String { "PostgreSQL" }
    package var keepsOld: Bool { plan.users.count == 2 }
    private var onlyUser: String? { plan.users.count == 1 ? plan.users.first : nil }
    /// Where a login must work: first where it is changed.
    var everywhere: [PostgresAddress] { [plan.admin] + plan.endpoints }

    func login(_ value: SecretValue) throws(HoldfastError) -> PostgresLogin {
        let login = try PostgresLogin(value, plan.fields, onlyUser: onlyUser)
        guard plan.users.contains(login.user) else {
            throw HoldfastError(
                .configuration, "the secret names the login \(login.user), which is none of the policy",
                hint: "Name \(plan.users.joined(separator: " or ")) in the secret, or correct `users`.")
        }
        return login
    }

    package var effects: TargetEffects {
        let places = everywhere.map(\.text).joined(separator: ", ")
        guard keepsOld else {
            let user = plan.users.first ?? ""
            return TargetEffects(
                apply: ["set the password of the login \(user) with ALTER ROLE, as a SCRAM-SHA-256 verifier"],
                verify: ["log in as \(user) with the new password at \(places)"],
                retire: ["see that \(places) refuse the old password"])
        }
        let users = plan.users.joined(separator: " or ")
        let sessions =
            switch plan.sessions {
            case .wait: "when no session uses it any more"
            case .keep: "leaving its sessions"
            case .end: "ending its sessions"
            }
        return TargetEffects(
            apply: ["set the password of that one of \(users) that is not in use, as a SCRAM-SHA-256 verifier"],
            verify: ["log in with it at \(places), and see that it acts as \(plan.role ?? "itself")"],
            retire: ["take LOGIN and password from the login of before, \(sessions), and see that it is refused"])
    }

    // MARK: Connections

    func administer() throws(HoldfastError) -> PostgresConnection {
        try PostgresConnection(
            plan.admin, for: .database(nil), password: try plan.adminPassword(), clock: clock,
            cancellation: cancellation, timeout: Self.loginTimeout)
    }

    /// Logs in; nil when the server refuses this user with this password.
    func connect(_ login: PostgresLogin, at address: PostgresAddress) throws(HoldfastError) -> PostgresConnection? {
        do throws(HoldfastError) {
            let connection = try PostgresConnection(
                address, for: .database(nil), user: login.user, password: login.password, clock: clock,
                cancellation: cancellation, timeout: Self.loginTimeout)
            guard connection.usedPassword else {
                throw HoldfastError(
                    .configuration, "\(address.text) lets \(login.user) in without a password, so that none is proven",
                    hint: "Write scram-sha-256 into its line of pg_hba.conf, and reload the server.")
            }
            return connection
        } catch {
            let state = error.context.first { $0.key == "sqlstate" }?.value
            guard error.code == .accessDenied, state == "28P01" || state == "28000" else { throw error }
            return nil
        }
    }

    // MARK: RotationTarget

    package func preflight(_ current: SecretValue) throws(HoldfastError) -> [String: String] {
        let login = try login(current)
        for address in everywhere {
            guard try connect(login, at: address) != nil else {
                throw HoldfastError(
                    .secretConflict, "\(address.text) refuses the current password of \(login.user)",
                    hint: "Run `holdfast secrets reconcile`: the vault and the database are not together.")
            }
        }
        let admin = try administer()
        let facts = try admin.rows(
            """
            SELECT pg_is_in_recovery(), rolsuper OR rolcreaterole FROM pg_catalog.pg_roles
            WHERE rolname = current_user
            """, columns: 2, for: "the look at the server")
        guard facts.first?[0] == "f" else {
            throw HoldfastError(
                .configuration, "\(plan.admin.text) is a standby, which can't change logins",
                hint: "Name the primary in `url`, and the standby below `endpoints`.")
        }
        guard facts.first?[1] == "t" else {
            throw HoldfastError(
                .notPermitted, "the administrator of the policy may not change logins",
                hint: "Run ALTER ROLE … CREATEROLE for it as a superuser.")
        }
        for user in plan.users { try look(at: user, admin) }
        return ["server": admin.setting("server_version") ?? "", "fromUser": login.user]
    }

    /// A login must be there, and able to act as the role.
    private func look(at user: String, _ admin: PostgresConnection) throws(HoldfastError) {
        let name = try admin.literal(user)
        let found = try admin.rows(
            "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = \(name)", columns: 1, for: "the look at logins")
        guard let isSuper = found.first?[0] else {
            throw HoldfastError(
                .configuration, "the server has no login \(user)", hint: "Make it with CREATE ROLE, without a password."
            )
        }
        guard isSuper == "f" else {
            throw HoldfastError(
                .configuration, "the login \(user) is a superuser, which an application should not be",
                hint: "Give the application a login of its own.")
        }
        guard let role = plan.role else { return }
        let statement = "SELECT pg_catalog.pg_has_role(\(name), \(try admin.literal(role)), 'MEMBER')"
        guard try admin.rows(statement, columns: 1, for: "the look at logins").first?[0] == "t" else {
            throw HoldfastError(
                .configuration, "the login \(user) is no member of \(role)",
                hint: "Run GRANT \(try admin.identifier(role)) TO \(try admin.identifier(user)) as a superuser.")
        }
    }

    package func compose(
        _ current: SecretValue, with fresh: GeneratedSecret, forms: Set<SecretForm>, notes: inout [String: String]
    ) throws(HoldfastError) -> SecretValue {
        let old = try login(current)
        let user = plan.users.first { $0 != old.user } ?? old.user
        notes["toUser"] = user
        return try PostgresLogin(user: user, password: fresh.bytes).written(into: current, plan.fields)
    }

    package func accepts(_ value: SecretValue) throws(HoldfastError) -> TargetAnswer {
        try connect(try login(value), at: plan.admin) == nil ? .refused : .accepted
    }

    package func apply(_ value: SecretValue, over current: SecretValue) throws(HoldfastError) {
        let (new, old) = (try login(value), try login(current))
        guard !keepsOld || new.user != old.user else {
            throw HoldfastError(
                .configuration, "the value is of the login \(new.user), which readers use now with another password",
                hint: "Choose a version of the other login, or rotate.")
        }
        let verifier = try SCRAMVerifier(password: new.password, entropy: entropy)
        let admin = try administer()
        let user = try admin.identifier(new.user)
        var statements = ["ALTER ROLE \(user) LOGIN PASSWORD \(try admin.literal(verifier.text))"]
        if let role = plan.role { statements.append("ALTER ROLE \(user) SET role = \(try admin.literal(role))") }
        for statement in statements { _ = try admin.rows(statement, for: "the change of the login \(new.user)") }
    }

    package func verify(_ value: SecretValue, notes: inout [String: String]) throws(HoldfastError) {
        let login = try login(value)
        var seen: [String] = []
        for address in everywhere {
            let connection = try arrived(login, at: address)
            let row = try connection.rows(
                "SELECT current_user::text, session_user::text", columns: 2, for: "the look as the new login"
            ).first
            guard row?[1] == login.user, row?[0] == plan.role ?? login.user else {
                throw HoldfastError(
                    .configuration,
                    "\(login.user) acts as \(row?[0] ?? "nobody") at \(address.text), and not as "
                        + "\(plan.role ?? login.user)",
                    hint: "See whether a pooler or a setting of the database overrides the role.")
            }
            seen.append(address.text)
        }
        if let other = plan.users.first(where: { $0 != login.user }) { try compare(login.user, with: other) }
        notes["verified"] = "logged in as \(login.user) at \(seen.joined(separator: ", "))"
    }

    /// A standby has what was changed when it has replayed it.
    private func arrived(
        _ login: PostgresLogin, at address: PostgresAddress
    ) throws(HoldfastError) -> PostgresConnection {
        for attempt in 1...Self.replayTries {
            try cancellation.check()
            if let connection = try connect(login, at: address) { return connection }
            if attempt < Self.replayTries { clock.sleep(for: Self.replayNap, unless: cancellation) }
        }
        throw HoldfastError(
            .targetFailed, "\(address.text) refuses the new password of \(login.user) still",
            hint: "If it is a standby, see how far behind it is; else see its line in pg_hba.conf.", retry: .later)
    }

    /// The new login can do what the old one could by its roles.
    private func compare(_ new: String, with old: String) throws(HoldfastError) {
        let admin = try administer()
        let (newName, oldName) = (try admin.literal(new), try admin.literal(old))
        let missing = try admin.rows(
            """
            SELECT rolname FROM pg_catalog.pg_roles
            WHERE rolname NOT IN (\(newName), \(oldName)) AND pg_catalog.pg_has_role(\(oldName), oid, 'MEMBER')
                AND NOT pg_catalog.pg_has_role(\(newName), oid, 'MEMBER')
            ORDER BY 1 LIMIT 10
            """, columns: 1, for: "the comparison of the logins")
        guard missing.isEmpty else {
            let names = missing.compactMap { $0[0] }.joined(separator: ", ")
            throw HoldfastError(
                .configuration, "the login \(new) lacks what \(old) has: \(names)",
                hint: "Grant the same roles to both logins.")
        }
    }

    // MARK: Retirement

    package func retire(
        _ old: SecretValue, keeping new: SecretValue, urgent: Bool, notes: inout [String: String]
    ) throws(HoldfastError) {
        let (before, after) = (try login(old), try login(new))
        guard before.user != after.user else {
            try proveRefused(before)
            notes["oldRefused"] = "yes"
            return
        }
        let sessions = try countSessions(of: before.user, as: after)
        notes["oldSessions"] = "\(sessions)"
        let ends = urgent || plan.sessions == .end
        if sessions > 0, !ends, plan.sessions == .wait {
            throw HoldfastError(
                .targetFailed, "\(sessions) sessions use the login \(before.user) still",
                hint: "Let the application connect anew, or set `sessions` of the policy.", retry: .later)
        }
        let admin = try administer()
        let scrambled = try SCRAMVerifier(password: try entropy.secret(32).base64, entropy: entropy)
        _ = try admin.rows(
            "ALTER ROLE \(try admin.identifier(before.user)) NOLOGIN PASSWORD \(try admin.literal(scrambled.text))",
            for: "the retirement of the login \(before.user)")
        if sessions > 0, ends {
            let ended = try admin.rows(
                """
                SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
                WHERE usename = \(try admin.literal(before.user))
                """, columns: 1, for: "the end of its sessions")
            notes["sessionsEnded"] = ended.first?[0] ?? "0"
        }
        try proveRefused(before)
        notes["oldRefused"] = "yes"
    }

    /// Asked as the new login, which is let in everywhere; names of sessions' users are shown to everybody.
    private func countSessions(of user: String, as login: PostgresLogin) throws(HoldfastError) -> Int {
        var count = 0
        for address in everywhere {
            guard let connection = try connect(login, at: address) else {
                throw HoldfastError(
                    .secretConflict, "\(address.text) refuses the password of \(login.user) that readers have",
                    hint: "Run `holdfast secrets reconcile`.")
            }
            let name = try connection.literal(user)
            let rows = try connection.rows(
                "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = \(name)", columns: 1,
                for: "the count of sessions")
            count = max(count, rows.first?[0].flatMap { Int($0) } ?? 0)
        }
        return count
    }

    private func proveRefused(_ login: PostgresLogin) throws(HoldfastError) {
        for address in everywhere {
            var isRefused = false
            for attempt in 1...Self.replayTries where !isRefused {
                try cancellation.check()
                isRefused = try connect(login, at: address) == nil
                if !isRefused, attempt < Self.replayTries { clock.sleep(for: Self.replayNap, unless: cancellation) }
            }
            guard isRefused else {
                throw HoldfastError(
                    .targetFailed, "\(address.text) accepts the old password of \(login.user) still",
                    hint: "If it is a standby, see how far behind it is.", retry: .later)
            }
        }
    }
}
