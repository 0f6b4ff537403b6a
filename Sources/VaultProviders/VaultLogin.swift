// What opens the vaults of every provider.

import Primitives
import SecretVaults

/// What opens vaults: asked for when it is needed, never part of a URL or of the configuration.
package struct VaultLogin: VaultOpener {
    /// The password of an embedded vault.
    package var password: @Sendable () throws(HoldfastError) -> SecretBytes
    /// The variables of the environment by which the tools of Vault and OpenBao go.
    package var variables: HashiCorpVariables
    /// Those by which AWS's go.
    package var aws: AWSEnvironment
    /// And those by which Azure's go.
    package var azure: AzureEnvironment

    package init(
        password: @escaping @Sendable () throws(HoldfastError) -> SecretBytes, variables: HashiCorpVariables,
        aws: AWSEnvironment, azure: AzureEnvironment
    ) {
        self.password = password
        self.variables = variables
        self.aws = aws
        self.azure = azure
    }

    package func open(
        _ address: VaultAddress, clock: any Primitives.Clock, entropy: any Entropy, cancellation: Cancellation
    ) throws(HoldfastError) -> any SecretVault {
        switch address {
        case .embedded(let path):
            // A command that gives the password may log in at another vault by them.
            let password = try password()
            takeCredentials()
            return try EmbeddedVault.open(at: path, password: password, clock: clock, entropy: entropy)
        case .hashiCorp(let location):
            takeCredentials()
            let patience = VaultPatience(clock: clock, entropy: entropy, cancellation: cancellation)
            let options = try variables.options(for: location)
            let vault = try patience.again { () throws(HoldfastError) in
                try HashiCorpMount.open(location, options, clock: clock)
            }
            return RetryingVault(vault, patience)
        case .aws(let region):
            takeCredentials()
            let patience = VaultPatience(clock: clock, entropy: entropy, cancellation: cancellation)
            return RetryingVault(try aws.open(region, clock: clock, entropy: entropy), patience)
        case .azure(let location):
            takeCredentials()
            let patience = VaultPatience(clock: clock, entropy: entropy, cancellation: cancellation)
            return RetryingVault(try azure.open(location, clock: clock, cancellation: cancellation), patience)
        }
    }

    /// Takes the credentials of every way to log in out of the environment, whichever is gone: no child is to have
    /// those of another vault either.
    private func takeCredentials() {
        variables.takeCredentials()
        aws.takeCredentials()
        azure.takeCredentials()
    }

    package func openCluster(
        _ location: VaultClusterLocation, clock: any Primitives.Clock, cancellation: Cancellation
    ) throws(HoldfastError) -> any VaultCluster {
        takeCredentials()
        return try RaftCluster(location, try variables.options(for: location), clock: clock, cancellation: cancellation)
    }
}
