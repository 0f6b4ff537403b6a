// What a good file comes to.

import Compression
import Configuring
import Primitives
import Repository
import Testing

enum Samples {
    static let whole = """
        repositories:
          main: {location: /r, password: file:secret, mirrors: [second, dir:/third]}
          other: {location: dir:r2, keyFile: file:/k}
        defaults:
          repository: main
          tier: 2
          rpo: 24h
          excludes: ["*.tmp"]
          tags: {env: test, team: a}
          retention: {daily: 7, within: 30d}
        sources:
          site:
            url: [dir:/srv/site, dir:conf]
            excludes: [cache/]
            tags: {team: b}
            limitWrite: 20M
            compression: zlib:6
          shop:
            repository: other
            command: {dump: [pg_dump, shop], restore: [pg_restore]}
            tier: "1"
            rto: 1h30m
            owner: 'no'
            retention: {last: 3, tags: [keep, a=b], timezone: UTC}
            opensWith: [file:/etc/shop, env:SHOP]
            minSize: 1K
          pipe: {url: "stdin:p.tar", unpack: true}

        """
}

@Suite("A configuration")
struct ConfigurationTests {
    @Test("repositories have absolute places and references")
    func repositories() throws {
        let configuration = try Parsing.configuration(Samples.whole)
        #expect(configuration.defaultRepository == "main")
        let main = try #require(configuration.repository(named: "main"))
        #expect(main.location == "/r")
        #expect(main.opening == .password(.file(path: "/etc/holdfast/secret")))
        #expect(main.mirrors == ["/etc/holdfast/second", "dir:/third"])
        let other = try #require(configuration.repository(named: "other"))
        #expect(other.location == "dir:/etc/holdfast/r2")
        #expect(other.opening == .rawKey(path: "/k"))
    }

    @Test("a source of directories adds its own to the defaults")
    func directories() throws {
        let site = try #require(try Parsing.configuration(Samples.whole).source(named: "site"))
        let urls = ["dir:/srv/site", "dir:/etc/holdfast/conf"].compactMap { SourceURL($0) }
        #expect(site.origin == .urls(urls))
        #expect(site.repository == "main")
        #expect(site.excludes.map(\.text) == ["*.tmp", "cache/"])
        #expect(site.tags == ["env": "test", "team": "b"])
        #expect(site.limitWrite == .mebi(20))
        #expect(site.compression == .zlib(level: 6))
        #expect(site.facts == ["declared.tier": "2", "declared.rpo": "1d"])
        #expect(site.retention?.policy.periods[.daily] == 7)
        #expect(site.retention?.policy.within == .seconds(30 * 86_400))
    }

    @Test("a command has its words, its own rules in place of the defaults', and no exclusions")
    func command() throws {
        let shop = try #require(try Parsing.configuration(Samples.whole).source(named: "shop"))
        #expect(
            shop.origin == .command(.init(dump: ["pg_dump", "shop"], restore: ["pg_restore"], file: "shop")))
        #expect(shop.repository == "other")
        #expect(shop.excludes.isEmpty)
        #expect(shop.minSize == ByteCount(1024))
        #expect(shop.opensWith.map(\.description) == ["file:/etc/shop", "env:SHOP"])
        let facts = ["owner": "no", "tier": "1", "rpo": "1d", "rto": "1h30m"]
        #expect(shop.facts == Dictionary(uniqueKeysWithValues: facts.map { ("declared.\($0)", $1) }))
        let retention = try #require(shop.retention)
        #expect(retention.policy.last == 3)
        #expect(retention.policy.periods[.daily] == 0)
        #expect(retention.policy.tags.map(\.key) == ["keep", "a"])
        #expect(retention.policy.tags.map(\.value) == [nil, "b"])
        #expect(try #require(try Parsing.configuration(Samples.whole).source(named: "pipe")).unpack)
    }

    @Test("aliases stand for what they name")
    func aliases() throws {
        let text = """
            sources:
              a:
                url: dir:/a
                retention: &rules
                  daily: 3
              b:
                url: dir:/b
                retention: *rules

            """
        let configuration = try Parsing.configuration(text)
        #expect(configuration.source(named: "b")?.retention == configuration.source(named: "a")?.retention)
        #expect(configuration.source(named: "b")?.retention?.policy.periods[.daily] == 3)
    }

    @Test("an empty file is a configuration of nothing")
    func empty() throws {
        for text in ["", "# nothing\n", "{}\n"] {
            #expect(try Parsing.configuration(text).sources.isEmpty)
        }
    }

    @Test("an unknown source is told with the nearest one")
    func unknown() throws {
        let configuration = try Parsing.configuration(Samples.whole)
        let error = #expect(throws: HoldfastError.self) { try configuration.requireSource(named: "stie") }
        #expect(error?.message == "c.yaml has no source `stie`; did you mean `site`?")
    }

    @Test("lengths of time are written as they are read", arguments: ["0s", "90s", "1d12h", "8w", "36500d"])
    func lengths(text: String) throws {
        let duration = try #require(Duration(lengthOfTime: text))
        #expect(Duration(lengthOfTime: duration.lengthOfTime) == duration)
    }
}
