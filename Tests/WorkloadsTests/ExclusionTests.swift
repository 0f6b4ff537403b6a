// Patterns over paths that need not be text.

import Primitives
import Repository
import TestSupport
import Testing
import Workloads

@Suite("exclusions and filters")
struct ExclusionTests {
    /// Patterns, path, whether it is a directory, whether it is left out.
    static let table: [(patterns: [String], path: String, isDirectory: Bool, isExcluded: Bool)] = [
        (["*.o"], "a.o", false, true), (["*.o"], "deep/down/a.o", false, true), (["*.o"], "a.oo", false, false),
        (["*.o"], "o", false, false), (["*"], "anything", false, true), (["a*b*c"], "aXbYc", false, true),
        (["a*b*c"], "aXbY", false, false), (["a*a*a*a*b"], "aaaaaaaaaaaaaaaaaaaaaaaa", false, false),
        (["?.txt"], "a.txt", false, true), (["?.txt"], "ab.txt", false, false), (["?"], "a/b", false, true),
        (["[a-c]x"], "bx", false, true), (["[a-c]x"], "dx", false, false), (["[!a-c]x"], "dx", false, true),
        (["[^a-c]x"], "bx", false, false), (["[]]"], "]", false, true), (["[a-]"], "-", false, true),
        (["[\\]x]"], "]", false, true), (["\\*"], "*", false, true), (["\\*"], "a", false, false),
        (["/top"], "top", false, true), (["/top"], "a/top", false, false), (["top"], "a/top", false, true),
        (["a/b"], "a/b", false, true), (["a/b"], "c/a/b", false, false), (["**/a/b"], "c/a/b", false, true),
        (["**/a/b"], "a/b", false, true), (["a/**/b"], "a/b", false, true), (["a/**/b"], "a/x/y/b", false, true),
        (["a/**/b"], "a/x/y/c", false, false), (["a/**"], "a/x", false, true), (["a/**"], "a", true, false),
        (["a/*"], "a/x", false, true), (["a/*"], "a/x/y", false, false), (["a/*/c"], "a/b/c", false, true),
        (["build/"], "build", true, true), (["build/"], "build", false, false), (["build/"], "x/build", true, true),
        (["*.log", "!keep.log"], "keep.log", false, false), (["*.log", "!keep.log"], "other.log", false, true),
        (["!keep.log", "*.log"], "keep.log", false, true), (["/a/"], "a", true, true), (["**"], "a", false, true),
        (["\\!x"], "!x", false, true), (["\\#x"], "#x", false, true), (["A"], "a", false, false),
    ]

    @Test("each pattern decides as gitignore does", arguments: table.indices)
    func patterns(_ index: Int) throws {
        let row = Self.table[index]
        var exclusions = Exclusions()
        for pattern in row.patterns { try exclusions.add(pattern: pattern) }
        #expect(
            exclusions.excludes(bytes(row.path), isDirectory: row.isDirectory) == row.isExcluded,
            "\(row.patterns) over \(row.path)")
    }

    @Test("bytes that are not text match by bytes")
    func binary() throws {
        var exclusions = Exclusions()
        try exclusions.add(pattern: bytes("x") + [0xFF, UInt8(ascii: "*")])
        #expect(exclusions.excludes(bytes("x") + [0xFF, 0xFE], isDirectory: false))
        #expect(!exclusions.excludes(bytes("x") + [0xFE, 0xFF], isDirectory: false))
        var any = Exclusions()
        try any.add(pattern: "?")
        #expect(any.excludes([0xC3], isDirectory: false))
    }

    @Test("a pattern file skips blanks and comments, and survives the way into a snapshot and back")
    func file() throws {
        var exclusions = Exclusions()
        try exclusions.add(file: bytes("# comment\n\n*.o  \r\n/cache/\n!keep.o\n\\#odd\n"))
        #expect(exclusions.patterns == ["*.o", "/cache/", "!keep.o", "\\#odd"].map(bytes))
        var copy = Exclusions()
        for pattern in exclusions.patterns { try copy.add(pattern: pattern) }
        #expect(copy == exclusions)
    }

    @Test("patterns that cannot be read are refused", arguments: ["", "/", "[a", "a\\", "!", "a\0b"])
    func broken(_ pattern: String) {
        var exclusions = Exclusions()
        #expect(throws: HoldfastError.self) { try exclusions.add(pattern: pattern) }
    }

    @Test("a filter takes what is included and what lies in it, looks into other directories, and leaves the excluded")
    func filter() throws {
        let filter = try PathFilter(include: [bytes("/a/b"), bytes("*.conf")], exclude: [bytes("*.tmp")])
        #expect(filter.decision(bytes("a"), isDirectory: true) == .descend)
        #expect(filter.decision(bytes("a/b"), isDirectory: true) == .include)
        #expect(filter.decision(bytes("a/b/c/d"), isDirectory: false) == .include)
        #expect(filter.decision(bytes("a/b/c/d.tmp"), isDirectory: false) == .excludeAll)
        #expect(filter.decision(bytes("z/x.conf"), isDirectory: false) == .include)
        #expect(filter.decision(bytes("z/x"), isDirectory: false) == .excludeAll)
        #expect(PathFilter().decision(bytes("x"), isDirectory: false) == .include)
    }

    @Test("excluded things and tagged caches are not listed; a false tag hides nothing")
    func listing() throws {
        let root = TemporaryDirectory()
        #expect(
            shell(
                """
                mkdir -p cache/deep false a/build; touch cache/x a/y.o a/z a/build/w false/kept
                printf 'Signature: 8a477f597d28d172789f06886806bc55 etc' > cache/CACHEDIR.TAG
                printf 'Signature: 8a477f597d28d172789f06886806bc56 etc' > false/CACHEDIR.TAG; cp cache/CACHEDIR.TAG .
                """, in: root.path) == 0)
        var options = TreeReaderOptions()
        options.exclusions.excludesCaches = true
        try options.exclusions.add(pattern: "*.o")
        try options.exclusions.add(pattern: "build/")
        let picture = try TreePicture(root.path, options)
        #expect(
            picture.paths == [
                "CACHEDIR.TAG", "a", "a/z", "cache", "cache/CACHEDIR.TAG", "false", "false/CACHEDIR.TAG", "false/kept",
            ])
    }
}
