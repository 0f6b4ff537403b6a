// Holds a tree of YAML nodes to the declarations, and keeps what is good with its place.

import Primitives

/// What a key was given, after its check.
enum Value: Sendable {
    case flag(Bool)
    case count(Int)
    case text(String)
    case list([(text: String, position: Position)])
    case items([Item])
    case texts([(name: String, text: String)])
    case section(SectionValue)
    case sections([(name: String, position: Position, value: SectionValue)])
}

/// One of a list that holds texts and sections.
struct Item: Sendable {
    enum Content: Sendable {
        case text(String)
        case section(SectionValue)
    }

    var content: Content
    var position: Position
}

/// The keys of one mapping that were given and are good.
struct SectionValue: Sendable {
    var position: Position
    private(set) var values: [String: (position: Position, value: Value)] = [:]

    init(position: Position) { self.position = position }

    mutating func set(_ name: String, _ value: Value, at position: Position) { values[name] = (position, value) }

    /// Where the key stands, or the section when it does not.
    func position(of key: Key) -> Position { values[key.name]?.position ?? position }

    func has(_ key: Key) -> Bool { values[key.name] != nil }

    func flag(_ key: Key) -> Bool? {
        if case .flag(let flag)? = values[key.name]?.value { flag } else { nil }
    }

    func count(_ key: Key) -> Int? {
        if case .count(let count)? = values[key.name]?.value { count } else { nil }
    }

    func text(_ key: Key) -> String? {
        if case .text(let text)? = values[key.name]?.value { text } else { nil }
    }

    func list(_ key: Key) -> [(text: String, position: Position)]? {
        if case .list(let list)? = values[key.name]?.value { list } else { nil }
    }

    func items(_ key: Key) -> [Item] {
        if case .items(let items)? = values[key.name]?.value { items } else { [] }
    }

    func texts(_ key: Key) -> [(name: String, text: String)] {
        if case .texts(let texts)? = values[key.name]?.value { texts } else { [] }
    }

    func section(_ key: Key) -> SectionValue? {
        if case .section(let section)? = values[key.name]?.value { section } else { nil }
    }

    func sections(_ key: Key) -> [(name: String, position: Position, value: SectionValue)] {
        if case .sections(let sections)? = values[key.name]?.value { sections } else { [] }
    }
}

/// Validates sections against their declarations; problems are collected, and the rest goes on.
struct Validator {
    var problems = ProblemList()

    /// The section in `node`; keys with problems are missing in it.
    mutating func section(_ section: Section, _ node: YAMLNode, in place: String) -> SectionValue {
        var result = SectionValue(position: node.position)
        guard case .mapping(let pairs) = node.content else {
            problems.add(node.position, "\(place) takes keys with values, not \(node.kind)")
            return result
        }
        for pair in pairs {
            // By places: to take a key out of the array copies all of it, which is most of the time with many files.
            guard let key = section.keys.indices.first(where: { section.keys[$0].name == pair.key }) else {
                problems.add(pair.position, Self.unknown(pair.key, section, place))
                continue
            }
            if let value = value(section.keys[key].type, pair.value, of: pair.key) {
                result.set(pair.key, value, at: pair.position)
            }
        }
        // A key that is there and wrong is told of once, not also as missing.
        let given = Set(pairs.map(\.key))
        for key in section.keys.indices where section.keys[key].isRequired && !given.contains(section.keys[key].name) {
            problems.add(node.position, "\(place) has no `\(section.keys[key].name)`")
        }
        for rule in section.rules { check(rule, given, pairs, node.position, place) }
        return result
    }

    private static func unknown(_ name: String, _ section: Section, _ place: String) -> String {
        if name == "<<" { return "merge keys are not supported; use `defaults`" }
        let names = section.keys.map(\.name)
        if let nearest = Nearest.word(to: name, among: names) {
            return "unknown key `\(name)` in \(place); did you mean `\(nearest)`?"
        }
        return "unknown key `\(name)` in \(place); it knows \(names.sorted().joined(separator: ", "))"
    }

    private mutating func check(
        _ rule: Rule, _ given: Set<String>, _ pairs: [YAMLNode.Pair], _ position: Position, _ place: String
    ) {
        func quoted(_ names: [String], _ last: String) -> String {
            names.map { "`\($0)`" }.dropLast().joined(separator: ", ") + " \(last) `\(names.last ?? "")`"
        }
        switch rule {
        case .exactlyOne(let names), .atMostOne(let names):
            let found = pairs.filter { names.contains($0.key) }
            if found.count > 1 {
                problems.add(
                    found[1].position, "\(quoted(found.map(\.key), "and")) contradict each other; give one of them")
            } else if found.isEmpty, case .exactlyOne = rule {
                problems.add(position, "\(place) has neither \(quoted(names, "nor"))")
            }
        case .atLeastOne(let names):
            if given.isDisjoint(with: names) {
                problems.add(position, "\(place) needs at least one of \(quoted(names, "and"))")
            }
        }
    }

