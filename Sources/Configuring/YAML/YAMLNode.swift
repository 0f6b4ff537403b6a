// A YAML document as a tree that knows where everything stands.

/// One node. Scalars are text as it is written: their type comes from the key that they belong to.
struct YAMLNode: Sendable {
    enum Content: Sendable {
        /// No value, `~` or `null`.
        case nothing
        case scalar(String)
        case sequence([YAMLNode])
        case mapping([Pair])
    }

    struct Pair: Sendable {
        var key: String
        var position: Position
        var value: YAMLNode
    }

    var position: Position
    var content: Content

    /// What it is, with an article.
    var kind: String {
        switch content {
        case .nothing: "nothing"
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}
