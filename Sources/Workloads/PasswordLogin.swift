// Whoever can show that a password opens a database.

import Primitives

/// A source or a scratch server that roles log in to by passwords.
package protocol PasswordLogin: Sendable {
    /// Logs in with a connection of its own, asks who it is, and ends it.
    ///
    /// Returns only when the server asked for the password, and took this one. The password is in no argument, no
    /// variable of the environment, no log and no failure.
    /// - Throws: `.accessDenied` when the server refuses it, or lets the role in without asking; `.sourceFailed` and
    ///   `.interrupted` as other sessions do.
    func logIn(
        as role: String, to database: String, with password: SecretBytes, _ context: WorkloadContext
    ) throws(HoldfastError)
}
