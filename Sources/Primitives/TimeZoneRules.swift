// Time zones from the system's tz database (RFC 8536), without a process-wide setting.

import CLinux
import Glibc
import Synchronization

/// How far local time is ahead of UTC at any instant.
package struct TimeZoneRules: Sendable {
    package static let utc = TimeZoneRules(name: "UTC")
    /// Where the tz database is installed.
    package static let databaseDirectory = "/usr/share/zoneinfo"
    private static let maximumSize = 1 << 20

    package let name: String
    private var transitions: [(at: Int64, offset: Int64)] = []
    private var first: Int64 = 0
    private var rule: Rule?

    private init(name: String) { self.name = name }

    /// Reads a zone such as `Europe/Berlin`; `UTC` needs no database.
    ///
    /// - Throws: `.usage` for a name that is not in the database.
    package init(named name: String, in directory: String = databaseDirectory) throws(HoldfastError) {
        if name == "UTC" {
            self = .utc
            return
        }
        let isPlain = name.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || Array("/_+-".utf8).contains(byte)
        }
        let path = "\(directory)/\(name)"
        if isPlain, let stamp = Stamp(path), let known = Self.known.withLock({ $0[path] }), known.stamp == stamp {
            self = known.rules
            return
        }
        guard isPlain, !name.isEmpty, !name.hasPrefix("/"), let (bytes, stamp) = Self.read(path) else {
            throw HoldfastError(
                .usage, "there is no time zone \(name) in \(directory)",
                hint: "Give a name such as Europe/Berlin, and install tzdata where it is missing.")
        }
        try self.init(bytes, name: name)
        let rules = self
        Self.known.withLock { known in
            // More than the database has.
            if known.count >= Self.maximumKnown { known = [:] }
            known[path] = (stamp, rules)
        }
    }

    /// What was read before, by paths: thousands of jobs share a few zones, and their rules. A new database has other
    /// stamps.
    private static let known = Mutex<[String: (stamp: Stamp, rules: TimeZoneRules)]>([:])
    private static let maximumKnown = 1000

    /// Tells one content of a file from another.
    private struct Stamp: Equatable {
        private let device, inode: UInt64
        private let size: Int
        private let modified, changed: (Int, Int)

        init(_ status: stat) {
            (device, inode, size) = (UInt64(status.st_dev), UInt64(status.st_ino), Int(status.st_size))
            modified = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
            changed = (status.st_ctim.tv_sec, status.st_ctim.tv_nsec)
        }

        /// Nil where there is nothing.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            self.init(status)
        }

        static func == (one: Stamp, other: Stamp) -> Bool {
            one.device == other.device && one.inode == other.inode && one.size == other.size
                && one.modified == other.modified && one.changed == other.changed
        }
    }

    /// Seconds that local time is ahead of UTC at `instant`.
    package func offset(at instant: Timestamp) -> Int64 {
        let seconds = instant.seconds
        guard let last = transitions.last, let start = transitions.first else {
            return rule?.offset(at: seconds) ?? first
        }
        if seconds < start.at { return first }
        if seconds >= last.at { return rule?.offset(at: seconds) ?? last.offset }
        return transitions[index(at: seconds)].offset
    }

    /// The stretch around `seconds` since 1970 in which local time is ahead of UTC by one amount.
    package func segment(at seconds: Int64) -> Segment {
        guard let last = transitions.last, let start = transitions.first else {
            return rule?.segment(at: seconds, from: nil) ?? Segment(start: nil, end: nil, offset: first)
        }
        if seconds < start.at { return Segment(start: nil, end: start.at, offset: first) }
        if seconds >= last.at {
            return rule?.segment(at: seconds, from: last.at) ?? Segment(start: last.at, end: nil, offset: last.offset)
        }
        let index = index(at: seconds)
        return Segment(
            start: transitions[index].at, end: transitions[index + 1].at, offset: transitions[index].offset)
    }

    /// A stretch of time from one change of the clocks to the next, in seconds since 1970.
    package struct Segment: Sendable, Hashable {
        /// The change that it begins with; nil when it has always been so.
        package var start: Int64?
        /// The change that ends it, which is not in it; nil when there will be none.
        package var end: Int64?
        /// Seconds that local time is ahead of UTC.
        package var offset: Int64
    }

    /// The last transition that is not after `seconds`, which is not before the first.
    private func index(at seconds: Int64) -> Int {
        var low = 0
        var high = transitions.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if transitions[middle].at <= seconds { low = middle } else { high = middle }
        }
        return low
    }

    /// Reads a TZif file: of two blocks the second, which has 64-bit times, and the rule behind it.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        self.name = name
        var reader = ByteReader(bytes, as: "time zone \(name)")
        var counts = try Self.header(&reader)
        if counts.version >= 2 {
            _ = try reader.raw(counts.size(time: 4))
            counts = try Self.header(&reader)
        }
        let wide = counts.version >= 2
        var times: [Int64] = []
        for _ in 0..<counts.times {
            times.append(wide ? Int64(bitPattern: try reader.u64().byteSwapped) : Int64(try Self.i32(&reader)))
        }
        let kinds = try reader.raw(counts.times)
        var offsets: [Int64] = []
        for _ in 0..<counts.types {
            offsets.append(Int64(try Self.i32(&reader)))
            _ = try reader.raw(2)
        }
        guard let initial = offsets.first else { throw reader.corrupt("it has no kind of local time") }
        first = initial
        for (time, kind) in zip(times, kinds) {
            guard Int(kind) < offsets.count, transitions.last.map({ $0.at < time }) ?? true else {
                throw reader.corrupt("its transitions are out of order")
            }
            transitions.append((time, offsets[Int(kind)]))
        }
        guard wide else { return }
        _ = try reader.raw(counts.characters + counts.leaps * 12 + counts.standards + counts.universals)
        let footer = try reader.raw(reader.remaining)
        rule = Rule(String(decoding: footer.drop { $0 == 10 }.prefix { $0 != 10 }, as: UTF8.self))
    }

    private struct Counts {
        var version: Int
        var universals: Int
        var standards: Int
        var leaps: Int
        var times: Int
        var types: Int
        var characters: Int

        func size(time: Int) -> Int {
            times * (time + 1) + types * 6 + characters + leaps * (time + 4) + standards + universals
        }
    }

    private static func header(_ reader: inout ByteReader) throws(HoldfastError) -> Counts {
        guard try reader.raw(4) == Array("TZif".utf8) else { throw reader.corrupt("it is no TZif file") }
        let version = Int(try reader.u8())
        _ = try reader.raw(15)
        var numbers: [Int] = []
        for _ in 0..<6 {
            let number = Int(try i32(&reader))
            guard number >= 0, number <= maximumSize else { throw reader.corrupt("a count is over its limit") }
            numbers.append(number)
        }
        return Counts(
            version: version >= 0x32 ? version - 0x30 : 1, universals: numbers[0], standards: numbers[1],
            leaps: numbers[2], times: numbers[3], types: numbers[4], characters: numbers[5])
    }

    private static func i32(_ reader: inout ByteReader) throws(HoldfastError) -> Int32 {
        Int32(bitPattern: try reader.u32().byteSwapped)
    }

    private static func read(_ path: String) -> (bytes: [UInt8], stamp: Stamp)? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 14)
        while bytes.count < maximumSize {
            let (count, _) = retryingInterrupts { Glibc.read(descriptor, &piece, piece.count) }
            if count < 0 { return nil }
            if count == 0 { return (bytes, Stamp(status)) }
            bytes += piece[..<count]
        }
        return nil
    }
}

