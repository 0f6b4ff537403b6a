// Each kind of error, with its place and its words.

import Configuring
import Testing

@Suite("What is wrong with a configuration")
struct ProblemTests {
    static let cases: [(text: String, problems: [String])] = [
        ("sorces: {}\n", ["1:1: unknown key `sorces` in the file; did you mean `sources`?"]),
        (
            "sources: {a: {url: 'dir:/a'}}\ndrills:\n  a: {systems: {a: {}}}\n  d:\n    systems:\n"
                + "      x: {source: b, after: [y]}\n      y: {source: a, after: [x, z]}\n      a: {point: soon}\n",
            [
                "3:3: `drills`: there is a source `a`; give the plan another name",
                "5:5: `after`: these systems wait for each other: `x`, `y`",
                "6:11: there is no source `b`; did you mean `a`?", "7:33: `after`: the plan has no other system `z`",
                "8:18: `point`: expected latest, random, oldest, worst-replay or a time such as "
                    + "2026-11-24T13:00:00Z, not `soon`",
            ]
        ),
        (
            "sources: {a: {url: 'sqlite:/a'}}\ndrills:\n  d:\n    systems:\n      a:\n        checks:\n"
                + "          b: {sql: SELECT 1}\n          c: {sql: SELECT 1, command: [x]}\n"
                + "          e: {command: [x], every: 1s}\n    checks:\n      f: {sql: SELECT 1, expect: 1}\n"
                + "      g: {reconcile: {left: a, leftSQL: SELECT 1, right: q, rightSQL: SELECT 1}}\n",
            [
                "7:11: `sql`: give either `expect`, or `atLeast` or `atMost` or both",
                "8:11: `sql`: give either `expect`, or `atLeast` or `atMost` or both",
                "8:30: `sql` and `command` contradict each other; give one of them",
                "9:29: `every` means nothing for this check",
                "11:7: `sql`: put the check below the system that it asks",
                "12:51: `right`: the plan has no system `q`",
            ]
        ),
        ("x: 1\n", ["1:1: unknown key `x` in the file; it knows defaults, drills, notifiers, repositories, sources"]),
        (
            "sources:\n  a:\n    url: dir:/a\n    ratention: {}\n",
            ["4:5: unknown key `ratention` in source `a`; did you mean `retention`?"]
        ),
        ("sources: [a]\n", ["1:10: `sources` takes names with keys below them, not a list"]),
        ("- a\n", ["1:1: the file takes keys with values, not a list"]),
        ("sources:\n  a: dir:/a\n", ["2:6: source `a` takes keys with values, not a single value"]),
        ("sources:\n  a: {}\n", ["2:6: source `a` has neither `url` nor `command`"]),
        (
            "sources:\n  a:\n    url: dir:/a\n    command: {dump: [b]}\n",
            ["4:5: `url` and `command` contradict each other; give one of them"]
        ),
        ("sources:\n  a: {command: {}}\n", ["2:16: `command` has no `dump`"]),
        ("sources:\n  a: {command: {dump: []}}\n", ["2:23: `dump` takes a list with at least 1 item"]),
        (
            "sources:\n  a: {url: dir:/a, threads: many}\n",
            ["2:29: `threads` takes a whole number from 1 to 256, not `many`"]
        ),
        ("sources:\n  a: {url: dir:/a, threads: 0}\n", ["2:29: `threads` takes a whole number from 1 to 256, not `0`"]),
        (
            "sources:\n  a: {url: dir:/a, excludeCaches: yes}\n",
            ["2:35: `excludeCaches` takes true or false, not `yes`"]
        ),
        ("sources:\n  a: {url: dir:/a, excludes: b}\n", ["2:30: `excludes` takes a list, not a single value"]),
        ("sources:\n  a: {url: dir:/a, excludes: ['[']}\n", ["2:31: `excludes`: the pattern cannot be read"]),
        ("sources:\n  a: {url: dir:/a, tags: [b]}\n", ["2:26: `tags` takes names with texts, not a list"]),
        ("sources:\n  a: {url: dir:/a, owner: }\n", ["2:27: `owner` takes a text, not nothing"]),
        (
            "sources:\n  a: {url: dir:/a, rpo: 1 day}\n",
            ["2:25: `rpo`: expected a duration such as 15m, 12h or 1d12h, not `1 day`"]
        ),
        (
            "sources:\n  a: {url: dir:/a, limitRead: 1e3}\n",
            ["2:31: `limitRead`: expected a size such as 500K, 10M or 1.5G, not `1e3`"]
        ),
        (
            "sources:\n  a: {url: dir:/a, compression: zstd:20}\n",
            ["2:33: `compression`: expected zstd[:1-19], zlib[:1-9], none or auto[:1-19], not `zstd:20`"]
        ),
        (
            "sources:\n  a: {url: 'dri:/a'}\n",
            [
                "2:12: `url`: unknown scheme `dri:`; a source's URL is dir:PATH, stdin:NAME, sqlite:PATH, "
                    + "postgres://USER@HOST/, postgresql://USER@HOST/, pgdump:postgres://USER@HOST/NAME, "
                    + "vault:embedded:PATH, vault:https://HOST/MOUNT, vault:aws:REGION, vault:azure:NAME or "
                    + "raft:https://HOST; did you mean `dir:`?"
            ]
        ),
        (
            "sources:\n  a: {url: /a}\n",
            [
                "2:12: `url`: a source's URL is dir:PATH, stdin:NAME, sqlite:PATH, postgres://USER@HOST/, "
                    + "postgresql://USER@HOST/, pgdump:postgres://USER@HOST/NAME, vault:embedded:PATH, "
                    + "vault:https://HOST/MOUNT, vault:aws:REGION, vault:azure:NAME or raft:https://HOST; "
                    + "for a directory write dir:PATH"
            ]
        ),
        (
            "sources:\n  a: {url: 'vault:http://vault.example/secret'}\n",
            [
                "2:12: `url`: this is no location of a vault: only https:// leaves this machine; http:// is for "
                    + "localhost"
            ]
        ),
        (
            "sources:\n  a: {url: ['dir:/a', 'stdin:b']}\n",
            ["2:23: `url`: stdin: is backed up alone; give it a source of its own"]
        ),
        ("sources:\n  a: {url: ['dir:/a', 'dir:/a']}\n", ["2:23: `url`: the same URL stands here twice"]),
        (
            "sources:\n  a: {url: 'stdin:b', excludes: [c]}\n",
            ["2:23: `excludes` means nothing for streams and commands"]
        ),
        ("sources:\n  a: {url: 'sqlite:/b', unpack: true}\n", ["2:25: `unpack` means nothing for databases"]),
        ("sources:\n  a: {url: 'dir:/b', unpack: true}\n", ["2:22: `unpack` means nothing for directories"]),
        (
            "sources:\n  a: {url: 'dir:/b', retention: {timezone: UTC}}\n",
            [
                "2:33: `retention` needs at least one of `last`, `hourly`, `daily`, `weekly`, `monthly`, `yearly`, "
                    + "`within` and `tags`"
            ]
        ),
        (
            "sources:\n  a/b: {url: 'dir:/b'}\n",
            ["2:3: `sources`: expected a name of letters, digits, `.`, `_` and `-`, not `a/b`"]
        ),
        (
            "repositories: {main: {location: /m}}\ndefaults: {repository: mian}\n",
            ["2:12: there is no repository `mian`; did you mean `main`?"]
        ),
        (
            "repositories:\n  m: {location: /m}\n  n: {location: /n}\nsources:\n  a: {url: 'dir:/a'}\n",
            ["5:3: source `a` does not say which of the repositories it goes to; add `repository`"]
        ),
        ("repositories:\n  m: {}\n", ["2:6: repository `m` has no `location`"]),
        (
            "repositories:\n  m: {location: /m, mirrors: [/m, /n, /n]}\n",
            [
                "2:31: `mirrors`: repository `m` cannot be its own mirror",
                "2:39: `mirrors`: the same location stands here twice",
            ]
        ),
        (
            "repositories:\n  m: {location: /m, password: 'env:A', keyFile: 'file:/k'}\n",
            ["2:40: `password` and `keyFile` contradict each other; give one of them"]
        ),
        ("a: [\n", ["2:1: not valid YAML: while parsing a flow node: did not find expected node content"]),
        ("sources: {}\nsources: {}\n", ["1:1: the key `sources` is given more than once in one mapping"]),
        (
            "a: 1\n---\nb: 2\n",
            ["2:1: not valid YAML: expected a single document in the stream: but found another document"]
        ),
        ("a: *b\n", ["1:4: not valid YAML: found undefined alias"]),
        (
            "defaults: &d {}\nsources:\n  a:\n    <<: *d\n    url: dir:/a\n",
            ["1:14: a file with aliases (line 4) cannot have mappings in braces; write one key a line"]
        ),
        (
            "defaults: &d\n  tier: 1\nsources:\n  a:\n    <<: *d\n    url: dir:/a\n",
            ["5:5: merge keys are not supported; use `defaults`"]
        ),
    ]

