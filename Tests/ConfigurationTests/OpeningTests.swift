// `opensWith`: secrets of vaults beside references.

import Configuring
import SecretVaults
import Testing

@Suite("Secrets that open what is backed up")
struct OpeningTests {
    private static let vault = "  secrets: {url: 'vault:embedded:v'}\n"

    private static func problems(_ shop: String, _ rest: String = vault) -> [String] {
        Parsing.problems("sources:\n  shop: \(shop)\n\(rest)")
    }

    @Test("stand beside references, and may name a vault that comes later in the file")
    func whole() throws {
        let configuration = try Parsing.configuration(
            """
            sources:
              shop:
                url: postgres://backup@db/
                opensWith:
                  - file:key
                  - {vault: secrets, secret: app/database, role: app, database: shop}
                  - {vault: secrets, secret: app/all, field: api, role: api, database: shop}
              secrets: {url: 'vault:embedded:v'}

            """)
        let shop = try #require(configuration.source(named: "shop"))
        #expect(shop.opensWith.map(\.description) == ["file:/etc/holdfast/key"])
        #expect(
            shop.openings.map(\.description) == [
                "secrets:app/database as app in shop", "secrets:app/all#api as api in shop",
            ])
        let secrets = try #require(configuration.source(named: "secrets"))
        #expect(secrets.vaultAddress == .embedded(path: "/etc/holdfast/v") && shop.vaultAddress == nil)
    }

    @Test("are told with their places when they are wrong")
    func wrong() {
        let good = "role: a, database: d"
        #expect(
            Self.problems("{url: 'postgres://h/', opensWith: [{vault: secret, secret: s, \(good)}]}") == [
                "2:45: `vault`: there is no source `secret`; did you mean `secrets`?"
            ])
        #expect(
            Self.problems("{url: 'postgres://h/', opensWith: [{vault: shop, secret: s, \(good)}]}") == [
                "2:45: `vault`: the source `shop` is no vault"
            ])
        #expect(
            Self.problems("{url: 'dir:/a', opensWith: [{vault: secrets, secret: s, \(good)}]}") == [
                "2:37: `opensWith`: a secret of a vault opens PostgreSQL alone; write file:PATH or env:NAME"
            ])
        #expect(
            Self.problems("{url: 'pgdump:postgres://h/b', opensWith: [{vault: secrets, secret: s, \(good)}]}") == [
                "2:89: `database`: the source is of `b` alone, so that no restore of it has `d`"
            ])
        let one = "{vault: secrets, secret: s, \(good)}"
        #expect(
            Self.problems("{url: 'pgdump:postgres://h/d', opensWith: [\(one), \(one)]}") == [
                "2:103: `opensWith`: the same secret stands here twice for one role and database"
            ])
        #expect(
            Self.problems("{url: 'postgres://h/', opensWith: [{vault: secrets, sekret: s, role: a}]}") == [
                "2:44: `opensWith` has no `database`", "2:44: `opensWith` has no `secret`",
                "2:61: unknown key `sekret` in `opensWith`; did you mean `secret`?",
            ])
    }

    @Test("need their vault in the same repository, where a drill finds both")
    func otherRepository() {
        let text = """
            repositories: {a: {location: /a}, b: {location: /b}}
            defaults: {repository: a}
            sources:
              shop: {url: 'postgres://h/', opensWith: [{vault: secrets, secret: s, role: a, database: d}]}
              secrets: {url: 'vault:embedded:v', repository: b}

            """
        #expect(
            Parsing.problems(text) == [
                "4:45: `vault`: `secrets` goes to another repository than `shop`, so that neither can be drilled with "
                    + "the other"
            ])
    }
}