extension TimeZoneRules {
    /// The POSIX rule for instants after the last listed transition, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    struct Rule: Sendable {
        private enum Day: Sendable {
            /// Month, week (5 is the last), day of the week from Sunday.
            case weekday(Int64, Int64, Int64)
            /// 1…365, 29 February never counted.
            case julian(Int64)
            /// 0…365.
            case ordinal(Int64)
        }

        private var standard: Int64
        private var summer: (offset: Int64, start: (Day, Int64), end: (Day, Int64))?

        init?(_ text: String) {
            var rest = Substring(text)
            guard Self.name(&rest), let west = Self.time(&rest) else { return nil }
            standard = -west
            guard !rest.isEmpty else { return }
            guard Self.name(&rest) else { return nil }
            var offset = standard + 3600
            if rest.first != ",", let west = Self.time(&rest) { offset = -west }
            let days = rest.split(separator: ",")
            guard days.count == 2, let start = Self.day(days[0]), let end = Self.day(days[1]) else { return nil }
            summer = (offset, start, end)
        }

        /// - Parameter first: The last transition that is listed, before which the rule does not hold.
        func segment(at seconds: Int64, from first: Int64?) -> Segment {
            guard let summer else { return Segment(start: first, end: nil, offset: standard) }
            let year = Timestamp.civil(daysSince1970: (seconds + standard).floorDivided(by: 86_400)).year
            var segment = Segment(start: first, end: nil, offset: offset(at: seconds))
            // The nearest change on either side is at most a year away.
            for near in year - 1...year + 1 {
                let changes = [
                    Self.days(summer.start.0, near) * 86_400 + summer.start.1 - standard,
                    Self.days(summer.end.0, near) * 86_400 + summer.end.1 - summer.offset,
                ]
                for change in changes {
                    if change <= seconds {
                        segment.start = max(change, segment.start ?? .min)
                    } else {
                        segment.end = min(change, segment.end ?? .max)
                    }
                }
            }
            return segment
        }

