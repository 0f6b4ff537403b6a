// A repository with its mirrors, as far as they can be read.

import Configuring
import ObjectStore
import Primitives
import Recovery
import Repository

/// All places that hold copies of a repository.
struct RepositoryCopies: Sendable {
    var places: [CopyPlace]
    /// Mirrors that cannot be read.
    var failures: [(location: String, error: HoldfastError)] = []

    /// - Parameters:
    ///   - repository: The opened repository.
    ///   - place: Where it is, with what the configuration says of its mirrors.
    init(of repository: Repository, _ place: RepositoryPlace, _ context: CommandContext) {
        let configured = place.configured
        func classes(_ location: String) -> Set<CopyClass> {
            var classes: Set<CopyClass> = [configured?.offsite.contains(location) == true ? .offsite : .local]
            if configured?.immutable.contains(location) == true { classes.insert(.immutable) }
            return classes
        }
        places = [CopyPlace(location: place.location, classes: classes(place.location), repository: repository)]
        for mirror in configured?.mirrors ?? [] {
            do throws(HoldfastError) {
                let store = context.decorated(try StoreLocation.open(mirror), nil)
                places.append(
                    CopyPlace(
                        location: mirror, classes: classes(mirror), repository: try repository.copy(in: store)))
            } catch {
                failures.append((mirror, error))
            }
        }
    }
}
