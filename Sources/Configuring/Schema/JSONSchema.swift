// The JSON Schema of the configuration, for editors and for other programs' checks.

import Primitives

/// JSON with keys in the order in which they were given.
indirect enum JSONTree {
    case flag(Bool)
    case number(Int)
    case text(String)
    case array([JSONTree])
    case object([(String, JSONTree)])

    /// Indented by two spaces, without a line feed at the end.
    func rendered(_ indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .flag(let flag): return flag ? "true" : "false"
        case .number(let number): return "\(number)"
        case .text(let text): return Self.quoted(text)
        case .array(let items):
            if items.isEmpty { return "[]" }
            return "[\n" + items.map { inner + $0.rendered(inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let pairs):
            if pairs.isEmpty { return "{}" }
            let lines = pairs.map { "\(inner)\(Self.quoted($0.0)): \($0.1.rendered(inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20: result += "\\u00" + Hex.encode([UInt8(scalar.value)])
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// JSON Schema, draft 2020-12.
///
/// What a schema cannot say well is looser there than in the program: names that must exist, time zones, secrets in
/// clear, keys that mean nothing for a source's URL.
package enum JSONSchema {
    /// The schema of the configuration as a file, with a line feed at its end.
    package static var text: String { text(ConfigurationSchema.file, title: "holdfast.yaml") }

    /// The schema of a job file.
    package static var jobText: String { text(JobSchema.file, title: "a job of Holdfast") }

    private static func text(_ root: Section, title: String) -> String {
        var definitions: [(String, JSONTree)] = []
        let file = section(root, &definitions)
        guard case .object(let own) = file else { return "" }
        let head: [(String, JSONTree)] = [
            ("$schema", .text("https://json-schema.org/draft/2020-12/schema")),
            ("title", .text(title)),
        ]
        let sorted = definitions.sorted { $0.0 < $1.0 }
        return JSONTree.object(head + own + [("$defs", .object(sorted))]).rendered() + "\n"
    }

    private static func section(_ section: Section, _ definitions: inout [(String, JSONTree)]) -> JSONTree {
        var properties: [(String, JSONTree)] = []
        for key in section.keys {
            var parts: [(String, JSONTree)] = [("description", .text(description(of: key)))]
            if case .object(let own) = type(key.type, &definitions) { parts += own }
            properties.append((key.name, .object(parts)))
        }
        var parts: [(String, JSONTree)] = [
            ("description", .text(section.doc)), ("type", .text("object")), ("properties", .object(properties)),
            ("additionalProperties", .flag(false)),
        ]
        let required = section.keys.filter(\.isRequired).map(\.name)
        if !required.isEmpty { parts.append(("required", .array(required.map(JSONTree.text)))) }
        for rule in section.rules { parts.append(self.rule(rule)) }
        return .object(parts)
    }

    private static func description(of key: Key) -> String {
        key.absence.map { "\(key.doc) Where not given: \($0)." } ?? key.doc
    }

    private static func rule(_ rule: Rule) -> (String, JSONTree) {
        func required(_ names: [String]) -> JSONTree { .object([("required", .array(names.map(JSONTree.text)))]) }
        switch rule {
        case .exactlyOne(let names): return ("oneOf", .array(names.map { required([$0]) }))
        case .atMostOne(let names):
            let pairs = names.indices.flatMap { one in
                names[(one + 1)...].map { required([names[one], $0]) }
            }
            return ("not", pairs.count == 1 ? pairs[0] : .object([("anyOf", .array(pairs))]))
        case .atLeastOne(let names): return ("anyOf", .array(names.map { required([$0]) }))
        }
    }

    private static func type(_ type: ValueType, _ definitions: inout [(String, JSONTree)]) -> JSONTree {
        switch type {
        case .flag: return .object([("type", .text("boolean"))])
        case .count(let range):
            return .object([
                ("type", .text("integer")), ("minimum", .number(range.lowerBound)),
                ("maximum", .number(range.upperBound)),
            ])
        case .text(let form): return text(form)
        case .list(let form, let minimum): return list(form, minimum)
        case .oneOrMore(let form): return .object([("anyOf", .array([text(form), list(form, 1)]))])
        case .items(let form, let section):
            let item = JSONTree.object([("anyOf", .array([text(form), reference(section, &definitions)]))])
            return .object([("type", .text("array")), ("items", item)])
        case .texts(let name, let value):
            return .object([
                ("type", .text("object")), ("propertyNames", pattern(name)), ("additionalProperties", text(value)),
            ])
        case .section(let section): return reference(section, &definitions)
        case .sections(let name, let section):
            return .object([
                ("type", .text("object")), ("propertyNames", pattern(name)),
                ("additionalProperties", reference(section, &definitions)),
            ])
        }
    }

    private static func reference(_ section: Section, _ definitions: inout [(String, JSONTree)]) -> JSONTree {
        let name = section.name.lowercased()
        if !definitions.contains(where: { $0.0 == name }) {
            let own = self.section(section, &definitions)
            definitions.append((name, own))
        }
        return .object([("$ref", .text("#/$defs/\(name)"))])
    }

    private static func pattern(_ form: TextForm) -> JSONTree { .object([("pattern", .text(form.pattern))]) }

    /// The program takes a scalar by its letters, so that a tier can be written as 1; the pattern binds texts alone.
    private static func text(_ form: TextForm) -> JSONTree {
        .object([
            ("type", .array([.text("string"), .text("number"), .text("boolean")])), ("pattern", .text(form.pattern)),
        ])
    }

    private static func list(_ form: TextForm, _ minimum: Int) -> JSONTree {
        .object([("type", .text("array")), ("minItems", .number(minimum)), ("items", text(form))])
    }
}