        func offset(at seconds: Int64) -> Int64 {
            guard let summer else { return standard }
            let year = Timestamp.civil(daysSince1970: (seconds + standard).floorDivided(by: 86_400)).year
            let start = Self.days(summer.start.0, year) * 86_400 + summer.start.1 - standard
            let end = Self.days(summer.end.0, year) * 86_400 + summer.end.1 - summer.offset
            let isSummer = start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end
            return isSummer ? summer.offset : standard
        }

        private static func name(_ rest: inout Substring) -> Bool {
            if rest.first == "<" {
                guard let end = rest.firstIndex(of: ">") else { return false }
                rest = rest[rest.index(after: end)...]
                return true
            }
            let tail = rest.drop { $0.isLetter }
            defer { rest = tail }
            return tail.startIndex != rest.startIndex
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        private static func time(_ rest: inout Substring) -> Int64? {
            let sign: Int64 = rest.first == "-" ? -1 : 1
            if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
            let text = rest.prefix { $0.isNumber || $0 == ":" }
            rest = rest[text.endIndex...]
            var total: Int64 = 0
            var unit: Int64 = 3600
            for part in text.split(separator: ":") {
                guard let number = Int64(part), number <= 167, unit > 0 else { return nil }
                total += number * unit
                unit /= 60
            }
            return text.isEmpty ? nil : sign * total
        }

        private static func day(_ text: Substring) -> (Day, Int64)? {
            let parts = text.split(separator: "/")
            guard let first = parts.first, parts.count <= 2 else { return nil }
            var time: Int64 = 7200
            if parts.count == 2 {
                var rest = parts[1]
                guard let own = Self.time(&rest), rest.isEmpty else { return nil }
                time = own
            }
            if first.hasPrefix("M") {
                let numbers = first.dropFirst().split(separator: ".").compactMap { Int64($0) }
                guard numbers.count == 3, (1...12).contains(numbers[0]), (1...5).contains(numbers[1]),
                    (0...6).contains(numbers[2])
                else { return nil }
                return (.weekday(numbers[0], numbers[1], numbers[2]), time)
            }
            if first.hasPrefix("J"), let number = Int64(first.dropFirst()), (1...365).contains(number) {
                return (.julian(number), time)
            }
            guard let number = Int64(first), (0...365).contains(number) else { return nil }
            return (.ordinal(number), time)
        }

        private static func days(_ day: Day, _ year: Int64) -> Int64 {
            switch day {
            case .ordinal(let number): return Timestamp.days(year, 1, 1) + number
            case .julian(let number):
                let isLeap = Timestamp.days(year, 3, 1) - Timestamp.days(year, 2, 1) == 29
                return Timestamp.days(year, 1, 1) + number - (isLeap && number >= 60 ? 0 : 1)
            case .weekday(let month, let week, let weekday):
                let first = Timestamp.days(year, month, 1)
                // 1970-01-01 was a Thursday.
                let firstWeekday = (first + 4) - (first + 4).floorDivided(by: 7) * 7
                var found = first + (weekday - firstWeekday + 7) % 7 + (week - 1) * 7
                let next = month == 12 ? Timestamp.days(year + 1, 1, 1) : Timestamp.days(year, month + 1, 1)
                while found >= next { found -= 7 }
                return found
            }
        }
    }
}

extension Timestamp {
    /// Year, month and day in the proleptic Gregorian calendar to days since 1970-01-01
    /// (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil).
    package static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floorDivided(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
