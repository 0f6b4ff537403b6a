// Finds out what a mount is, and opens it.

import Primitives
import SecretVaults

/// Vault and OpenBao, by `vault:https://HOST[:PORT]/MOUNT`.
package enum HashiCorpMount {
    /// Logs in, looks what is mounted, and gives the client for it: ``KeyValue1`` or ``KeyValue2``.
    ///
    /// Thread: blocks, as all calls of a vault do.
    /// - Throws: `.vaultNotFound` when no store of keys and values is mounted there; `.usage` for a path below a mount.
    package static func open(
        _ place: HashiCorpLocation, _ options: HashiCorpOptions, clock: any Clock
    ) throws(HoldfastError) -> any SecretVault {
        let transport = try VaultHTTP(place.origin, options.http, clock: clock)
        return try open(place, options, over: transport, clock: clock)
    }

    static func open(
        _ place: HashiCorpLocation, _ options: HashiCorpOptions, over transport: any VaultTransport, clock: any Clock
    ) throws(HoldfastError) -> any SecretVault {
        let question = HashiCorpPath("sys/internal/ui/mounts/\(place.mount)")
        let session = HashiCorpSession(
            transport, options, location: place.description, probe: question, clock: clock)
        let answer = try session.send(HashiCorpCall(question, .list))
        guard answer.status == 200 else { throw missing(place) }
        var (path, type, version) = ("", "", "1")
        try session.read(answer) { (scanner) throws(HoldfastError) in
            try scanner.members(of: "data") { (scanner, key) throws(HoldfastError) in
                switch key {
                case "path": path = try scanner.string()
                case "type": type = try scanner.string()
                case "options":
                    if try scanner.null() { return }
                    try scanner.members { (scanner, key) throws(HoldfastError) in
                        if key == "version" { version = try scanner.string() } else { try scanner.skip() }
                    }
                default: try scanner.skip()
                }
            }
        }
        guard ["kv", "generic"].contains(type) else { throw missing(place) }
        guard path == place.mount + "/" else {
            throw HoldfastError(
                .usage, "\(place) is below the mount \(path)",
                hint: "Name the mount alone; choose secrets by what their names begin with.")
        }
        let client = KeyValueClient(session: session, mount: place.mount, clock: clock)
        switch version {
        case "2": return KeyValue2(client, concurrency: options.http.concurrency)
        case "1": return KeyValue1(client, concurrency: options.http.concurrency)
        default: throw session.senseless("a store of keys and values of version \(version)")
        }
    }

    private static func missing(_ place: HashiCorpLocation) -> HoldfastError {
        HoldfastError(
            .vaultNotFound, "there is no store of keys and values at \(place)",
            hint: "Look with `bao secrets list`; the namespace may be another one.")
    }
}
