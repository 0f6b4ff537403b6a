// Keys of holdfast.yaml about whom alerts are told to.

extension ConfigurationSchema {
    static let notifiers = Key(
        name: "notifiers", type: .sections(name: .name, notifier),
        doc: """
            Whom alerts are told to, by name. One that fails or hangs holds up neither jobs nor the others; \
            `holdfast notify test` tries them.
            """,
        absence: "nobody is told", example: "{chat: {webhook: 'https://chat.example.com/hooks/holdfast'}}")

    static let webhook = Key(
        name: "webhook", type: .text(.webAddress),
        doc: "Post each change of an alert there, as JSON. It is tried three times.", absence: "not done",
        example: "https://chat.example.com/hooks/holdfast")
    static let webhookSecret = Key(
        name: "secret", type: .text(.secret),
        doc: "With what `webhook` is signed; see [Alerts](SCHEDULING.md#alerts).", absence: "it is not signed",
        example: "file:/etc/holdfast/webhook-secret")
    static let notifierCommand = Key(
        name: "command", type: .list(of: .argument, minimum: 1),
        doc: "Run a program with each change of an alert as a line of JSON on its standard input.", absence: "not done",
        example: "[/usr/local/bin/tell-operators]")
    static let severity = Key(
        name: "severity", type: .text(.severity), doc: "Less severe alerts are not told to it.", absence: "`warning`",
        example: "critical")
    static let notifierTimeout = Key(
        name: "timeout", type: .text(.duration), doc: "How long one try may take.", absence: "`10s`", example: "30s")

    static let notifier = Section(
        name: "Notifier", doc: "Who is told, and how.",
        keys: [webhook, webhookSecret, notifierCommand, severity, notifierTimeout],
        rules: [.exactlyOne(["webhook", "command"])])
}
