// A secret itself.

import Primitives

/// What kind of bytes a value is.
package enum SecretForm: UInt8, Sendable, Hashable, CaseIterable {
    /// UTF-8: AWS `SecretString`, Azure `value`.
    case text = 1
    /// Any bytes: AWS `SecretBinary`. Azure has texts alone; those who keep bytes there write base64 and say so in the
    /// content type.
    case binary = 2
    /// A JSON object as the server sent it, byte for byte, so that no number is rounded: the `data` of KV 1 and KV 2,
    /// which have no other form.
    case fields = 3
}

/// The value of one version. It prints redacted, and is wiped when the last reference to it goes.
package struct SecretValue: Sendable {
    package let form: SecretForm
    package let bytes: SecretBytes

    package init(_ form: SecretForm, _ bytes: SecretBytes) {
        self.form = form
        self.bytes = bytes
    }

    /// The largest value of any kind of vault that is taken: KV 2 of a server with a raised limit.
    package static let maximumCount = ByteCount.mebi(1)

    /// Whether form and bytes are the same, in time that depends on the lengths alone.
    package func equals(_ other: SecretValue) -> Bool { form == other.form && bytes.equals(other.bytes) }
}

extension SecretValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a reading gave: the value, and which version it is of.
package struct SecretReading: Sendable {
    package var version: SecretVersionID
    package var value: SecretValue

    package init(version: SecretVersionID, value: SecretValue) {
        self.version = version
        self.value = value
    }
}
