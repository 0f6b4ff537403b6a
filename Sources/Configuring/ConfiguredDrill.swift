// A plan of a drill as the file declares it.

import Primitives

/// A plan of the file.
package struct ConfiguredDrill: Sendable, Hashable {
    package struct System: Sendable, Hashable {
        package var name: String
        package var source: String
        /// One of the words, or a time.
        package var point: String
        package var after: [String]
        package var checks: [Check]
        package var rpo: Duration?
        package var rto: Duration?
    }

    package struct Question: Sendable, Hashable {
        package var statement: String
        package var database: String?
    }

    package struct Check: Sendable, Hashable {
        package enum Kind: Sendable, Hashable {
            case sql(Question, expect: String?, atLeast: Double?, atMost: Double?)
            case heartbeat(Question, every: Duration?, maxAge: Duration?)
            case command([String], expect: String?)
            case reconcile(left: Question, leftSystem: String, right: Question, rightSystem: String, tolerance: Double)
        }

        package var name: String
        package var kind: Kind
        package var timeout: Duration?
    }

    package var name: String
    /// The repository of all its sources; nil when the file has none.
    package var repository: String?
    package var systems: [System] = []
    package var checks: [Check] = []
    package var directory: String?
    package var disk: ByteCount?
    package var memory: ByteCount?
    package var time: Duration?
    package var rpo: Duration?
    package var rto: Duration?
    package var detect: Duration?
    package var decide: Duration?
    package var cutover: Duration?
    package var approver: String?
}