    @Test("each error is told with its line, its column and what is right", arguments: cases)
    func problem(text: String, problems: [String]) {
        #expect(Parsing.problems(text) == problems)
    }

    @Test("several errors are told at once, in the order of the file")
    func several() {
        let text = "repositries: {}\nsources:\n  a: {url: 'dir:/a', tier: [1], rto: soon}\n  b: {command: {dum: [c]}}\n"
        let problems = Parsing.problems(text)
        #expect(
            problems.map { String($0.prefix { $0 != " " }) } == ["1:1:", "3:28:", "3:38:", "4:16:", "4:17:"],
            "\(problems)")
    }

    @Test(
        "a secret in clear is refused wherever it stands, and not repeated",
        arguments: [
            "repositories: {m: {location: /m, password: hunter2}}",
            "repositories: {m: {location: 'sftp://u:hunter2@h/p'}}",
            "repositories: {m: {location: /m, mirrors: ['ssh://u:hunter2@h/p']}}",
            "repositories: {m: {location: /m, password: 'hunter2:file'}}",
            "repositories: {m: {location: /m, password: 'vault:hunter2'}}",
            "repositories: {m: {location: /m, keyFile: 'env:hunter2'}}",
            "sources: {a: {url: 'dir://u:hunter2@h/p'}}",
            "sources: {a: {url: 'hunter2://u:hunter2@h/p'}}",
            "sources: {a: {command: {dump: [pg, '--password=hunter2']}}}",
            "sources: {a: {command: {dump: [pg, '--password', hunter2]}}}",
            "sources: {a: {command: {dump: [pg], restore: [pg, 'postgres://u:hunter2@h/d']}}}",
            "sources: {a: {command: {dump: [pg, 'host=h PASSWORD=hunter2']}}}",
            "sources: {a: {url: 'dir:/a', opensWith: [hunter2]}}",
            "sources: {a: {url: 'dir:/a', tags: {b: 'token=hunter2'}}}",
            "sources: {a: {url: 'dir:/a', owner: 'https://u:hunter2@h'}}",
            "sources: {a: {url: 'dir:/a', threads: 'x://u:hunter2@h'}}",
        ])
    func clear(text: String) {
        let problems = Parsing.problems(text)
        #expect(!problems.isEmpty)
        #expect(!problems.joined().contains("hunter2"), "\(problems)")
    }

    @Test("a reference to a vault is told to come later")
    func vault() {
        #expect(
            Parsing.problems("sources: {a: {url: 'dir:/a', opensWith: ['vault:kv/shop#password']}}") == [
                "1:42: `opensWith`: references to a vault are not supported yet; use file:PATH or env:NAME"
            ])
    }

    @Test("bytes that are not UTF-8 are told at their place")
    func notUTF8() {
        #expect(Parsing.problems(Array("a: ü\nb: ".utf8) + [0xFF]) == ["2:4: the text is not UTF-8"])
    }

    @Test("a file over 1 MiB is refused, one of 1 MiB is read")
    func size() {
        let comment = [UInt8](repeating: UInt8(ascii: "#"), count: 1 << 20)
        #expect(Parsing.problems(comment) == [])
        #expect(Parsing.problems(comment + [0x23]) == ["1:1: the file is larger than 1.0 MiB"])
    }

    @Test(
        "a bomb of aliases is refused soon, wherever brackets, quotes and comments hide it",
        arguments: [
            #""k" :*NEXT"#, #""k":*NEXT"#, "'k'  :*NEXT", "\"k\" :\n   *NEXT", "?*NEXT", "?[*NEXT]", "? *NEXT : x",
            "[*NEXT]: x", "[*NEXT]\n  : x", "k: *NEXT", "\"k\" #c\n  :*NEXT",
        ])
    func hiddenBomb(_ form: String) {
        // All aliases have the form, so that one that is taken for something else hides all.
        var text = "a0: &a0 [x, y]\n"
        for level in 1...26 {
            let pair = form.replacing("NEXT", with: "a\(level - 1)")
            text += "a\(level): &a\(level) [\(pair), \(pair)]\n"
        }
        let found = Parsing.problems(text + "? [\(form.replacing("NEXT", with: "a26"))]\n: x\n")
        #expect(found.count == 1 && found.first?.contains("key") == true, "\(found)")
    }

    @Test("an ampersand and asterisks that have nothing to do with each other are no aliases")
    func ampersands() {
        for text in [
            "backup: {}\nwhen: {calendar: Mon *-*-1}\ncommand: [sh, -c, 'a && b &c']\n",
            "a: {b: 'x & y'}\nc: '*-*-* *:30'\n", "a: &b c\nd: {e: 'Mon *-*-1'}\n",
        ] {
            let found = Parsing.problems(text)
            #expect(!found.contains { $0.contains("alias") || $0.contains("single word") }, "\(found)")
        }
    }

    @Test("a bomb of aliases is refused soon, as values and as keys")
    func bomb() {
        var text = "a0: &a0\n  - x\n"
        for level in 1...24 {
            text += "a\(level): &a\(level)\n" + String(repeating: "  - *a\(level - 1)\n", count: 4)
        }
        let problems = Parsing.problems(text)
        #expect(problems.count == 1 && problems[0].hasSuffix("the file holds more than 50000 values"), "\(problems)")
        for key in [
            "? *a24\n: x\n", "*a24 : x\n", "b: {*a24, c}\n", "[*a24]: x\n", "b: {? *a24 : x}\n", "[*a24] : x\n",
        ] {
            let found = Parsing.problems(text + key)
            #expect(found.count == 1 && found[0].contains("key"), "\(key): \(found)")
        }
        let many = "a: &a b\nc:\n" + String(repeating: "  - *a\n", count: 101)
        #expect(Parsing.problems(many) == ["103:5: more than 100 aliases"])
    }

    @Test("values that lie too deep are refused")
    func depth() {
        let text = "a: " + String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(Parsing.problems(text) == ["1:35: values lie more than 32 deep"])
    }

    @Test("no cut and no turned bit of a good file makes the reader trap")
    func damaged() {
        let good = Array(Samples.whole.utf8)
        for length in good.indices { _ = Parsing.read(Array(good[..<length])) }
        for index in good.indices {
            var bytes = good
            bytes[index] ^= UInt8(1 << (index % 8))
            _ = Parsing.read(bytes)
        }
    }
}
