// What the variables of Azure's own tools say.

import Primitives
import SecretVaults

/// Finds a token by the variables that Azure's tools go by. No credential is in a configuration.
///
/// The first of these that is set up counts, and no other is tried when it fails:
/// 1. `AZURE_FEDERATED_TOKEN_FILE`, `AZURE_CLIENT_ID` and `AZURE_TENANT_ID`, perhaps `AZURE_AUTHORITY_HOST`
/// 2. `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`
/// 3. the machine's metadata service, at `AZURE_POD_IDENTITY_AUTHORITY_HOST` if that is set
///
/// In the last two `AZURE_CLIENT_ID` chooses one identity of several. Secrets of clients, certificates, users and what
/// `az login` keeps are not read.
package struct AzureEnvironment: Sendable {
    /// Variables of which one holds a credential itself, also those that are not gone by.
    package static let credentials = [
        "IDENTITY_HEADER", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD",
    ]
    private static let tokenFile = "AZURE_FEDERATED_TOKEN_FILE"
    private static let files = [tokenFile, "AZURE_CLIENT_CERTIFICATE_PATH"]
    /// A PEM file with the authorities to trust, in place of the system's.
    private static let authorities = "HOLDFAST_AZURE_CA_FILE"

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

    /// Takes every credential of every provider out of the environment, so that no child has one of them, whichever
    /// vault is opened and by which way.
    func takeCredentials() {
        for name in Self.credentials + AWSEnvironment.credentials + HashiCorpVariables.credentials { _ = secret(name) }
    }

    /// Opens a vault. No call is made yet.
    ///
    /// - Parameter cancellation: Ends waits for removals and recoveries.
    /// - Throws: `.configuration` for variables that make no sense.
    package func open(
        _ location: AzureVaultLocation, _ options: VaultHTTPOptions = VaultHTTPOptions(), clock: any Clock,
        cancellation: Cancellation = Cancellation()
    ) throws(HoldfastError) -> KeyVault {
        takeCredentials()
        var options = options
        options.authorities = options.authorities ?? value(Self.authorities)
        let source = try source(location, options, clock)
        // A page of 25 records with 15 tags each, or a value of 25 KiB, with room for escapes.
        options.largestAnswer = min(options.largestAnswer, .mebi(4))
        let session = AzureSession(
            try VaultHTTP(location.origin, options, clock: clock), AzureTokenStore(source, clock: clock), location)
        return KeyVault(session, clock: clock, cancellation: cancellation)
    }

    // MARK: - Tokens

    private func source(
        _ location: AzureVaultLocation, _ options: VaultHTTPOptions, _ clock: any Clock
    ) throws(HoldfastError) -> any AzureTokenSource {
        if let file = value(Self.tokenFile) { return try workload(file, location, options, clock) }
        let (endpoint, header) = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")
        switch (value(endpoint), secret(header)) {
        case (nil, nil): break
        case (nil, _): throw missing(endpoint, besides: header)
        case (_, nil): throw missing(header, besides: endpoint)
        case (let place?, let own?):
            guard own.isHeaderText else {
                throw HoldfastError(
                    .configuration, "\(header) can't stand in a header", hint: "It is set by the platform.")
            }
            let address = try machineService(place, endpoint)
            return AzureServiceIdentity(
                transport: try VaultHTTP(address, Self.quick(options), clock: clock), path: address.path, header: own,
                clientID: value("AZURE_CLIENT_ID"), clock: clock)
        }
        let variable = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
        let address = try machineService(value(variable) ?? AzureMachineIdentity.address, variable)
        return AzureMachineIdentity(
            transport: try VaultHTTP(address, Self.quick(options), clock: clock), clientID: value("AZURE_CLIENT_ID"),
            clock: clock)
    }

    private func workload(
        _ file: String, _ location: AzureVaultLocation, _ options: VaultHTTPOptions, _ clock: any Clock
    ) throws(HoldfastError) -> AzureWorkloadIdentity {
        guard let client = value("AZURE_CLIENT_ID") else { throw missing("AZURE_CLIENT_ID", besides: Self.tokenFile) }
        guard let tenant = value("AZURE_TENANT_ID") else { throw missing("AZURE_TENANT_ID", besides: Self.tokenFile) }
        let variable = "AZURE_AUTHORITY_HOST"
        let text = value(variable) ?? Self.authority(of: location)
        guard let address = WebAddress(text.contains("://") ? text : "https://" + text), address.path == "/" else {
            throw HoldfastError(
                .configuration, "\(variable) is no authority: \(WebAddress.refusal(of: text) ?? "it has a path")",
                hint: "Write https://HOST; http:// is for this machine alone.")
        }
        var options = options
        options.largestAnswer = .kibi(64)
        options.callsPerSecond = nil
        return AzureWorkloadIdentity(
            transport: try VaultHTTP(address, options, clock: clock), tenant: tenant, clientID: client,
            tokenFile: file, clock: clock)
    }

    /// Of the cloud that the vault is in ("National clouds", Microsoft identity platform).
    private static func authority(of location: AzureVaultLocation) -> String {
        let host = location.origin.host
        if host.hasSuffix(".vault.azure.cn") { return "https://login.partner.microsoftonline.cn" }
        if host.hasSuffix(".vault.usgovcloudapi.net") { return "https://login.microsoftonline.us" }
        return "https://login.microsoftonline.com"
    }

    /// Of a service of this machine or its platform, which answers at once or not at all.
    private static func quick(_ options: VaultHTTPOptions) -> VaultHTTPOptions {
        var options = options
        options.connectTimeout = .seconds(2)
        options.readTimeout = .seconds(30)
        options.timeout = .seconds(30)
        options.largestAnswer = .kibi(64)
        options.callsPerSecond = nil
        return options
    }

    private func machineService(_ text: String, _ variable: String) throws(HoldfastError) -> WebAddress {
        if let address = WebAddress(text) ?? WebAddress(machineService: text) { return address }
        throw HoldfastError(
            .configuration, "\(variable) names no place to get tokens from",
            hint: "It is https://, or http:// to this machine or to Azure's metadata service.")
    }

    private func missing(_ name: String, besides other: String) -> HoldfastError {
        HoldfastError(.configuration, "\(other) is set and \(name) is not", hint: "Set both, or neither.")
    }
}
