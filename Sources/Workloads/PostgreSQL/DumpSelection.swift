// Which entries of an archive a restore takes.

import Primitives

/// Entries of an archive to be restored, in its order.
struct DumpSelection: Sendable {
    var ids: [Int32]
    /// The tables that were asked for; empty when all is taken.
    var tables: [DumpTable] = []
    /// Foreign keys of these tables, which are left out since what they point at may not be there.
    var leftOut: [String] = []

    /// All but the database itself and its properties, which pg_restore takes only together.
    init(allOf items: [DumpItem]) { ids = items.filter { !$0.isOfDatabase }.map(\.id) }

    /// The tables that `names` mean, with their rows, defaults, keys, indexes, triggers, rights, comments and own
    /// sequences.
    ///
    /// - Parameter isMissing: Whether the target lacks a schema, which is then taken too.
    /// - Throws: `.usage` for a name that means no table.
    init(
        tables names: [String], of items: [DumpItem], isMissing: (String) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        var own: [Int32: DumpTable] = [:]
        for name in names {
            let found = items.filter {
                $0.kind == "TABLE" && DumpTable(schema: $0.schema, name: $0.tag).isMeant(by: name)
            }
            guard !found.isEmpty else {
                throw HoldfastError(
                    .usage, "the dump has no table \(name)",
                    hint: "Write schema.name, a part with other characters than letters and digits in double quotes.")
            }
            for item in found { own[item.id] = DumpTable(schema: item.schema, name: item.tag) }
        }
        tables = own.values.sorted()
        var taken = Set(own.keys)
        let sequences = Set(items.filter { $0.kind == "SEQUENCE" }.map(\.id))
        for item in items {
            guard let table = item.needs.lazy.compactMap({ own[$0] }).first else { continue }
            switch item.kind {
            case "DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "RULE", "POLICY", "ROW SECURITY",
                "SEQUENCE OWNED BY":
                // Something of another table can need this one; its tag begins with that one's name.
                let isOther =
                    item.kind != "SEQUENCE OWNED BY" && item.tag != table.name
                    && !item.tag.hasPrefix("\(table.name) ")
                guard !isOther else { continue }
                taken.insert(item.id)
                taken.formUnion(item.needs.filter { sequences.contains($0) })
            case "FK CONSTRAINT": if item.tag.hasPrefix("\(table.name) ") { leftOut.append(item.tag) }
            case "TABLE DATA", "INDEX", "SEQUENCE", "STATISTICS", "STATISTICS DATA": taken.insert(item.id)
            default: break
            }
        }
        for schema in Set(tables.map(\.schema)).sorted() where try isMissing(schema) {
            taken.formUnion(items.filter { $0.kind == "SCHEMA" && $0.tag == schema }.map(\.id))
        }
        let kinds: Set = ["ACL", "COMMENT", "SECURITY LABEL", "SEQUENCE SET"]
        for item in items where kinds.contains(item.kind) && item.needs.contains(where: { taken.contains($0) }) {
            taken.insert(item.id)
        }
        ids = items.map(\.id).filter { taken.contains($0) }
    }

    /// As pg_restore reads it with `--use-list`.
    var list: [UInt8] { Array(ids.map { "\($0);\n" }.joined().utf8) }
}
