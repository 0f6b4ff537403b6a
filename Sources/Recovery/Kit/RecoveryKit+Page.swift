// The page of a recovery kit.

import Primitives
import Printing
import Repository

extension RecoveryKit {
    /// The page. It holds no secret but the kit's own key.
    package var page: PrintedDocument {
        let letters = RecoveryKeyText.letters(of: key)
        let secret = PrintedSecret(
            letters, perLine: RecoveryKeyText.lineLetters, perGroup: RecoveryKeyText.groupLetters)
        var blocks: [PrintedDocument.Block] = [
            .paragraph(
                "Whoever holds this page can \(power). Keep it in a safe, apart from the machines "
                    + "that it recovers and from the repository; keep a second one at another place."),
            .facts(facts),
            .heading("Recovery key"),
            .secret(secret),
            .paragraph(
                "Large or small letters and spaces do not matter. The letters I, L, O and U do not occur; typed "
                    + "for 1, 0 and V they count as these. Each line is checked by itself, and a mistake is told with "
                    + "its line. The QR code holds the same 64 letters: read it without a network, not in a browser, "
                    + "not with a telephone that keeps pictures elsewhere."),
            .heading("To recover on a bare machine"),
            .paragraph(
                "Install holdfast \(toolVersion) or newer (the repository has format \(FormatObject.version)). Make "
                    + "the place of the repository reachable: \(place). Nothing else is needed, no configuration, no "
                    + "state of the machine that was lost. Then type into bash, in a directory with room for data:"),
            .commands(commands(location)),
            .paragraph(
                "The second command waits for the four lines of the recovery key: close the last with Enter and press "
                    + "Ctrl-D. What comes back as a database's own files is described in docs/DATABASES.md."),
        ]
        if !mirrors.isEmpty {
            blocks.append(.paragraph("When that place is gone too, name a mirror in the first command instead:"))
            blocks.append(.commands(mirrors.map { Self.lines(["export", "HOLDFAST_REPO=\($0)"]) }))
        }
        blocks += [
            .heading("To verify, every few months"),
            .paragraph(
                "On any machine that reaches the repository; the key is asked for line by line, and stays nowhere. The "
                    + "command opens the slot, reads the newest snapshot and a piece of its data, and says when the "
                    + "slot was removed or its key changed: then destroy the page and make a new one."),
            .commands([Self.lines(["holdfast", "--repo", location, "recovery-kit", "verify"])]),
            .heading("Key slots on \(date)"),
            .facts(slots.map(fact)),
            .paragraph(
                "To take this page's power away: holdfast keys remove \(slot.description.prefix(8)), by an admin."),
        ]
        return PrintedDocument(
            title: "Holdfast recovery kit \(number)",
            foot: "Holdfast recovery kit \(number) - repository \(repository) - \(date)", blocks: blocks)
    }

    private var power: String {
        role == .admin
            ? "read and delete every backup in the repository, and hand out keys to it"
            : "read every backup in the repository"
    }

    private var date: String { String(made.description.prefix(10)) }

    /// What must be there before the first command.
    private var place: String {
        "it is a directory that \(PaperText.plain(host)) knew as \(PaperText.plain(location)), so mount its disk, and "
            + "name the path at which it is mounted"
    }

    private var facts: [PrintedDocument.Fact] {
        var facts = [PrintedDocument.Fact("Repository", repository.description)]
        facts.append(.init("Location", PaperText.plain(location)))
        for (number, mirror) in mirrors.enumerated() {
            facts.append(.init(mirrors.count == 1 ? "Mirror" : "Mirror \(number + 1)", PaperText.plain(mirror)))
        }
        facts.append(.init("Format", "\(FormatObject.version), made by holdfast \(toolVersion)"))
        facts.append(.init("This slot", "\(slot), role \(role)"))
        facts.append(.init("Printed", "\(made) on \(PaperText.plain(host))"))
        return facts
    }

    private func fact(_ slot: Slot) -> PrintedDocument.Fact {
        let created = slot.created.map { String($0.description.prefix(10)) } ?? "unknown"
        let own = slot.id == self.slot ? " (this page)" : ""
        return PrintedDocument.Fact(
            slot.role.description,
            "\(slot.id.description.prefix(8)), created \(created): \(PaperText.plain(slot.label))\(own)")
    }

    private static func lines(_ words: [String]) -> [String] {
        ShellWord.command(words, columns: PrintedDocument.columns - 2)
    }

    private func commands(_ location: String) -> [[String]] {
        var commands = [
            Self.lines(["export", "HOLDFAST_REPO=\(location)"]),
            ["(umask 077; cat > recovery.key)"],
            ["export HOLDFAST_PASSWORD_FILE=$PWD/recovery.key"],
            ["holdfast recovery-kit verify recovery.key"],
            ["holdfast snapshots"],
            ["mkdir -p recovered"],
        ]
        for (number, source) in sources.enumerated() {
            commands.append(
                Self.lines([
                    "holdfast", "restore", "latest:\(source.name)", "--to", "dir:recovered/\(number + 1)",
                ]))
        }
        if sources.isEmpty { commands.append(["holdfast restore latest --to dir:recovered/1"]) }
        if sourceCount > sources.count {
            commands.append(["# and so on for the other \(sourceCount - sources.count) of `holdfast snapshots`"])
        }
        return commands + [["shred -u recovery.key"]]
    }
}
