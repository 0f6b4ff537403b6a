// The tables of controls. What a clause asks for stands in our own words; `source` says what they were held to.

extension Control {
    private static let people = "who approved the plan and its objectives, and when"
    private static let communication = "communication, root cause and lessons of an incident"

    static let soc2: [Control] = [
        Control(
            "A1.2", "Backup processes and recovery infrastructure",
            "Data backup processes and recovery infrastructure are authorised, designed, operated, maintained and "
                + "monitored.",
            .quoted("AICPA 2017 Trust Services Criteria, A1.2"),
            [.inventory, .backupsRun, .coverage, .rpo, .offsite, .encryption],
            notShown: [people, "environmental protection of the places where copies stand"]),
        Control(
            "A1.3", "Recovery plan testing",
            "Procedures of the recovery plan are tested, and with them the integrity and completeness of backup data.",
            .quoted("AICPA 2017 Trust Services Criteria, A1.3 and its points of focus"),
            [.restoreTest, .dataChecks, .rto, .followUp],
            notShown: ["scenarios in which key people are absent", people]),
        Control(
            "CC7.5", "Recovery from incidents",
            "Identified incidents are recovered from: restored, communicated, their cause found, and recovery "
                + "tested again.",
            .unchecked, [.incident, .restoreTest, .followUp], notShown: [communication]),
    ]

    static let iso27001: [Control] = [
        Control(
            "A.8.13", "Information backup",
            "Copies of information, software and systems are kept and regularly tested by an agreed policy.",
            .quoted("published summaries of ISO/IEC 27001:2022, A.8.13"),
            [.inventory, .backupsRun, .restoreTest, .offsite, .encryption],
            notShown: ["the policy itself and its approval"]),
        Control(
            "A.5.30", "ICT readiness for business continuity",
            "Readiness is planned, kept up and tested by objectives that come from a business impact analysis.",
            .quoted("published summaries of ISO/IEC 27001:2022, A.5.30"),
            [.objectives, .restoreTest, .rto, .rpo, .plan, .followUp],
            notShown: ["the business impact analysis", people]),
        Control(
            "A.8.14", "Redundancy", "Facilities are redundant enough for their availability.", .unchecked, [.offsite],
            notShown: ["redundancy of the systems that are backed up"]),
        Control(
            "A.5.33", "Protection of records", "Records are protected from loss, change and forgery.", .unchecked,
            [.chain, .immutable, .auditLog]),
        Control(
            "A.8.24", "Use of cryptography", "Cryptography and its keys are managed by rules.", .unchecked,
            [.encryption, .rotation], notShown: ["the rules, and escrow of keys"]),
    ]

    static let nist80053: [Control] = [
        Control(
            "CP-2", "Contingency plan", "A plan for contingencies exists, with objectives, roles and priorities.",
            .unchecked,
            [.objectives, .plan], notShown: ["the plan as a document, its distribution and review"]),
        Control(
            "CP-4", "Contingency plan testing",
            "The plan is tested at a set frequency, results are reviewed and corrective action is begun.",
            .quoted("NIST SP 800-53 rev. 5, CP-4"), [.restoreTest, .followUp], notShown: ["who reviewed the results"]),
        Control(
            "CP-4(4)", "Full recovery", "A full recovery to a known state is part of the tests.",
            .quoted("NIST SP 800-53 rev. 5, CP-4(4)"), [.restoreTest, .dataChecks]),
        Control(
            "CP-6", "Alternate storage site", "Backups are kept at another site as well.", .unchecked, [.offsite],
            notShown: ["agreements with that site, and its safeguards"]),
        Control(
            "CP-9", "System backup",
            "Backups are made at a frequency that fits recovery objectives, and are protected.",
            .quoted("NIST SP 800-53 rev. 5, CP-9"), [.inventory, .backupsRun, .coverage, .rpo, .encryption]),
        Control(
            "CP-9(1)", "Testing for reliability and integrity",
            "Backup information is tested at a set frequency for reliability of the medium and integrity.",
            .quoted("NIST SP 800-53 rev. 5, CP-9(1)"), [.mediaCheck, .restoreTest, .dataChecks]),
        Control(
            "CP-9(2)", "Test restoration using sampling",
            "A sample of backup information is restored in tests of the plan.",
            .unchecked, [.sampling]),
        Control("CP-9(3)", "Separate storage", "Critical backups are kept apart.", .unchecked, [.offsite]),
        Control(
            "CP-9(5)", "Transfer to an alternate site", "Backups go to another site at a set rate.", .unchecked,
            [.offsite, .mirrorRuns]),
        Control(
            "CP-9(6)", "Redundant secondary system", "A second system holds a redundant copy.", .unchecked, [.offsite]),
        Control(
            "CP-9(7)", "Dual authorization", "Deletion of backups takes two people.", .unchecked, [.immutable],
            notShown: ["who authorised a deletion: this program asks no second person"]),
        Control(
            "CP-9(8)", "Cryptographic protection", "Backups are protected by cryptography.", .unchecked, [.encryption]),
        Control(
            "CP-10", "Recovery and reconstitution",
            "The system can be recovered to a known state within a set time after a disruption.",
            .quoted("NIST SP 800-53 rev. 5, CP-10"), [.restoreTest, .dataChecks, .rto]),
        Control(
            "CP-10(2)", "Transaction recovery", "Systems of transactions recover their transactions.", .unchecked,
            [.transactions]),
        Control("CP-10(4)", "Restore within time", "Components are restored within set times.", .unchecked, [.rto]),
    ]

