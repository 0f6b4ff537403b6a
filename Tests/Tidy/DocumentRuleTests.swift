// Shows each rule for documents, scripts and the image something that breaks it.

import Testing

@Suite("The rules for documents")
struct DocumentRuleTests {
    @Test("a dependency without a line is reported")
    func dependencies() {
        let manifest = Manifest(
            """
            let package = Package(dependencies: [.package(url: "https://example.com/swift-log", from: "1.0.0")],
                targets: [.systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]), .target(name: "CLinux")])
            """)
        let setup = "build_packages=(zlib1g-dev)\ntest_packages=(jq)\n"
        func check(_ document: String, setup: String) -> [String] {
            Documents.checkDependencies(manifest, setup: setup, document: document).map(\.description)
        }
        let complete = "| `swift-log` | logs |\n| `CZlib` `zlib1g-dev` | zlib |\n| `jq` | tests |\n"
        #expect(check(complete, setup: setup).isEmpty)
        #expect(check("the prose names `swift-log`, `CZlib`, `zlib1g-dev` and `jq`\n", setup: setup).count == 4)
        #expect(check("| `swift-log` | `CZlib` `zlib1g-dev` `jq` |\n", setup: setup).count == 3)
        #expect(check(complete, setup: "test_packages=(jq)\n").count == 1)
    }

    @Test("an error code without a section, or with another exit status, is reported")
    func errors() {
        let table = "    case busy = \"busy\"\n    case noSpace = \"no-space\"\n    case .busy: 11\n    default: 1\n"
        func count(_ document: String) -> Int { Documents.checkErrors(table: table, document: document).count }
        #expect(count("## busy\nExit status: 11.\n## no-space\nExit status: 1.\n") == 0)
        #expect(count("## busy\nExit status: 11.\n") == 1)
        #expect(count("## busy\nExit status: 1.\n## no-space\nExit status: 1.\n") == 1)
        #expect(count("## busy\n## no-space\nExit status: 1.\n") == 1)
    }

    @Test(
        "a link that leads nowhere is reported",
        arguments: [
            ("[a](there.md)", 0), ("[a](../docs/there.md#a-heading)", 0), ("[a](https://example.com/x)", 0),
            ("[a](#here)", 0), ("`[a](gone.md)`", 0), ("```\n[a](gone.md)\n```", 0),
            ("[a](gone.md)", 1), ("[a](there.md#gone)", 1), ("[a](#gone)", 1), ("[a](there.md) and [b](gone.md)", 1),
        ])
    func links(text: String, count: Int) {
        let violations = Documents.checkLinks(
            "docs/page.md", "# Here\n" + text, exists: { $0 == "docs/there.md" }, read: { _ in "# A heading\n" })
        #expect(violations.count == count)
    }

    @Test("a path of one machine is reported")
    func paths() {
        #expect(Documents.checkPaths("README.md", "see /work" + "/main").count == 1)
        #expect(Documents.checkPaths("README.md", "see /root" + "/x").count == 1)
        #expect(Documents.checkPaths("README.md", "see /srv/data and network/main").isEmpty)
    }

    @Test("shell scripts are known by their first line")
    func scripts() {
        #expect(Documents.isShellScript("#!/usr/bin/env bash\n"))
        #expect(Documents.isShellScript("#!/bin/sh\n"))
        #expect(!Documents.isShellScript("#!/usr/bin/env python3\n"))
        #expect(!Documents.isShellScript("bash\n"))
    }
}

@Suite("The rules for the run image")
struct RunImageRuleTests {
    @Test("the last stage's packages are read, across continued lines")
    func installed() {
        let dockerfile = """
            FROM swift AS build
            RUN apt-get install -y libssl-dev
            FROM debian
            RUN apt-get update \\
                && apt-get install -y --no-install-recommends tzdata \\
                    zlib1g \\
                && rm -rf /var/lib/apt/lists/*
            """
        #expect(RunImage.installed(dockerfile) == ["tzdata", "zlib1g"])
    }

    @Test("libraries are read from what ldd prints, without those of Swift")
    func libraries() {
        let (found, missing) = RunImage.libraries(
            """
            \tlinux-vdso.so.1 (0x1)
            \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x2)
            \tlibswiftCore.so => /usr/lib/swift/linux/libswiftCore.so (0x3)
            \tlibgone.so.1 => not found
            \t/lib64/ld-linux-x86-64.so.2 (0x4)
            """)
        #expect(found == ["/lib/x86_64-linux-gnu/libz.so.1"])
        #expect(missing == ["libgone.so.1"])
    }

    @Test("a library too few or too many is reported")
    func compare() {
        let companions = RunImage.companions
        func count(_ installed: Set<String>, closure: Set<String> = []) -> Int {
            let installed = installed.union(companions)
            return RunImage.compare(
                installed: installed, direct: ["zlib1g", "libc6"], all: ["zlib1g", "libc6", "libacl1"],
                closure: installed.union(closure)
            ).count
        }
        #expect(count(["zlib1g"], closure: ["libacl1"]) == 0)
        #expect(count(["zlib1g"]) == 1)
        #expect(count([], closure: ["libacl1"]) == 1)
        #expect(count(["zlib1g", "libxml2"], closure: ["libacl1"]) == 1)
        #expect(
            RunImage.compare(installed: ["zlib1g"], direct: ["zlib1g"], all: ["zlib1g"], closure: ["zlib1g"]).count
                == companions.count)
    }
}
