// How a tool is run that reads what a snapshot holds.

import Primitives

/// A user without rights and what that user's tools are kept from.
struct ScratchConfinement: Sendable {
    let isolation: ScratchIsolation
    let user: ServerUser
    /// Where the tool finds files that are made for it.
    let directory: String
    /// What it sees beside its own programs.
    let place: String

    /// What to start: nothing of our environment goes along.
    func request(_ words: [String], input: ProcessRequest.Input) -> ProcessRequest {
        let parent = (words.first.flatMap { word in word.lastIndex(of: "/").map { String(word[..<$0]) } }).map { [$0] }
        var request = ProcessRequest(isolation.words(words, as: user, seeing: [place] + (parent ?? [])))
        request.environment = ToolRun.environment
        request.input = input
        return request
    }
}
