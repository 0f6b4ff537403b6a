// Secrets in what programs print.

import Primitives
import TestSupport
import Testing

@Suite("The scrubber of secrets")
struct SecretScrubberTests {
    private func secret(_ text: String) -> SecretBytes {
        var bytes = Array(text.utf8)
        return SecretBytes(wiping: &bytes)
    }

    @Test("takes out known secrets wherever they stand, and leaves short ones that are everywhere")
    func known() {
        let scrubber = SecretScrubber(known: [secret("hunter2-long"), secret("ab")])
        #expect(scrubber.scrub("xhunter2-longy hunter2-long cab") == "x[redacted]y [redacted] cab")
    }

    @Test("learns of secrets that come later, in every copy of it, and forgets none")
    func learned() {
        let scrubber = SecretScrubber(known: [secret("hunter2-long")])
        let copy = scrubber
        for text in ["second-one", "third-one", "second-one"] {
            scrubber.learn(from: SecretScrubber(known: [secret(text), secret("ab")]))
        }
        #expect(copy.scrub("hunter2-long second-one third-one cab") == "[redacted] [redacted] [redacted] cab")
    }

    @Test(
        "takes out what looks like a secret",
        arguments: [
            ("password=geheim next", "password=[redacted] next"),
            ("PGPASSWORD=geheim", "PGPASSWORD=[redacted]"),
            ("{\"token\": \"ge heim\", \"a\": 1}", "{\"token\": \"[redacted]\", \"a\": 1}"),
            ("db_password_1: geheim\nb", "db_password_1: [redacted]\nb"),
            ("Authorization: Bearer geheim heim\nHost: x", "Authorization: [redacted]\nHost: x"),
            ("postgres://user:ge/he@im@host/db", "postgres://user:[redacted]@host/db"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\ngeheim\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
            ("-----BEGIN PRIVATE KEY-----\ngeheim", "[redacted]"),
        ])
    func looks(_ text: String, _ clean: String) { #expect(SecretScrubber().scrub(text) == clean) }

    @Test(
        "takes no more time for a byte of a text that is made to be slow than for one of any other",
        arguments: ["://", "://a:", "://a:b@", "password", "password ", "-----BEGIN ", "token=\"", "token:"])
    func hostile(_ piece: String) {
        // Were it by the square, none of these would come to an end.
        let text = String(repeating: piece, count: (32 << 10) / piece.utf8.count)
        #expect(!SecretScrubber().scrub(text).isEmpty)
    }

    @Test(
        "finds secrets behind what looks like the beginning of one",
        arguments: [
            ("passwordtoken=geheim", "passwordtoken=[redacted]"),
            ("secret secret: geheim", "secret secret: [redacted]"),
            ("-----BEGIN x\n-----BEGIN PRIVATE KEY-----\ngeheim", "-----BEGIN x\n[redacted]"),
            ("a://b/://u:geheim@h c://u:geheim@h", "a://b/://u:[redacted]@h c://u:[redacted]@h"),
            ("a://h/x \"b://u:geheim@h\"", "a://h/x \"b://u:[redacted]@h\""),
        ])
    func nested(_ text: String, _ clean: String) { #expect(SecretScrubber().scrub(text) == clean) }

    @Test(
        "leaves other text alone",
        arguments: [
            "the password was wrong", "token", "https://host:80/a?b=c", "read 5 secrets", "",
            "-----BEGIN CERTIFICATE-----",
            "password of the repository",
        ])
    func plain(_ text: String) { #expect(SecretScrubber().scrub(text) == text) }
}
