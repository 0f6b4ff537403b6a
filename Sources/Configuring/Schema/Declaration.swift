// The words in which the configuration is declared: keys, their types, and what goes with what.

/// A key with everything that is known of it. The validation, the JSON Schema and docs/CONFIGURATION.md come from this.
package struct Key: Sendable {
    var name: String
    var type: ValueType
    /// One or more sentences.
    var doc: String
    /// What holds where the key is not given; a sentence without its end, or a value in backquotes.
    var absence: String?
    /// A value as YAML.
    var example: String
    var isRequired = false
}

/// What a key takes.
indirect enum ValueType: Sendable {
    case flag
    case count(ClosedRange<Int>)
    case text(TextForm)
    case list(of: TextForm, minimum: Int)
    /// A list, or one value in its place.
    case oneOrMore(of: TextForm)
    /// A list whose items are texts or keys of a section.
    case items(of: TextForm, or: Section)
    /// Names of the user's own with texts.
    case texts(name: TextForm, value: TextForm)
    case section(Section)
    /// Names of the user's own with sections.
    case sections(name: TextForm, Section)
}

/// Keys that stand together in one mapping.
struct Section: Sendable {
    /// Its title in the reference, and its name in the JSON Schema.
    var name: String
    var doc: String
    var keys: [Key]
    var rules: [Rule] = []
}

/// What is allowed of several keys of a section.
enum Rule: Sendable {
    case exactlyOne([String])
    case atMostOne([String])
    case atLeastOne([String])
}

/// A kind of text: how it is written and checked.
struct TextForm: Sendable {
    var name: String
    /// How it is written, for the reference.
    var doc: String
    /// A regular expression for the JSON Schema; looser than the check where the check cannot be said in one.
    var pattern: String
    /// Why a text is refused; nil when it is good.
    var refusal: @Sendable (String) -> String?
    /// The text may be a secret by mistake, so it is never repeated.
    var isSecret = false
    /// The only values, when they can be listed.
    var values: [String] = []
}
