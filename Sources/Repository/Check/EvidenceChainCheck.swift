// Checks every link of evidence, the chains that they make, and what snapshots know of their ends.

import ObjectStore
import Primitives

struct EvidenceChainCheck {
    let collector: CheckCollector
    /// Opens records; nil when there is no key. Without one the heads in snapshots stay closed as well, and only other
    /// chains tell of an end that was cut off.
    let keyring: Keyring?
    let objects: CheckedObjects

    init(_ collector: CheckCollector, keyring: Keyring?, objects: CheckedObjects) {
        self.collector = collector
        self.keyring = keyring
        self.objects = objects
    }

    func run() throws(HoldfastError) {
        var infos: [ObjectInfo] = []
        try collector.store.list(ObjectNames.evidence) { (info) throws(HoldfastError) in infos.append(info) }
        var chains = EvidenceChains()
        for info in infos.sorted(by: { $0.key < $1.key }) {
            guard let named = ObjectNames.evidenceNumber(info.key) else { continue }
            var link: EvidenceChains.Link?
            try collector.examine(info, limit: EvidenceObject.maximumSize) { (bytes) throws(HoldfastError) in
                let parsed = try self.read(bytes, named.slot, named.number, info.key.path)
                link = EvidenceChains.Link(digest: parsed.digest, previous: parsed.object.previous)
                for head in parsed.object.others { chains.add(.init(head: head, by: info.key.path)) }
            }
            collector.count { $0.evidence += 1 }
            chains.add(named.slot, named.number, link)
        }
        for snapshot in objects.snapshots {
            for head in snapshot.record?.evidence ?? [] {
                chains.add(.init(head: head, by: "snapshot \(snapshot.object.id)"))
            }
        }
        let store = collector.store
        let problems = try chains.problems { (slot, number) throws(HoldfastError) in
            try store.info(ObjectNames.evidence(slot, number)) != nil
        }
        for problem in problems {
            let name = ObjectNames.evidence(problem.slot, problem.number).path
            collector.add(.error, problem.problem, name, problem.message)
        }
    }

    private func read(
        _ bytes: [UInt8], _ slot: SlotID, _ number: UInt32, _ name: String
    ) throws(HoldfastError) -> EvidenceObject.Parsed {
        let parsed = try EvidenceObject.parse(bytes, name: name)
        let object = parsed.object
        try objects.require(object.repository, object.slot == slot && object.number == number, name: name)
        try objects.verify(parsed.body, parsed.signature, by: slot, name: name) { $0.mayAttest(in: object.epoch) }
        if let keyring {
            _ = try parsed.record(with: keyring.openingKeys(structure: true, epoch: object.epoch), name: name)
        }
        return parsed
    }
}
