// Which versions of secrets open a database while it is backed up.

import Primitives
import Repository
import SecretVaults
import Workloads

/// Reads each secret and logs in with exactly what it read, before the database is read and after.
///
/// The database is consistent as of an instant in between or at the very end. A version that logged in on both sides
/// opened it at that instant too, unless it was taken back and put again meanwhile. Where the secret was changed in
/// between, both versions are in the record, each with when it was seen, and one of them opens what was read.
///
/// Thread: one at a time.
final class OpeningWatch {
    /// Of a reason that is kept, in scalars.
    private static let longestReason = 1000

    private let wishes: [OpeningWish]
    private let login: any PasswordLogin
    private let key: OpeningKey
    private let context: WorkloadContext
    private var record: SnapshotOpenings
    private var vaults: [String: any SecretVault] = [:]
    private var failures: [HoldfastError?]

    /// - Throws: `.usage` for sources that nobody logs in to, and for too many secrets.
    init(
        _ wishes: [OpeningWish], _ workloads: [any Workload], _ repository: Repository, _ context: WorkloadContext
    ) throws(HoldfastError) {
        guard workloads.count == 1, let login = workloads[0] as? any PasswordLogin else {
            throw Self.noLogin
        }
        guard wishes.count <= SnapshotOpenings.maximumCount else {
            throw HoldfastError(
                .limitExceeded, "a source has at most \(SnapshotOpenings.maximumCount) secrets that open it",
                hint: "Name fewer in `opensWith`.")
        }
        self.wishes = wishes
        self.login = login
        self.context = context
        let made = try OpeningKey.make(in: repository)
        key = made.key
        record = made.openings
        record.openings = wishes.map { wish in
            SnapshotOpening(
                vault: wish.address.text, source: wish.source, secret: wish.secret.text, field: wish.field,
                role: wish.role, database: wish.database)
        }
        failures = wishes.map { _ in nil }
    }

    static let noLogin = HoldfastError(
        .usage, "secrets of vaults open PostgreSQL alone", hint: "Write file:PATH or env:NAME in `opensWith`.")

    /// What the record says after both looks.
    var openings: SnapshotOpenings { record }

    /// A warning for each secret that did not open at the end.
    var findings: [WorkloadFinding] {
        zip(record.openings, failures).compactMap { opening, failure in
            guard let failure else { return nil }
            return WorkloadFinding(
                .warning, "opening", "\(opening.label) was not seen to open it: \(failure.message)", hint: failure.hint,
                code: failure.code)
        }
    }

    /// Looks at all of them.
    ///
    /// - Throws: `.interrupted` alone; everything else is in the record.
    func look() throws(HoldfastError) {
        for place in wishes.indices {
            do throws(HoldfastError) {
                try look(at: place)
                failures[place] = nil
            } catch {
                try context.cancellation.check()
                failures[place] = error
            }
            record.openings[place].failure = failures[place].map { error in
                String(String.UnicodeScalarView(error.message.unicodeScalars.prefix(Self.longestReason)))
            }
        }
    }

    private func look(at place: Int) throws(HoldfastError) {
        let wish = wishes[place]
        let vault = try vault(of: wish)
        let reading = try wish.open(vault, login, context)
        let now = context.clock.now()
        let id = reading.version.text
        let print = key.fingerprint(
            of: reading.value.bytes, form: reading.value.form.rawValue, vault: wish.address.text,
            secret: wish.secret.text, version: id)
        // The same value under the same id; a vault without versions has one id for all of them.
        if let known = record.openings[place].versions.firstIndex(where: { $0.id == id && $0.fingerprint == print }) {
            record.openings[place].versions[known].last = now
        } else {
            record.openings[place].versions.append(
                OpenedVersion(
                    id: id, created: created(wish, reading.version, vault), first: now, last: now, fingerprint: print))
        }
    }

    /// When the vault took the version. A vault that does not tell has its secrets taken again with each snapshot.
    private func created(_ wish: OpeningWish, _ version: SecretVersionID, _ vault: any SecretVault) -> Timestamp? {
        do throws(HoldfastError) {
            return try vault.describe(wish.secret)[version]?.created
        } catch {
            return nil
        }
    }

    private func vault(of wish: OpeningWish) throws(HoldfastError) -> any SecretVault {
        if let vault = vaults[wish.source] { return vault }
        let vault = try wish.opener.open(
            wish.address, clock: context.clock, entropy: context.entropy, cancellation: context.cancellation)
        vaults[wish.source] = vault
        return vault
    }
}

extension OpeningWish {
    /// Reads the current version, and logs in with exactly what was read.
    ///
    /// - Throws: what the vault and the login throw; no failure holds any of the value.
    fileprivate func open(
        _ vault: any SecretVault, _ login: any PasswordLogin, _ context: WorkloadContext
    ) throws(HoldfastError) -> SecretReading {
        let reading = try vault.read(secret, nil)
        let password = try OpeningPassword.read(reading.value, field: field)
        try login.logIn(as: role, to: database, with: password, context)
        return reading
    }

    var label: String {
        "\(secret)\(field.map { "#\($0)" } ?? "") of \(source) as \(role) in \(database)"
    }

    /// Whether it opens what `workload` is now: a finding for whoever looks before a backup. The access is in the audit
    /// log as any other.
    ///
    /// - Throws: `.interrupted` alone.
    package func finding(
        opening workload: any Workload, _ context: WorkloadContext
    ) throws(HoldfastError) -> WorkloadFinding {
        do throws(HoldfastError) {
            guard let login = workload as? any PasswordLogin else { throw OpeningWatch.noLogin }
            let vault = try opener.open(
                address, clock: context.clock, entropy: context.entropy, cancellation: context.cancellation)
            let reading = try open(vault, login, context)
            return WorkloadFinding(.good, "opening", "\(label): version \(reading.version) logged in")
        } catch {
            try context.cancellation.check()
            return WorkloadFinding(
                .error, "opening", "\(label): \(error.message)", hint: error.hint, code: error.code)
        }
    }
}

extension SnapshotOpening {
    /// How messages call it: `app/database of secrets as app in shop`.
    package var label: String {
        "\(secret)\(field.map { "#\($0)" } ?? "") of \(source) as \(role) in \(database)"
    }
}
