// docs/CONFIGURATION.md, from the same declarations as the checks.

/// The reference of all keys.
package enum ConfigurationReference {
    /// docs/CONFIGURATION.md, with a line feed at its end.
    package static var markdown: String { markdown(ConfigurationSchema.file, head) }

    /// docs/JOBS.md, with a line feed at its end.
    package static var jobMarkdown: String { markdown(JobSchema.file, jobHead) }

    private static func markdown(_ root: Section, _ head: [String]) -> String {
        var sections: [Section] = []
        collect(root, &sections)
        var lines = head
        for section in sections { lines += self.lines(of: section) }
        while lines.last == "" { lines.removeLast() }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let head = [
        "# Configuration", "",
        "This page is made by `holdfast config schema --markdown` out of the declarations that the program holds a",
        "file to, and a test compares them. `holdfast config schema` prints the same as JSON Schema, which is",
        "[holdfast.schema.json](holdfast.schema.json).", "",
        "The file is the one that `--config` names, else `HOLDFAST_CONFIG`, else `./holdfast.yaml`, else",
        "`/etc/holdfast/holdfast.yaml`. `holdfast config check` says whether it is good, and what each source comes to",
        "with its defaults. [The guide](guide.md#a-configuration-file) shows how verbs use it.", "",
        "A secret is never written into it: keys that need one take a reference, `file:PATH` or `env:NAME`. What looks",
        "like a secret in clear is refused: a password inside a URL, `password=…`, the word after `--password`.", "",
        "[schedules/holdfast.yaml](../schedules/holdfast.yaml) is a whole file to begin with.", "",
        "Paths that are not absolute go from the file's directory. Anchors and aliases work, up to 100 aliases a file;",
        "merge keys (`<<`) do not. A file is at most 1 MiB of UTF-8.", "",
    ]

    private static let jobHead = [
        "# Job files", "",
        "This page is made by `holdfast config schema --jobs --markdown` out of the declarations that the program",
        "holds a job file to, and a test compares them. `holdfast config schema --jobs` prints the same as JSON",
        "Schema, which is [schedule.schema.json](schedule.schema.json). [SCHEDULING.md](SCHEDULING.md) says how",
        "schedules work.", "",
        "Jobs are the files `*.yaml` of the directory that `--schedules` names, else `HOLDFAST_SCHEDULES`, else",
        "`schedules` beside the configuration file. A file `holdfast.yaml` there is the configuration and no job.",
        "", "[schedules](../schedules/nightly.yaml) holds a set to begin with.", "",
    ]

    private static func collect(_ section: Section, _ sections: inout [Section]) {
        guard !sections.contains(where: { $0.name == section.name }) else { return }
        sections.append(section)
        for key in section.keys {
            switch key.type {
            case .section(let inner), .sections(_, let inner), .items(_, let inner): collect(inner, &sections)
            default: continue
            }
        }
    }

    private static func lines(of section: Section) -> [String] {
        var lines = ["## \(section.name)", "", section.doc, ""]
        lines += ["| key | takes | meaning | where not given |", "|---|---|---|---|"]
        for key in section.keys {
            let absence = key.isRequired ? "**required**" : key.absence ?? "see below"
            lines.append(
                "| `\(key.name)` | \(type(key.type)) | \(key.doc) Example: `\(cell(key.example))` | \(absence) |")
        }
        lines.append("")
        for rule in section.rules { lines += [sentence(rule), ""] }
        return lines
    }

    private static func cell(_ text: String) -> String { text.split(separator: "|").joined(separator: "\\|") }

    private static func sentence(_ rule: Rule) -> String {
        func names(_ names: [String]) -> String { names.map { "`\($0)`" }.joined(separator: ", ") }
        return switch rule {
        case .exactlyOne(let all): "Exactly one of these is given: \(names(all))."
        case .atMostOne(let all): "At most one of these is given: \(names(all))."
        case .atLeastOne(let all): "At least one of these is given: \(names(all))."
        }
    }

    private static func type(_ type: ValueType) -> String {
        switch type {
        case .flag: "`true` or `false`"
        case .count(let range): "a whole number, \(range.lowerBound) to \(range.upperBound)"
        case .text(let form): form.doc
        case .list(let form, _): "a list; each \(form.doc)"
        case .oneOrMore(let form): "one or a list; each \(form.doc)"
        case .items(let form, let section):
            "a list; each \(form.doc), or [keys](#\(section.name.lowercased()))"
        case .texts(let name, let value): "names (\(name.doc)), each with \(value.doc)"
        case .section(let section): "[keys](#\(section.name.lowercased()))"
        case .sections(let name, let section):
            "names (\(name.doc)), each with [keys](#\(section.name.lowercased()))"
        }
    }
}
