// holdfast config schema: what can stand in a configuration file.

import ArgumentParser
import Configuring
import Primitives

struct ConfigSchema: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the JSON Schema of the configuration file, or of job files.",
        discussion: """
            Editors complete and check holdfast.yaml and the files of schedules/ with it.

            Examples:

              holdfast config schema > holdfast.schema.json

              holdfast config schema --markdown

              holdfast config schema --jobs > schedule.schema.json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Flag(name: .long, help: "Print the reference of all keys for people instead.")
    var markdown = false

    @Flag(name: .long, help: "Of job files, not of the configuration.")
    var jobs = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let text =
                jobs
                ? (markdown ? ConfigurationReference.jobMarkdown : JSONSchema.jobText)
                : (markdown ? ConfigurationReference.markdown : JSONSchema.text)
            try context.output.line(String(text.dropLast()))
            try context.output.json(
                ConfigSchemaReport(format: markdown ? "markdown" : "json-schema", document: text))
            return .success
        }
    }
}

/// `holdfast.config-schema/1`.
struct ConfigSchemaReport: Encodable {
    let schema = "holdfast.config-schema/1"
    let format: String
    let document: String

    private enum CodingKeys: String, CodingKey { case schema, format, document }
}
