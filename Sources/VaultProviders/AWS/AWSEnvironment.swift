// What the variables of AWS's own tools say.

import Primitives
import SecretVaults

/// Finds the endpoint and the credentials by the variables that AWS's tools go by. No credential is in a configuration.
///
/// The first of these that is set up counts, and no other is tried when it fails:
/// 1. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, with temporary keys also `AWS_SESSION_TOKEN`
/// 2. `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, perhaps `AWS_ROLE_SESSION_NAME`
/// 3. `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`, perhaps `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` or
///    `AWS_CONTAINER_AUTHORIZATION_TOKEN`
/// 4. the machine's metadata service, at `AWS_EC2_METADATA_SERVICE_ENDPOINT` if that is set, unless
///    `AWS_EC2_METADATA_DISABLED` is `true`
///
/// Profiles and the files of `~/.aws` are not read.
package struct AWSEnvironment: Sendable {
    /// Variables of which one holds a credential itself.
    package static let credentials = [
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ]
    private static let files = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]

    /// The value of a variable; nil also for an empty one.
    private let value: @Sendable (String) -> String?
    private let secret: @Sendable (String) -> SecretBytes?

    package init(
        value: @escaping @Sendable (String) -> String?, secret: @escaping @Sendable (String) -> SecretBytes?
    ) {
        self.value = value
        self.secret = secret
    }

    /// Files that hold a credential.
    package var credentialFiles: [String] { Self.files.compactMap(value) }

    /// Takes all that hold a credential out of the environment, also those of a way that is not gone.
    func takeCredentials() { for name in Self.credentials { _ = secret(name) } }

    /// Opens the secrets of a region. No call is made yet.
    ///
    /// - Throws: `.configuration` for variables that make no sense.
    package func open(
        _ region: AWSRegion, _ options: VaultHTTPOptions = VaultHTTPOptions(), clock: any Clock, entropy: any Entropy
    ) throws(HoldfastError) -> SecretsManager {
        var options = options
        options.authorities = options.authorities ?? value("AWS_CA_BUNDLE")
        let endpoint = try endpoint(AWSSession.service, "AWS_ENDPOINT_URL_SECRETS_MANAGER", region)
        let source = try source(region, options, clock)
        let session = AWSSession(
            try VaultHTTP(endpoint, options, clock: clock), AWSCredentialStore(source, clock: clock),
            region: region.name, host: Self.host(endpoint), clock: clock)
        return SecretsManager(session, entropy: entropy)
    }

    // MARK: - Endpoints

    private func endpoint(
        _ service: String, _ variable: String, _ region: AWSRegion
    ) throws(HoldfastError) -> WebAddress {
        for name in [variable, "AWS_ENDPOINT_URL"] {
            guard let text = value(name) else { continue }
            let refusal = WebAddress.refusal(of: text)
            guard refusal == nil, let address = WebAddress(text), address.path == "/" else {
                throw HoldfastError(
                    .configuration, "\(name) is no endpoint: \(refusal ?? "it has a path")",
                    hint: "Write https://HOST or https://HOST:PORT; http:// is for this machine alone.")
            }
            return address
        }
        guard let address = WebAddress("https://\(service).\(region.name).\(region.domain)") else {
            preconditionFailure("a region's name fits into an address")
        }
        return address
    }

    /// As the header of that name has it.
    private static func host(_ address: WebAddress) -> String {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        return address.port == (address.isTLS ? 443 : 80) ? host : "\(host):\(address.port)"
    }

    // MARK: - Credentials

    func source(
        _ region: AWSRegion, _ options: VaultHTTPOptions, _ clock: any Clock
    ) throws(HoldfastError) -> any AWSCredentialSource {
        if let keys = try givenKeys() { return AWSStaticCredentials(keys: keys) }
        if let file = value("AWS_WEB_IDENTITY_TOKEN_FILE") {
            guard let role = value("AWS_ROLE_ARN") else { throw missing("AWS_ROLE_ARN", besides: Self.files[0]) }
            let endpoint = try endpoint("sts", "AWS_ENDPOINT_URL_STS", region)
            return AWSWebIdentity(
                transport: try VaultHTTP(endpoint, options, clock: clock), role: role, tokenFile: file,
                session: value("AWS_ROLE_SESSION_NAME") ?? "holdfast")
        }
        if let source = try container(options, clock) { return source }
        guard value("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else {
            throw HoldfastError(
                .vaultLoginFailed, "there are no credentials for AWS",
                hint: "Set the variables of one way to log in; docs/VAULTS.md has them all.")
        }
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
        let place = value(variable) ?? AWSInstanceCredentials.address
        return AWSInstanceCredentials(transport: try machineService(place, variable, options, clock).0)
    }

    private func givenKeys() throws(HoldfastError) -> AWSCredentials? {
        let (id, key) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        switch (value(id), secret(key)) {
        case (nil, nil): return nil
        case (nil, _): throw missing(id, besides: key)
        case (_, nil): throw missing(key, besides: id)
        case (let keyID?, let secret?):
            guard keyID.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") }) else {
                throw HoldfastError(
                    .configuration, "\(id) is no id of an access key", hint: "Letters and digits, such as AKIA….")
            }
            return AWSCredentials(keyID: keyID, secret: secret, token: self.secret("AWS_SESSION_TOKEN"), expires: nil)
        }
    }

    private func container(
        _ options: VaultHTTPOptions, _ clock: any Clock
    ) throws(HoldfastError) -> AWSContainerCredentials? {
        let (relative, full) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
        let text: String
        var variable = full
        if let path = value(relative) {
            guard path.hasPrefix("/") else {
                throw HoldfastError(
                    .configuration, "\(relative) does not begin with a slash", hint: "It is a path, set by ECS.")
            }
            text = "http://169.254.170.2\(path)"
            variable = relative
        } else if let given = value(full) {
            text = given
        } else {
            return nil
        }
        let (transport, target) = try machineService(text, variable, options, clock)
        let authorization: AWSContainerCredentials.Authorization
        if let file = value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            authorization = .file(file)
        } else {
            authorization = secret("AWS_CONTAINER_AUTHORIZATION_TOKEN").map { .token($0) } ?? .none
        }
        return AWSContainerCredentials(transport: transport, target: target, authorization: authorization)
    }

    /// The way to a service of this machine or its platform, which answers at once or not at all.
    private func machineService(
        _ text: String, _ variable: String, _ options: VaultHTTPOptions, _ clock: any Clock
    ) throws(HoldfastError) -> (any VaultTransport, String) {
        guard let address = WebAddress(text) ?? WebAddress(machineService: text) else {
            throw HoldfastError(
                .configuration, "\(variable) names no place to get credentials from",
                hint: "It is https://, or http:// to this machine or to an address that AWS gives each container.")
        }
        var options = options
        options.connectTimeout = .seconds(2)
        options.readTimeout = .seconds(5)
        options.timeout = .seconds(10)
        options.largestAnswer = .kibi(64)
        options.callsPerSecond = nil
        return (try VaultHTTP(address, options, clock: clock), address.path)
    }

    private func missing(_ name: String, besides other: String) -> HoldfastError {
        HoldfastError(.configuration, "\(other) is set and \(name) is not", hint: "Set both, or neither.")
    }
}
