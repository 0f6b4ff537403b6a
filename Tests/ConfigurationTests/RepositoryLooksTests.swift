// Looks at places that may hang.

import Configuring
import Primitives
import Scheduling
import Synchronization
import Testing

@Suite("Looks at the places of repositories")
struct RepositoryLooksTests {
    /// Looks that hang at some places until they are let go.
    private final class Places: Sendable {
        let isOpen = Monitor(false)
        let asked = Mutex<[String]>([])

        func look(_ location: String) -> RepositorySite? {
            asked.withLock { $0.append(location) }
            if location.hasPrefix("/hung") { isOpen.wait { $0 ? () : nil } }
            return RepositorySite(path: location)
        }

        func open() { isOpen.withLock { $0 = true } }
    }

    @Test("wait for none that hangs, begin no second one there, and tell when it has answered")
    func hanging() {
        let places = Places()
        let looks = RepositoryLooks(SystemClock(), limit: .milliseconds(100)) { places.look($0) }
        let silent = PlaceAnswer(nil, isSilent: true)
        let first = looks.look(at: ["/good", "/hung"])
        #expect(first == ["/good": PlaceAnswer("/good"), "/hung": silent] && looks.silent == ["/hung"])
        #expect(looks.look(at: ["/hung"]) == ["/hung": silent])
        #expect(places.asked.withLock { $0.sorted() } == ["/good", "/hung"])
        places.open()
        while !looks.silent.isEmpty { SystemClock().sleep(for: .milliseconds(10), unless: Cancellation()) }
        #expect(looks.answers(at: ["/hung"]) == ["/hung": PlaceAnswer("/hung")])
        #expect(looks.look(at: []).isEmpty)
    }

    @Test("keep what a place was when it answered last, and take so many threads and no more")
    func many() {
        let places = Places()
        let clock = SystemClock()
        places.open()
        let looks = RepositoryLooks(clock, limit: .milliseconds(100)) { places.look($0) }
        #expect(looks.look(at: ["/hung0"]) == ["/hung0": PlaceAnswer("/hung0")])
        places.isOpen.withLock { $0 = false }
        let all = Set((0..<40).map { "/hung\($0)" })
        let answers = looks.look(at: all)
        #expect(looks.silent == all)
        #expect(answers["/hung0"] == PlaceAnswer("/hung0", isSilent: true))
        #expect(places.asked.withLock { $0.count } == 1 + RepositoryLooks.maximumThreads)
        places.open()
        while !looks.silent.isEmpty { clock.sleep(for: .milliseconds(10), unless: Cancellation()) }
        #expect(places.asked.withLock { $0.count } == 41)
    }

    @Test("are one for each place, whoever is about it, and tell which jobs wait")
    func filledIn() throws {
        let configuration = try Parsing.configuration(
            """
            repositories: {main: {location: /srv/main}, far: {location: /hung}}
            defaults: {repository: main}
            sources: {shop: {url: "dir:/srv/shop", retention: {last: 2}}}
            """)
        let places = Places()
        let looks = RepositoryLooks(SystemClock(), limit: .milliseconds(100)) { places.look($0) }
        func job(_ name: String, _ action: JobAction, _ repository: String?) -> Job {
            var job = Job(
                name: JobName(name), action: action, schedule: Schedule(text: "", rule: .every(60), zone: .utc))
            job.repository = repository
            return job
        }
        let jobs = [
            job("a", .backup(sources: []), nil), job("b", .check(.structure), "main"),
            job("c", .backup(sources: []), "far"), job("d", .command(["true"]), "far"),
        ]
        func silent(_ jobs: [Job]) -> [String] { jobs.filter { $0.reach?.silent == ["/hung"] }.map { "\($0.name)" } }
        let first = configuration.filledIn(jobs, looks)
        #expect(silent(first) == ["c", "d"])
        #expect(first[0].reach?.repositories == ["/srv/main"] && first[0].reach?.silent == [])
        #expect(places.asked.withLock { $0.sorted() } == ["/hung", "/srv/main"])
        places.open()
        while !looks.silent.isEmpty { SystemClock().sleep(for: .milliseconds(10), unless: Cancellation()) }
        let second = configuration.filledIn(first, looks, isAnew: false)
        #expect(silent(second).isEmpty && second[3].reach?.repositories == ["/hung"])
        #expect(places.asked.withLock { $0.count } == 2)
    }
}
