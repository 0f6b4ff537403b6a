// A report as JUnit XML, for whoever has a pipeline that turns red: each control is a test.

import Primitives

extension ReportDocument {
    /// A control that is met passes, one that does not apply is skipped, any other has failed by its status.
    package var junit: String {
        let failures = report.controls.count { ![.met, .notApplicable].contains($0.status) }
        let skipped = report.controls.count { $0.status == .notApplicable }
        let counts: [Markup.Attribute] = [
            ("name", report.frameworkName), ("tests", "\(report.controls.count)"), ("failures", "\(failures)"),
            ("skipped", "\(skipped)"), ("errors", "0"),
        ]
        var page = Markup()
        page.literal("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        page.tag("testsuites", counts) { page in
            page.tag("testsuite", counts + [("timestamp", origin.at), ("id", sha256)]) { page in
                page.tag("properties") { page in
                    for (name, value) in [
                        ("from", report.from), ("to", report.to), ("repository", report.repository),
                        ("adminKey", report.adminKey), ("reportSha256", sha256),
                    ] {
                        page.empty("property", [("name", name), ("value", value)])
                    }
                }
                for control in report.controls { Self.write(control, report.framework, &page) }
            }
        }
        return page.text + "\n"
    }

    private static func write(_ control: Report.ControlRow, _ framework: String, _ page: inout Markup) {
        page.literal("\n")
        page.tag("testcase", [("classname", framework), ("name", "\(control.control) \(control.title)")]) { page in
            let lines = control.needs.map { "\($0.need): \($0.status.rawValue): \($0.text)" }
            switch control.status {
            case .met: break
            case .notApplicable: page.empty("skipped", [("message", "nothing of the period is about it")])
            case .partial, .notMet, .noEvidence:
                page.tag(
                    "failure",
                    [
                        ("type", control.status.rawValue),
                        ("message", "\(control.control) is \(control.status.rawValue)"),
                    ],
                    lines.joined(separator: " | "))
            }
            let notShown = control.notShown.map { "not shown: \($0)" }
            page.tag("system-out", ([control.text] + lines + notShown).joined(separator: " | "))
        }
    }
}
