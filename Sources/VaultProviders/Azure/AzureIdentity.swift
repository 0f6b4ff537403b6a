// The ways to a token, none of which needs a secret in a configuration.

import Primitives
import SecretVaults

/// The metadata service of Azure's machines and scale sets, and of clusters of them.
///
/// Source: "How to use managed identities for Azure resources on an Azure VM to acquire an access token", Microsoft
/// Entra documentation, with its "Retry guidance". Who asks again is ``RetryingVault``.
struct AzureMachineIdentity: AzureTokenSource {
    static let address = "http://169.254.169.254"
    /// While the service is brought up to date it answers 410, for 70 seconds at most; four waits outlast that.
    private static let renewal = Duration.seconds(18)
    /// And 404 for a moment.
    private static let moment = Duration.seconds(2)

    let transport: any VaultTransport
    /// Of the one identity among several; nil for the machine's own.
    let clientID: String?
    let clock: any Clock

    var name: String { "the machine's metadata service" }

    func token(for resource: String) throws(HoldfastError) -> AzureToken {
        var target = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
        target += PercentText.encode(resource, keeping: "")
        if let clientID { target += "&client_id=" + PercentText.encode(clientID, keeping: "") }
        let answer: VaultAnswer
        do throws(HoldfastError) {
            answer = try transport.send(VaultRequest(.get, target, headers: [(name: "Metadata", value: "true")]))
        } catch {
            // Most often this is no machine of Azure; it may as well be one that just begins.
            throw AzureLogin.refused(
                name, "it does not answer. Not on a machine of Azure, set the variables of another way to log in",
                retry: .later)
        }
        switch answer.status {
        case 200: return try AzureTokenAnswer.read(answer, from: name, now: clock.now())
        case 404, 410, 429, 500...599:
            let least = [404: Self.moment, 410: Self.renewal][answer.status]
            throw AzureLogin.unreachable(
                name, "it answered with status \(answer.status)", after: answer.retryAfter ?? least)
        case 400:
            let which =
                clientID == nil ? "the machine has no identity" : "the machine has no identity of AZURE_CLIENT_ID"
            throw AzureLogin.refused(name, which + ", or more than one and none is chosen")
        default: throw AzureLogin.refused(name, "it answered with status \(answer.status)")
        }
    }
}

/// The endpoint of App Service, Functions and Container Apps.
///
/// Source: "How to use managed identities for App Service and Azure Functions", REST endpoint reference.
struct AzureServiceIdentity: AzureTokenSource {
    let transport: any VaultTransport
    let path: String
    let header: SecretBytes
    let clientID: String?
    let clock: any Clock

    var name: String { "the service's endpoint" }

    func token(for resource: String) throws(HoldfastError) -> AzureToken {
        var target = path + (path.contains("?") ? "&" : "?") + "api-version=2019-08-01&resource="
        target += PercentText.encode(resource, keeping: "")
        if let clientID { target += "&client_id=" + PercentText.encode(clientID, keeping: "") }
        let own = (name: "X-IDENTITY-HEADER", value: header.withBytes { String(decoding: $0, as: UTF8.self) })
        let answer = try transport.send(VaultRequest(.get, target, headers: [own]))
        switch answer.status {
        case 200: return try AzureTokenAnswer.read(answer, from: name, now: clock.now())
        case 429, 500...599:
            throw AzureLogin.unreachable(
                name, "it answered with status \(answer.status)", after: answer.retryAfter)
        default: throw AzureLogin.refused(name, "it answered with status \(answer.status)")
        }
    }
}

/// A signed token that the platform puts into a file, given for one of Azure: workload identity of Kubernetes.
///
/// Source: "Microsoft identity platform and the OAuth 2.0 client credentials flow", third case. The token goes to the
/// authority that the environment names, and never to one that a vault's challenge names.
struct AzureWorkloadIdentity: AzureTokenSource {
    let transport: any VaultTransport
    let tenant: String
    let clientID: String
    /// Read anew for each token, since the platform writes a new one into it.
    let tokenFile: String
    let clock: any Clock

    var name: String { "the token in \(tokenFile)" }

    func token(for resource: String) throws(HoldfastError) -> AzureToken {
        let assertion = try AWSCredentialFile.read(tokenFile)
        var body = SecretBuffer()
        body.append("grant_type=client_credentials&client_id=\(AWSForm.encoded(clientID))")
        body.append("&scope=\(AWSForm.encoded(resource + "/.default"))")
        let kind = AWSForm.encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        body.append("&client_assertion_type=\(kind)&client_assertion=")
        AWSForm.append(assertion, to: &body)
        let answer = try transport.send(
            VaultRequest(
                .post, "/\(PercentText.encode(tenant, keeping: ""))/oauth2/v2.0/token",
                headers: [(name: "Content-Type", value: "application/x-www-form-urlencoded")], body: body.taken()))
        switch answer.status {
        case 200: return try AzureTokenAnswer.read(answer, from: name, now: clock.now())
        case 429, 500...599:
            throw AzureLogin.unreachable(
                name, "the authority answered with status \(answer.status)", after: answer.retryAfter)
        default: throw AzureLogin.refused(name, Self.words(answer))
        }
    }

    /// What the authority's own number says, which is all of its answer that is repeated.
    private static func words(_ answer: VaultAnswer) -> String {
        let text = answer.body.withBytes { String(decoding: $0, as: UTF8.self) }
        let number = text.firstRange(of: "AADSTS").map { text[$0.upperBound...].prefix { $0.isASCII && $0.isNumber } }
        switch number ?? "" {
        case "700024": return "it has expired"
        case "70021", "700211", "700212", "700213", "700223":
            return "the identity has no federated credential for its issuer, subject and audience"
        case "700016": return "there is no identity AZURE_CLIENT_ID in the tenant"
        case "90002": return "there is no tenant AZURE_TENANT_ID"
        case "": return "the authority answered with status \(answer.status)"
        case let number: return "the authority refuses it (AADSTS\(number.prefix(12)))"
        }
    }
}
