// The keys of policies of rotation.

import Primitives
import SecretVaults
import Workloads

extension ConfigurationSchema {
    static let rotations = Key(
        name: "rotations", type: .sections(name: .name, rotation),
        doc: "Policies of rotation by name: `holdfast rotate NAME` carries one out.", absence: "none",
        example: "{tokens: {source: secrets, secrets: [app/token], period: 30d}}")

    // MARK: What and when

    static let rotatedSource = Key(
        name: "source", type: .text(.name),
        doc: """
            The name of a source of the file whose URL is a vault. Its repository keeps the versions that rotations \
            replace.
            """,
        example: "secrets", isRequired: true)
    static let rotatedSecrets = Key(
        name: "secrets", type: .oneOrMore(of: .secretName), doc: "Names of secrets of that vault.",
        example: "[app/token, app/session]", isRequired: true)
    static let rotationPeriod = Key(
        name: "period", type: .text(.duration), doc: "How long a value is used.", example: "30d", isRequired: true)
    static let rotationWindows = Key(
        name: "windows", type: .list(of: .span, minimum: 1), doc: "Rotations begin inside one of these.",
        absence: "at any time", example: "[Mon..Fri 22:00-04:00]")
    static let rotationZone = Key(
        name: "timeZone", type: .text(.timeZone), doc: "The zone of `windows`.", absence: "`UTC`",
        example: "Europe/Berlin")
    static let rotationJitter = Key(
        name: "jitter", type: .text(.duration),
        doc: "Each secret is put off by less than this, by a delay that depends on its name and vault alone.",
        absence: "`0s`", example: "12h")
    static let rotationAlerts = Key(
        name: "alerts", type: .list(of: .duration, minimum: 1),
        doc: "How long before it is due a secret counts as expiring, and an alert says so, in any order.",
        absence: "`[7d, 3d, 1d]`",
        example: "[14d, 7d, 1d]")

    // MARK: How

    static let rotationStrategy = Key(
        name: "strategy", type: .text(.rotationStrategy),
        doc: "How the new value gets to where it is used; [see there](SECRET_ROTATION_GUIDE.md#strategies).",
        absence: "`value-only`", example: "command")
    static let rotationCommands = Key(
        name: "commands", type: .section(rotationPrograms), doc: "The programs of the strategy `command`.",
        absence: "none", example: "{apply: [/etc/holdfast/set-token], verify: [/etc/holdfast/try-token]}")
    static let rotationPostgres = Key(
        name: "postgres", type: .section(rotationServer),
        doc: "The server of the strategies `dual-user` and `single-user`.", absence: "none",
        example: "{url: 'postgres://rotator@db/shop', users: [shop_a, shop_b], role: shop}")
    static let rotationGenerator = Key(
        name: "generator", type: .section(rotationGeneratorSection), doc: "How new values are made.",
        absence: "40 letters and digits", example: "{length: 32}")
    static let rotationField = Key(
        name: "field", type: .text(.line), doc: "The field of an object that is replaced; the others stay.",
        absence: "the whole value; of an object its one field, or `password`", example: "password")
    static let rotationPublicField = Key(
        name: "publicField", type: .text(.line), doc: "The field that gets the public half of a key pair.",
        absence: "it is not kept", example: "public_key")
    static let rotationGrace = Key(
        name: "grace", type: .text(.duration),
        doc: "How long the old value keeps working after readers get the new one.", absence: "`0s`", example: "1h")
    static let rotationAttempts = Key(
        name: "attempts", type: .count(1...100),
        doc: "How often a step that fails in a way that may pass is tried, before an operator is needed.",
        absence: "`12`", example: "5")

    static let rotation = Section(
        name: "Rotation",
        doc: "When secrets get new values, and how. See [SECRET_ROTATION_GUIDE.md](SECRET_ROTATION_GUIDE.md).",
        keys: [
            rotatedSource, rotatedSecrets, rotationPeriod, rotationWindows, rotationZone, rotationJitter,
            rotationAlerts, rotationStrategy, rotationCommands, rotationPostgres, rotationGenerator, rotationField,
            rotationPublicField,
            rotationGrace, rotationAttempts,
        ])

    // MARK: Programs

    static let applyProgram = program("apply", "Makes the target accept the new value.")
    static let verifyProgram = program("verify", "Says whether the target accepts the value: exits 0 or 65.")
    static let retireProgram = program("retire", "Makes the target refuse the old value, which it gets.")

    private static func program(_ name: String, _ doc: String) -> Key {
        Key(
            name: name, type: .list(of: .argument, minimum: 1), doc: doc, absence: "nothing is run",
            example: "[/etc/holdfast/\(name)-token]")
    }

    static let rotationPrograms = Section(
        name: "RotationCommands",
        doc: "Programs and their arguments, without a shell; each gets a value on its standard input and nowhere else.",
        keys: [applyProgram, verifyProgram, retireProgram], rules: [.atLeastOne(["apply", "verify", "retire"])])

    // MARK: PostgreSQL

