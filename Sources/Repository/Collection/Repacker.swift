// Copying what is needed out of packs that are mostly unneeded.

import Primitives

extension Collector {
    func planRepack(_ plan: inout PrunePlan, doomed: Set<PackID>) {}
    func repack(_ plan: PrunePlan) throws(HoldfastError) -> Bool { false }
}
