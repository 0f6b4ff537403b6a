// What jobs are about, once the configuration has filled in what their files leave to it.

import Configuring
import Foundation
import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("What jobs are about")
struct JobReachTests {
    private let text = """
        repositories:
          main: {location: /srv/main}
          alias: {location: /srv/main}
          far: {location: /srv/far}
        defaults: {repository: main}
        sources:
          shop: {url: "dir:/srv/shop", retention: {last: 2}}
          mail: {url: "dir:/srv/mail", repository: far, retention: {last: 2}}
        """

    private func job(_ action: JobAction, _ repository: String? = nil) -> Job {
        var job = Job(
            name: JobName("job"), action: action, schedule: Schedule(text: "", rule: .every(60), zone: .utc))
        job.repository = repository
        return job
    }

    @Test("retention of the default repository minds a backup of it, whichever of the two names it")
    func defaults() throws {
        let configuration = try Parsing.configuration(text)
        let names: [String?] = [nil, "main", "alias"]
        for (one, other) in names.flatMap({ one in names.map { (one, $0) } }) {
            let forget = configuration.filledIn(job(.forget(sources: [], prune: true), one))
            let backup = configuration.filledIn(job(.backup(sources: ["shop"]), other))
            #expect(forget.thinsOut(sourcesOf: backup) && forget.sharesRepository(with: backup))
        }
        let forget = configuration.filledIn(job(.forget(sources: [], prune: true)))
        #expect(!forget.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["mail"])))))
        #expect(forget.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: [])))))
        let far = configuration.filledIn(job(.forget(sources: [], prune: true), "far"))
        #expect(far.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["mail"])))))
        #expect(!far.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["shop"])))))
    }

    @Test("a repository that the environment names takes the place of the configuration's")
    func named() throws {
        let configuration = try Parsing.configuration(text)
        let forget = configuration.filledIn(job(.forget(sources: [], prune: true)), named: "/srv/far")
        let backup = configuration.filledIn(job(.backup(sources: ["shop"])), named: "far")
        #expect(forget.thinsOut(sourcesOf: backup))
        #expect(backup.reach?.repositories == ["/srv/far"])
        #expect(!forget.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["shop"])))))
    }

    @Test("one repository is one in every spelling, and what cannot be told may be any")
    func spellings() throws {
        let directory = TemporaryDirectory()
        let place = directory.path + "/repository"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/link", withDestinationPath: place)
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/lost", withDestinationPath: directory.path + "/unmounted/place")
        let configuration = try Parsing.configuration(
            text.replacing("alias: {location: /srv/main}", with: "alias: {location: \(directory.path)/link}")
                .replacing("/srv/main", with: place))
        let forget = configuration.filledIn(job(.forget(sources: [], prune: true), "main"))
        for named in ["\(place)/", "dir:\(place)", "file://\(place)", "\(place)/../link", "\(directory.path)/./link"] {
            let backup = configuration.filledIn(job(.backup(sources: ["shop"])), named: named)
            #expect(forget.thinsOut(sourcesOf: backup) && forget.sharesRepository(with: backup), "\(named)")
        }
        #expect(forget.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["shop"]), "alias"))))
        for unclear in ["s3:somewhere", "\(directory.path)/lost"] {
            let backup = configuration.filledIn(job(.backup(sources: ["shop"])), named: unclear)
            #expect(forget.thinsOut(sourcesOf: backup), "\(unclear)")
        }
        let other = configuration.filledIn(job(.backup(sources: ["shop"])), named: "\(directory.path)/not/there")
        #expect(!forget.thinsOut(sourcesOf: other))
    }
}
