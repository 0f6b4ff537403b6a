// The pieces of one file in order, going on after a list that cannot be read.

import Primitives
import Repository

/// One step through a file's content.
enum PieceStep {
    case piece(offset: UInt64, ContentPiece)
    /// The list of these bytes' pieces cannot be read.
    case damaged(Range<UInt64>, HoldfastError)
}

/// Gives the pieces of a content, a leaf in memory at a time.
///
/// Unlike ``ContentCursor`` it knows where each list begins and ends, so that damage costs the bytes of one leaf.
struct PieceWalk {
    private struct Pending {
        var reference: NodeReference
        var range: Range<UInt64>
    }

    private let content: Content
    private let tree: SnapshotTree
    private var pieces: [ContentPiece] = []
    private var place = 0
    private var offset: UInt64 = 0
    /// Where the list at hand must end.
    private var end: UInt64 = 0
    /// Lists still to be read, the next one last.
    private var pending: [Pending] = []

    init(_ content: Content, tree: SnapshotTree) {
        self.content = content
        self.tree = tree
        switch content.location {
        case .inline(let pieces):
            self.pieces = pieces
            end = content.size
        case .tree(let root):
            pending = [Pending(reference: root, range: 0..<content.size)]
        }
    }

    /// The next step; nil at the end.
    ///
    /// - Throws: failures of the store that are no damage.
    mutating func next() throws(HoldfastError) -> PieceStep? {
        while true {
            if place < pieces.count {
                let piece = pieces[place]
                place += 1
                guard piece.length <= end - offset else { return skip("longer") }
                defer { offset += piece.length }
                if piece.length == 0 { continue }
                return .piece(offset: offset, piece)
            }
            if offset < end { return skip("shorter") }
            guard let next = pending.popLast() else { return nil }
            do throws(HoldfastError) {
                try open(next)
            } catch {
                guard error.isDamage else { throw error }
                return .damaged(next.range, error)
            }
        }
    }

    /// Gives up the rest of the list at hand, whose lengths do not add up.
    private mutating func skip(_ what: String) -> PieceStep {
        let rest = offset..<end
        pieces = []
        place = 0
        offset = end
        return .damaged(
            rest,
            HoldfastError(
                .corruptObject, "the pieces of a file are \(what) than it is", hint: "Run `holdfast check`."))
    }

    private mutating func open(_ next: Pending) throws(HoldfastError) {
        let node = try tree.contentNode(next.reference, of: content)
        if next.reference.level == 0 {
            pieces = node.pieces
            place = 0
            offset = next.range.lowerBound
            end = next.range.upperBound
            return
        }
        var children: [Pending] = []
        children.reserveCapacity(node.pieces.count)
        var start = next.range.lowerBound
        for child in node.pieces {
            guard child.length <= next.range.upperBound - start else { throw Self.uneven }
            let range = start..<start + child.length
            children.append(
                Pending(reference: NodeReference(id: child.id, level: next.reference.level - 1), range: range))
            start = range.upperBound
        }
        guard start == next.range.upperBound else { throw Self.uneven }
        pending.append(contentsOf: children.reversed())
    }

    private static let uneven = HoldfastError(
        .corruptObject, "the lists of a file do not add up to its size", hint: "Run `holdfast check`.")
}
