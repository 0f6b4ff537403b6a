// What a restore of dumped PostgreSQL databases takes, and what it may drop.

import ArgumentParser
import Primitives
import Workloads

/// Options that go with `--to pgdump:…` alone.
struct DumpRestoreOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With pgdump:, the database of the snapshot that is restored.",
            discussion: "Without it the only one, or the one that is called as the target.", valueName: "name"))
    var database: String?

    @Option(
        name: .customLong("table"),
        help: ArgumentHelp(
            "With pgdump:, restore this table into an existing database; may be given again.",
            discussion: "With rows, keys, indexes, rights and own sequences, without foreign keys.",
            valueName: "schema.name"))
    var tables: [String] = []

    @Flag(
        name: .long,
        help: ArgumentHelp(
            "With pgdump:, replace the database or table that stands in the way.",
            discussion: "With raft:, restore the storage of another cluster, which its unseal keys open."))
    var replace = false

    /// - Throws: `.usage` when they are given with another target.
    func apply(to options: inout WorkloadOptions, target: any Workload) throws(HoldfastError) {
        let isDump = target is DumpWorkload
        guard isDump || (database == nil && tables.isEmpty && (!replace || target is RaftWorkload)) else {
            throw HoldfastError(
                .usage,
                "--database, --table and --replace go with --to pgdump:postgres://…, --replace with raft: as well",
                hint: "Leave them out.")
        }
        options.database = database
        options.tables = tables
        options.replaces = replace
    }
}
