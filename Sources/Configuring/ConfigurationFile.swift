// The one way from a file to a configuration.

import Primitives

/// What reading a file gave: a configuration, or all that is wrong with it.
package enum ConfigurationReading: Sendable {
    case good(Configuration)
    case bad([Problem])
}

/// Reads `holdfast.yaml`.
package enum ConfigurationFile {
    /// Reads and checks the file at `path`.
    ///
    /// - Parameter checkPattern: Says why a pattern of exclusions is refused; nil for a good one.
    /// - Throws: `.configuration` when the file cannot be opened or is too large.
    package static func read(
        _ path: String, checkPattern: (String) -> String?
    ) throws(HoldfastError) -> ConfigurationReading {
        // One byte more than is allowed, so that the reader can say that it is too large.
        let bytes = try InputFile.read(path, limit: ByteCount(UInt64(YAMLReader.maximumBytes) + 1))
        let place = KeptFile.place(of: path)
        return parse(bytes, path: place.shown, directory: place.directory, checkPattern: checkPattern)
    }

    /// - Parameter directory: Where relative paths go from; without a closing slash.
    package static func parse(
        _ bytes: [UInt8], path: String, directory: String, checkPattern: (String) -> String?
    ) -> ConfigurationReading {
        var validator = Validator()
        let root = YAMLReader.read(bytes, &validator.problems)
        guard validator.problems.inOrder.isEmpty else { return .bad(validator.problems.inOrder) }
        let empty = YAMLNode(position: Position(line: 1, column: 1), content: .mapping([]))
        let file = validator.section(ConfigurationSchema.file, root ?? empty, in: "the file")
        return withoutActuallyEscaping(checkPattern) { checkPattern in
            var builder = ConfigurationBuilder(
                path: path, directory: directory, checkPattern: checkPattern, problems: validator.problems)
            let configuration = builder.build(file)
            let problems = builder.problems.inOrder
            return problems.isEmpty ? .good(configuration) : .bad(problems)
        }
    }
}
