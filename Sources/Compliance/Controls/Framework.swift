// Which frameworks a report can be about, and what their controls ask for: declared data, without any code of its own.

/// A framework by its name on the command line.
package enum Framework: String, Sendable, CaseIterable {
    case soc2
    case iso27001
    case nist80053 = "nist-800-53"
    case dora
    case hipaa
    case pciDSS = "pci-dss"
    case gdpr

    package var name: String {
        switch self {
        case .soc2: "SOC 2, Trust Services Criteria"
        case .iso27001: "ISO/IEC 27001:2022, Annex A"
        case .nist80053: "NIST SP 800-53, revision 5"
        case .dora: "DORA, Regulation (EU) 2022/2554"
        case .hipaa: "HIPAA Security Rule, 45 CFR 164"
        case .pciDSS: "PCI DSS 4.0.1"
        case .gdpr: "GDPR, Regulation (EU) 2016/679"
        }
    }

    package var controls: [Control] {
        switch self {
        case .soc2: Control.soc2
        case .iso27001: Control.iso27001
        case .nist80053: Control.nist80053
        case .dora: Control.dora
        case .hipaa: Control.hipaa
        case .pciDSS: Control.pciDSS
        case .gdpr: Control.gdpr
        }
    }
}

/// One control.
package struct Control: Sendable {
    /// How far the words of ``asks`` were held to the clause.
    package enum Source: Sendable, Hashable {
        /// To what others quote of it. No clause was held to its official text so far.
        case quoted(String)
        /// To nothing: from general knowledge.
        case unchecked
    }

    package let id: String
    package let title: String
    /// In our own words.
    package let asks: String
    package let source: Source
    /// What of it records of this program can show.
    let needs: [Need]
    /// What they cannot.
    package let notShown: [String]

    init(_ id: String, _ title: String, _ asks: String, _ source: Source, _ needs: [Need], notShown: [String] = []) {
        self.id = id
        self.title = title
        self.asks = asks
        self.source = source
        self.needs = needs
        self.notShown = notShown
    }

    /// A control that asks for tests is met by tests of the period, and by nothing else.
    package var asksForTest: Bool { needs.contains(where: \.isTest) }

    package var textStanding: String {
        switch source {
        case .quoted(let place): "held to quotations of the clause, not to the clause itself: \(place)"
        case .unchecked: "NOT held to the text of the clause: read the clause before you rely on these words"
        }
    }
}
