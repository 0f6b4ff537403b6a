// What jobs are about, once the configuration has filled in what their files leave to it.

import Configuration
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
        #expect(backup.reach?.repositories == ["far"])
        #expect(!forget.thinsOut(sourcesOf: configuration.filledIn(job(.backup(sources: ["shop"])))))
    }
}