    static let serverURL = Key(
        name: "url", type: .text(.postgresURL),
        doc: "The primary, and as whom logins are changed; no password is in it.",
        example: "postgres://rotator@db.example.com/shop", isRequired: true)
    static let serverPassword = Key(
        name: "password", type: .text(.secret), doc: "Where the password of that user is.",
        absence: "libpq's own conventions, such as PGPASSFILE", example: "'file:/etc/holdfast/rotator-password'")
    static let serverUsers = Key(
        name: "users", type: .list(of: .line, minimum: 1),
        doc: "The logins: two for `dual-user`, one for `single-user`.", example: "[shop_a, shop_b]", isRequired: true)
    static let serverRole = Key(
        name: "role", type: .text(.line),
        doc: "The role without a login that both act as, so that both own what either makes.",
        absence: "required with `dual-user`", example: "shop")
    static let serverEndpoints = Key(
        name: "endpoints", type: .list(of: .postgresURL, minimum: 1),
        doc: "Where else a new login must work before readers get it: standbys, poolers.", absence: "none",
        example: "['postgres://replica.example.com/shop']")
    static let serverSessions = Key(
        name: "sessions", type: .text(.oldSessions),
        doc: """
            What becomes of sessions of the old login after the grace: `wait` retires it when they have ended, `keep` \
            leaves them, `end` ends them.
            """,
        absence: "`wait`", example: "end")
    static let serverUserField = Key(
        name: "userField", type: .text(.line), doc: "The field of the secret that names the login.",
        absence: "`username`", example: "user")

    static let rotationServer = Section(
        name: "RotationServer", doc: "A PostgreSQL server whose logins are rotated.",
        keys: [
            serverURL, serverPassword, serverUsers, serverRole, serverEndpoints, serverSessions, serverUserField,
        ])

    // MARK: Generator

    static let generatedLength = Key(
        name: "length", type: .count(8...4096), doc: "So many letters, drawn one by one.", absence: "see there",
        example: "32")
    static let generatedAlphabet = Key(
        name: "alphabet", type: .text(.alphabet), doc: "The letters that `length` draws from.",
        absence: "`A` to `Z`, `a` to `z`, `0` to `9`", example: "abcdefghijklmnopqrstuvwxyz234567")
    static let generatedBytes = Key(
        name: "bytes", type: .count(8...65_536), doc: "So many random bytes.", absence: "see there", example: "32")
    static let generatedEncoding = Key(
        name: "encoding", type: .text(.valueEncoding), doc: "How `bytes` are written.", absence: "`base64`",
        example: "hex")
    static let generatedPair = Key(
        name: "keyPair", type: .text(.keyPair), doc: "A key pair; the value is its private half in PEM, PKCS #8.",
        absence: "see there", example: "ed25519")
    static let generatedOutput = Key(
        name: "command", type: .list(of: .argument, minimum: 1),
        doc: "A program whose output is the value, without a line feed at its end.", absence: "see there",
        example: "[/etc/holdfast/new-token]")

    static let rotationGeneratorSection = Section(
        name: "Generator", doc: "One way to make a value. What can be guessed with fewer than 2^64 tries is refused.",
        keys: [generatedLength, generatedAlphabet, generatedBytes, generatedEncoding, generatedPair, generatedOutput],
        rules: [.exactlyOne(["length", "bytes", "keyPair", "command"])])
}

extension TextForm {
    private static func words(_ name: String, _ values: [String]) -> TextForm {
        TextForm(
            name: name, doc: values.map { "`\($0)`" }.joined(separator: ", "),
            pattern: "^(\(values.joined(separator: "|")))$",
            refusal: { text in
                if values.contains(text) { return nil }
                let nearest = Nearest.word(to: text, among: values).map { "; did you mean `\($0)`?" } ?? ""
                return "expected \(values.joined(separator: ", ")), not `\(text)`\(nearest)"
            }, values: values)
    }

    static let rotationStrategy = words("strategy", ["value-only", "command", "dual-user", "single-user"])
    static let oldSessions = words("sessions", ["wait", "keep", "end"])
    static let postgresURL = TextForm(
        name: "address", doc: "`postgres://[USER@]HOST[:PORT]/DATABASE` without a password",
        pattern: "^postgres(ql)?://.+$"
    ) { text in
        do throws(HoldfastError) {
            _ = try PostgresAddress(text)
            return nil
        } catch {
            return error.message
        }
    }
    static let valueEncoding = words("encoding", ["base64", "hex", "raw"])
    static let keyPair = words("key pair", ["ed25519", "rsa-2048", "rsa-3072", "rsa-4096"])

    static let secretName = TextForm(
        name: "secret", doc: "the name of a secret, such as `app/token`", pattern: #"^[^\n]{1,1024}$"#
    ) { text in
        do throws(HoldfastError) {
            _ = try SecretName(text)
            return nil
        } catch {
            return error.message
        }
    }

    static let alphabet = TextForm(
        name: "alphabet", doc: "2 to 94 printable letters of ASCII, each once", pattern: "^[!-~]{2,94}$"
    ) { text in
        let bytes = Array(text.utf8)
        let isGood =
            (2...94).contains(bytes.count) && Set(bytes).count == bytes.count
            && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return isGood ? nil : "expected 2 to 94 printable letters of ASCII, each once"
    }
}