    static let dora: [Control] = [
        Control(
            "Art. 11(6)", "Testing of continuity and recovery plans",
            "Response and recovery plans are tested at least yearly, and after substantive changes.",
            .quoted("Regulation (EU) 2022/2554, Article 11(6)(a)"), [.yearlyTest, .followUp],
            notShown: ["tests of crisis communication", "which changes were substantive"]),
        Control(
            "Art. 12(1)", "Backup policies",
            "Scope and least frequency of backups follow the criticality and confidentiality of information.",
            .quoted("Regulation (EU) 2022/2554, Article 12(1)"), [.inventory, .classes, .backupsRun], notShown: [people]),
        Control(
            "Art. 12(2)", "Backup systems and their tests",
            "Backup systems can be activated without harm to security; backup and restoration are tested periodically.",
            .quoted("Regulation (EU) 2022/2554, Article 12(2)"), [.restoreTest, .isolation]),
        Control(
            "Art. 12(3)", "Segregated restoration",
            "Restoration uses systems that are physically and logically segregated from the source.",
            .quoted("Regulation (EU) 2022/2554, Article 12(3)"), [.isolation],
            notShown: ["physical segregation: a record has the host and how the network was kept apart"]),
        Control(
            "Art. 12(6)", "Objectives for each function",
            "Each function has recovery time and recovery point objectives.",
            .unchecked, [.objectives, .rpo, .rto], notShown: ["which function of the entity a source serves"]),
        Control(
            "Art. 12(7)", "Checks on recovery",
            "On recovery multiple checks are made, with reconciliations, so that data is as integer as can be.",
            .quoted("Regulation (EU) 2022/2554, Article 12(7)"), [.dataChecks, .reconciliation],
            notShown: ["reconciliation with data of others, unless a check of a plan makes it"]),
    ]

    static let hipaa: [Control] = [
        Control(
            "164.308(a)(7)(ii)(A)", "Data backup plan", "Retrievable exact copies are created and maintained.",
            .quoted("45 CFR 164.308(a)(7)(ii)(A)"), [.inventory, .backupsRun, .dataChecks]),
        Control(
            "164.308(a)(7)(ii)(B)", "Disaster recovery plan", "There are procedures to restore any loss of data.",
            .quoted("45 CFR 164.308(a)(7)(ii)(B)"), [.plan, .restoreTest]),
        Control(
            "164.308(a)(7)(ii)(D)", "Testing and revision", "Contingency plans are tested and revised periodically.",
            .quoted("45 CFR 164.308(a)(7)(ii)(D)"), [.restoreTest, .followUp], notShown: ["revisions of the plan"]),
        Control(
            "164.308(a)(7)(ii)(E)", "Criticality analysis",
            "The relative criticality of applications and data is assessed.",
            .quoted("45 CFR 164.308(a)(7)(ii)(E)"), [.classes], notShown: ["the assessment itself"]),
        Control(
            "164.316(b)(2)", "Retention of records", "Documentation is kept for six years.", .unchecked, [.chain],
            notShown: ["documentation outside of the repository"]),
    ]

    static let pciDSS: [Control] = [
        Control(
            "9.4.1.1", "Offline media in a secure place", "Offline backups of card data are kept in a secure place.",
            .quoted("PCI DSS 4.0.1, 9.4.1.1"), [.offsite], notShown: ["whether the place is secure, and who has access"]
        ),
        Control(
            "10.5.1", "Retention of audit logs", "Audit logs are kept for twelve months.", .unchecked, [.auditLog],
            notShown: ["logs of other systems"]),
        Control(
            "12.10.2", "Test of the incident response plan",
            "The plan, with recovery and backup, is tested every twelve months.",
            .unchecked, [.yearlyTest], notShown: ["parts of the plan that are no restore"]),
    ]

    static let gdpr: [Control] = [
        Control(
            "Art. 32(1)(c)", "Timely restoration",
            "Availability of and access to personal data can be restored in time.",
            .quoted("Regulation (EU) 2016/679, Article 32(1)(c)"), [.restoreTest, .rto],
            notShown: ["which sources hold personal data, unless their class says so"]),
        Control(
            "Art. 32(1)(d)", "Regular testing", "The effectiveness of the measures is tested regularly.",
            .quoted("Regulation (EU) 2016/679, Article 32(1)(d)"), [.restoreTest, .mediaCheck],
            notShown: ["whether erasures were repeated after a restore"]),
    ]
}