    private mutating func value(_ type: ValueType, _ node: YAMLNode, of name: String) -> Value? {
        switch type {
        case .flag: return flag(node, of: name)
        case .count(let range): return count(node, range, of: name)
        case .text(let form): return text(form, node, of: name).map(Value.text)
        case .list(let form, let minimum): return list(form, node, minimum, of: name)
        case .oneOrMore(let form):
            if case .sequence = node.content { return list(form, node, 1, of: name) }
            return text(form, node, of: name).map { .list([($0, node.position)]) }
        case .items(let form, let section): return items(form, section, node, of: name)
        case .texts(let names, let values): return texts(names, values, node, of: name)
        case .section(let section): return .section(self.section(section, node, in: "`\(name)`"))
        case .sections(let names, let section): return sections(names, section, node, of: name)
        }
    }

    private mutating func flag(_ node: YAMLNode, of name: String) -> Value? {
        if case .scalar(let text) = node.content, text == "true" || text == "false" { return .flag(text == "true") }
        problems.add(node.position, "`\(name)` takes true or false, not \(shown(node))")
        return nil
    }

    private mutating func count(_ node: YAMLNode, _ range: ClosedRange<Int>, of name: String) -> Value? {
        if case .scalar(let text) = node.content, let number = Int(text), "\(number)" == text, range.contains(number) {
            return .count(number)
        }
        problems.add(
            node.position,
            "`\(name)` takes a whole number from \(range.lowerBound) to \(range.upperBound), not \(shown(node))")
        return nil
    }

    /// A value as a message may repeat it.
    private func shown(_ node: YAMLNode) -> String {
        guard case .scalar(let text) = node.content else { return node.kind }
        return text.count <= 64 && ClearSecret.refusal(of: text) == nil ? "`\(text)`" : "this text"
    }

    private mutating func text(_ form: TextForm, _ node: YAMLNode, of name: String) -> String? {
        guard case .scalar(let text) = node.content else {
            problems.add(
                node.position,
                "`\(name)` takes \(form.name == "text" ? "a text" : "a text (\(form.doc))"), not \(node.kind)")
            return nil
        }
        if let refusal = ClearSecret.refusal(of: text) {
            problems.add(node.position, "`\(name)`: \(refusal)")
            return nil
        }
        if let refusal = form.refusal(text) {
            problems.add(node.position, "`\(name)`: \(refusal)")
            return nil
        }
        return text
    }

    private mutating func list(_ form: TextForm, _ node: YAMLNode, _ minimum: Int, of name: String) -> Value? {
        guard case .sequence(let nodes) = node.content else {
            problems.add(node.position, "`\(name)` takes a list, not \(node.kind)")
            return nil
        }
        var items: [(text: String, position: Position)] = []
        var isGood = true
        for item in nodes {
            if let text = text(form, item, of: name) { items.append((text, item.position)) } else { isGood = false }
        }
        if nodes.count < minimum {
            problems.add(node.position, "`\(name)` takes a list with at least \(minimum) item")
            return nil
        }
        return isGood ? .list(items) : nil
    }

    private mutating func items(_ form: TextForm, _ section: Section, _ node: YAMLNode, of name: String) -> Value? {
        guard case .sequence(let nodes) = node.content else {
            problems.add(node.position, "`\(name)` takes a list, not \(node.kind)")
            return nil
        }
        var items: [Item] = []
        for item in nodes {
            if case .mapping = item.content {
                let value = self.section(section, item, in: "`\(name)`")
                items.append(Item(content: .section(value), position: item.position))
            } else if let text = text(form, item, of: name) {
                items.append(Item(content: .text(text), position: item.position))
            }
        }
        return .items(items)
    }

    private mutating func texts(_ names: TextForm, _ values: TextForm, _ node: YAMLNode, of name: String) -> Value? {
        guard case .mapping(let pairs) = node.content else {
            problems.add(node.position, "`\(name)` takes names with texts, not \(node.kind)")
            return nil
        }
        var items: [(name: String, text: String)] = []
        for pair in pairs {
            if let refusal = names.refusal(pair.key) { problems.add(pair.position, "`\(name)`: \(refusal)") }
            if let text = text(values, pair.value, of: "\(name).\(pair.key)") { items.append((pair.key, text)) }
        }
        return .texts(items)
    }

    private mutating func sections(
        _ names: TextForm, _ section: Section, _ node: YAMLNode, of name: String
    ) -> Value? {
        guard case .mapping(let pairs) = node.content else {
            problems.add(node.position, "`\(name)` takes names with keys below them, not \(node.kind)")
            return nil
        }
        var items: [(name: String, position: Position, value: SectionValue)] = []
        for pair in pairs {
            if let refusal = names.refusal(pair.key) { problems.add(pair.position, "`\(name)`: \(refusal)") }
            let place = "\(section.name.lowercased()) `\(pair.key)`"
            items.append((pair.key, pair.position, self.section(section, pair.value, in: place)))
        }
        return .sections(items)
    }
}
