// Who gets into a scratch server, and by what: roles of the copy by their passwords, we by being who we are.

import Glibc
import Primitives

/// The rules of a scratch server (`pg_hba.conf`), and its map of users (`pg_ident.conf`).
///
/// Every role of the copy is asked for its password by SCRAM-SHA-256, as the copy's own verifiers have it; nobody is
/// trusted. What looks at the copy comes in as its superuser, without a password that would have to be put into the
/// copy: the kernel tells the server which user of the machine stands at the other end of its socket (`peer`), and two
/// may, we and the one that the server runs as. Only they can get to the socket in the first place.
struct ScratchRules: Sendable {
    private static let map = "holdfast"
    static let scram = "scram-sha-256"

    /// Roles that may be the copy's superuser.
    private(set) var superusers: [String] = []
    /// Users of the machine that may be one of them.
    private var accounts: [String] = []

    /// For nobody.
    init() {}

    /// - Throws: `.targetFailed` where a user of the machine has no name, by which alone the server tells them apart.
    init(_ superusers: [String], servedBy user: ServerUser) throws(HoldfastError) {
        // No line of the rules could hold it.
        self.superusers = superusers.filter { !$0.utf8.contains { $0 == 10 || $0 == 13 } }
        for number in [geteuid(), user.number] {
            guard let entry = getpwuid(number) else {
                throw HoldfastError(
                    .targetFailed,
                    "the user \(number) of this machine has no name, by which a scratch server could tell who asks it",
                    hint: "Add the user to /etc/passwd, or run this as a user that is there.")
            }
            let name = String(cString: entry.pointee.pw_name)
            if !accounts.contains(name) { accounts.append(name) }
        }
    }

    /// `pg_hba.conf`.
    var text: String { text([]) }

    /// The same with a password asked for of `role` by `method`, whoever comes.
    func text(asking role: String, by method: String) -> String { text(["local all \(Self.quoted(role)) \(method)"]) }

    private func text(_ first: [String]) -> String {
        let ours = superusers.map { "local all \(Self.quoted($0)) peer map=\(Self.map)" }
        return (first + ours + ["local all all \(Self.scram)"]).joined(separator: "\n") + "\n"
    }

    /// `pg_ident.conf`.
    var identities: String {
        superusers.flatMap { role in
            accounts.map { "\(Self.map) \(Self.quoted($0)) \(Self.quoted(role))\n" }
        }.joined()
    }

    /// In quotation marks no name is a keyword, a group or a list.
    private static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }
}
