// Whom alerts are told to, as the file says.

import Primitives
import Scheduling

/// A notifier of the file.
package struct ConfiguredNotifier: Sendable, Hashable {
    package enum Way: Sendable, Hashable {
        case webhook(WebAddress, secret: SecretReference?)
        case command([String])
    }

    package var name: String
    package var way: Way
    package var severity: AlertRecord.Severity
    package var timeout: Duration
}

extension ConfigurationBuilder {
    private typealias Keys = ConfigurationSchema

    mutating func notifier(_ name: String, at position: Position, _ value: SectionValue) -> ConfiguredNotifier? {
        let way: ConfiguredNotifier.Way
        if let address = value.text(Keys.webhook).flatMap({ WebAddress($0) }) {
            way = .webhook(address, secret: value.text(Keys.webhookSecret).flatMap(secret))
        } else if let words = value.list(Keys.notifierCommand)?.map(\.text), !words.isEmpty {
            if value.text(Keys.webhookSecret) != nil {
                problems.add(position, "`secret`: only a `webhook` is signed")
            }
            if let (index, reason) = ClearSecret.refusal(ofCommand: words) {
                problems.add(value.list(Keys.notifierCommand)?[index].position ?? position, "`command`: \(reason)")
            }
            way = .command(words)
        } else {
            return nil
        }
        return ConfiguredNotifier(
            name: name, way: way,
            severity: value.text(Keys.severity).flatMap { AlertRecord.Severity(rawValue: $0) } ?? .warning,
            timeout: value.text(Keys.notifierTimeout).flatMap { Duration(lengthOfTime: $0) } ?? .seconds(10))
    }
}
