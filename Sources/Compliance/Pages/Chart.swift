// Charts as SVG within the page.

import Primitives

enum Chart {
    private static let width = 560.0

    /// A number as SVG has it, with one place.
    private static func number(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    private static func svg(
        _ height: Double, _ title: String, _ page: inout Markup, _ body: (inout Markup) -> Void
    ) {
        let size = "0 0 \(number(width)) \(number(height))"
        page.tag("svg", [("viewBox", size), ("width", number(width)), ("role", "img")]) { page in
            page.tag("title", title)
            body(&page)
        }
    }

    private static func box(_ style: String, x: Double, y: Double, w: Double, h: Double, _ page: inout Markup) {
        page.empty(
            "rect",
            [
                ("class", style), ("x", number(x)), ("y", number(y)), ("width", number(w)), ("height", number(h)),
                ("rx", "2"),
            ])
    }

    /// One bar of parts, with their names and numbers below.
    static func stack(_ parts: [(style: String, name: String, count: Int64)], _ page: inout Markup) {
        let shown = parts.filter { $0.count > 0 }
        let total = shown.reduce(0.0) { $0 + Double($1.count) }
        guard total > 0 else { return }
        let title = shown.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
        svg(34, title, &page) { page in
            var x = 0.0
            for part in shown {
                let w = Double(part.count) / total * width
                box("b \(part.style)", x: x, y: 0, w: max(1, w - 1.5), h: 14, &page)
                x += w
            }
            page.tag("text", [("x", "0"), ("y", "30")], title)
        }
    }

    /// A share of time as a bar with its percents.
    static func share(_ millionths: Int64, isGood: Bool?, _ page: inout Markup) {
        let part = min(1, max(0, Double(millionths) / 1_000_000))
        let hundredths = millionths / 100
        let fraction = hundredths % 100
        let percent = "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) %"
        page.tag("svg", [("viewBox", "0 0 90 26"), ("width", "90"), ("role", "img")]) { page in
            page.tag("title", percent)
            box("t", x: 0, y: 0, w: 90, h: 8, &page)
            box("b \(isGood == false ? "not-met" : "met")", x: 0, y: 0, w: 90 * part, h: 8, &page)
            page.tag("text", [("x", "0"), ("y", "22")], percent)
        }
    }

    /// Values from left to right, from zero up; nothing for fewer than two.
    static func line(
        _ title: String, _ values: [(name: String, value: Double)], label: (Double) -> String, _ page: inout Markup
    ) {
        guard values.count > 1, let first = values.first, let last = values.last else { return }
        let highest = max(values.map(\.value).max() ?? 0, 1)
        let (left, top, plotHeight) = (74.0, 8.0, 110.0)
        let step = (width - left - 8) / Double(values.count - 1)
        func place(_ index: Int) -> (x: Double, y: Double) {
            (left + Double(index) * step, top + plotHeight * (1 - values[index].value / highest))
        }
        page.tag("figure") { page in
            page.tag("figcaption", title)
            svg(148, "\(title): \(label(first.value)) to \(label(last.value))", &page) { page in
                for part in [0.0, 0.5, 1.0] {
                    let y = top + plotHeight * (1 - part)
                    page.empty(
                        "line",
                        [
                            ("class", "x"), ("x1", number(left)), ("y1", number(y)), ("x2", number(width - 8)),
                            ("y2", number(y)),
                        ])
                    page.tag(
                        "text", [("x", number(left - 6)), ("y", number(y + 4)), ("text-anchor", "end")],
                        label(highest * part))
                }
                let points = values.indices.map { number(place($0).x) + "," + number(place($0).y) }.joined(
                    separator: " ")
                page.empty("polyline", [("class", "l"), ("points", points)])
                if values.count <= 40 {
                    for index in values.indices {
                        page.empty(
                            "circle",
                            [
                                ("class", "d"), ("cx", number(place(index).x)), ("cy", number(place(index).y)),
                                ("r", "2.5"),
                            ])
                    }
                }
                page.tag("text", [("x", number(left)), ("y", "140")], first.name)
                page.tag("text", [("x", number(width - 8)), ("y", "140"), ("text-anchor", "end")], last.name)
            }
        }
    }
}
