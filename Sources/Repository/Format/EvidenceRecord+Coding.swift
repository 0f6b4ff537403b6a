// Field numbers and encodings of evidence records. Numbers are never reused.

import Primitives

extension EvidenceRecord {
    package var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, id: id)
        fields.put(2, raw: kind)
        fields.put(3, raw: occasion)
        fields.put(4, raw: verdict)
        fields.put(5, plan)
        fields.put(6, planDigest)
        fields.put(7, `operator`)
        fields.put(8, approver)
        fields.put(9, toolVersion)
        fields.put(10, id: runID)
        fields.put(11, started)
        fields.put(12, finished)
        fields.put(13) { $0.raw(environment.encoded) }
        fields.put(14, list: members) { $0.encoded }
        fields.put(15, list: phases) { $0.encoded }
        fields.put(16, list: checks) { $0.encoded }
        fields.put(17) { writer in
            writer.varint(UInt64(findings.count))
            for finding in findings {
                writer.string(finding.severity)
                writer.string(finding.object)
                writer.string(finding.message)
            }
        }
        fields.put(18, failedAt)
        fields.put(19, rpoObjective)
        fields.put(20, rpoAchieved)
        fields.put(21, rtoObjective)
        fields.put(22, rtoMeasured)
        fields.put(23, sabotage)
        fields.put(24) { writer in
            writer.varint(UInt64(heads.count))
            for head in heads { head.write(to: &writer) }
        }
        fields.put(25, facts)
        if !runs.isEmpty { fields.put(26, list: runs) { $0.encoded } }
        putInventory(&fields)
        return fields.bytes
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: Self.maximumSize)
        let environment = try fields.take(13) { (reader) throws(HoldfastError) in
            try EvidenceEnvironment(try reader.raw(reader.remaining), name: name)
        }
        self.init(
            id: try fields.need(1, try fields.id(1)),
            kind: try fields.need(2, try fields.meaning(2, EvidenceKind.self)),
            occasion: try fields.need(3, try fields.meaning(3, EvidenceOccasion.self)),
            verdict: try fields.need(4, try fields.meaning(4, EvidenceVerdict.self)),
            operator: try fields.need(7, try fields.text(7)), toolVersion: try fields.need(9, try fields.text(9)),
            runID: try fields.need(10, try fields.id(10)), started: try fields.need(11, try fields.time(11)),
            finished: try fields.need(12, try fields.time(12)), environment: try fields.need(13, environment))
        plan = try fields.need(5, try fields.text(5))
        planDigest = try fields.digest(6)
        approver = try fields.text(8)
        members = try fields.need(
            14,
            try fields.list(14, atMost: Self.maximumMembers, of: Self.maximumSize) {
                (bytes, name) throws(HoldfastError) in
                try EvidenceMember(bytes, name: name)
            })
        phases = try fields.need(
            15,
            try fields.list(15, atMost: Self.maximumPhases, of: Self.maximumSize) {
                (bytes, name) throws(HoldfastError) in
                try EvidencePhase(bytes, name: name)
            })
        checks = try fields.need(
            16,
            try fields.list(16, atMost: Self.maximumChecks, of: Self.maximumSize) {
                (bytes, name) throws(HoldfastError) in
                try EvidenceCheck(bytes, name: name)
            })
        let findings = try fields.take(17) { (reader) throws(HoldfastError) in
            var findings: [EvidenceFinding] = []
            for _ in 0..<(try reader.count(each: 3, atMost: Self.maximumFindings)) {
                findings.append(
                    EvidenceFinding(
                        severity: try reader.string(atMost: 64), object: try reader.string(atMost: 4096),
                        message: try reader.string(atMost: FieldReader.longText)))
            }
            return findings
        }
        self.findings = try fields.need(17, findings)
        failedAt = try fields.time(18)
        rpoObjective = try fields.duration(19)
        rpoAchieved = try fields.duration(20)
        rtoObjective = try fields.duration(21)
        rtoMeasured = try fields.duration(22)
        sabotage = try fields.text(23)
        let heads = try fields.take(24) { (reader) throws(HoldfastError) in
            var heads: [EvidenceSnapshot] = []
            for _ in 0..<(try reader.count(each: 72, atMost: Self.maximumHeads)) {
                heads.append(try EvidenceSnapshot(from: &reader))
            }
            return heads
        }
        self.heads = try fields.need(24, heads)
        facts = try fields.need(25, try fields.texts(25))
        runs =
            try fields.list(26, atMost: Self.maximumRuns, of: Self.maximumSize) {
                (bytes, name) throws(HoldfastError) in
                try EvidenceRun(bytes, name: name)
            } ?? []
        try takeInventory(&fields)
        unknown = fields.rest
        try requireSense(fields)
    }

    /// What names other parts of the record names something.
    private func requireSense(_ fields: FieldReader) throws(HoldfastError) {
        guard runs.isEmpty || kind == .runs, kind.isRecovery || members.isEmpty else {
            throw fields.corrupt("it tells of a recovery and of something else")
        }
        let names = Set(members.map(\.name))
        guard names.count == members.count else { throw fields.corrupt("two members have one name") }
        guard Set(checks.map(\.id)).count == checks.count else { throw fields.corrupt("two checks have one id") }
        let mentioned = phases.map(\.member) + checks.map(\.member)
        guard mentioned.allSatisfy({ $0.isEmpty || names.contains($0) }),
            members.allSatisfy({ names.isSuperset(of: $0.after) })
        else { throw fields.corrupt("it speaks of a member that it does not have") }
        for (place, phase) in phases.enumerated() {
            // Only of earlier ones, so that there is no ring.
            guard phase.after.allSatisfy({ $0 < UInt64(place) }) else {
                throw fields.corrupt("a phase waits for one that is not before it")
            }
        }
    }
}

extension EvidenceSnapshot {
    func write(to writer: inout ByteWriter) {
        writer.raw(tag.bytes)
        writer.raw(id.bytes)
        writer.u64(sequence)
        writer.raw(digest)
    }

    init(from reader: inout ByteReader) throws(HoldfastError) {
        tag = SourceTag(try reader.bytes16())
        id = SnapshotID(try reader.bytes16())
        sequence = try reader.u64()
        digest = try reader.bytes32()
    }
}

extension EvidenceEnvironment {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, host)
        fields.put(2, target)
        fields.put(3, network)
        fields.put(4, account)
        fields.put(5, isSegregated)
        fields.put(6, hardware)
        fields.put(7, teardownAt)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: EvidenceRecord.maximumSize)
        host = try fields.need(1, try fields.text(1))
        target = try fields.need(2, try fields.text(2))
        network = try fields.need(3, try fields.text(3))
        account = try fields.need(4, try fields.text(4))
        isSegregated = try fields.need(5, try fields.flag(5))
        hardware = try fields.need(6, try fields.texts(6))
        teardownAt = try fields.time(7)
        unknown = fields.rest
    }
}

extension EvidenceMember {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, name)
        fields.put(2, source)
        fields.put(3, workload)
        if let snapshot { fields.put(4) { snapshot.write(to: &$0) } }
        fields.put(5, selection)
        fields.put(6, wanted)
        fields.put(7, consistentAsOf)
        fields.put(8, durableAt)
        fields.put(9, reached)
        fields.put(10, newestData)
        fields.put(11, after)
        fields.put(12, logicalBytes)
        fields.put(13, storedBytes)
        fields.put(14, logBytes)
        fields.put(15, raw: verdict)
        fields.put(16, rpoObjective)
        fields.put(17, rpoAchieved)
        fields.put(18, rpoErrorBar)
        fields.put(19, rtoObjective)
        fields.put(20, rtoMeasured)
        fields.put(21, facts)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name label: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: label, atMost: EvidenceRecord.maximumSize)
        self.init(
            name: try fields.need(1, try fields.text(1)), source: try fields.need(2, try fields.text(2)),
            workload: try fields.need(3, try fields.text(3)), selection: try fields.need(5, try fields.text(5)),
            verdict: try fields.need(15, try fields.meaning(15, EvidenceVerdict.self)))
        snapshot = try fields.take(4) { (reader) throws(HoldfastError) in try EvidenceSnapshot(from: &reader) }
        wanted = try fields.need(6, try fields.text(6))
        consistentAsOf = try fields.time(7)
        durableAt = try fields.time(8)
        reached = try fields.need(9, try fields.text(9))
        newestData = try fields.time(10)
        after = try fields.need(11, try fields.list(11, atMost: EvidenceRecord.maximumMembers))
        logicalBytes = try fields.number(12)
        storedBytes = try fields.number(13)
        logBytes = try fields.number(14)
        rpoObjective = try fields.duration(16)
        rpoAchieved = try fields.duration(17)
        rpoErrorBar = try fields.duration(18)
        rtoObjective = try fields.duration(19)
        rtoMeasured = try fields.duration(20)
        facts = try fields.need(21, try fields.texts(21))
        unknown = fields.rest
        guard !name.isEmpty else { throw fields.corrupt("a member has no name") }
    }
}

extension EvidencePhase {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, name.rawValue)
        fields.put(2, member)
        if case .measured(let start, _) = timing { fields.put(3, start) }
        fields.put(4, duration)
        fields.put(5, bytes)
        fields.put(6) { writer in
            writer.varint(UInt64(after.count))
            for place in after { writer.varint(place) }
        }
        return fields.bytes
    }

    init(_ bytes: [UInt8], name label: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: label, atMost: EvidenceRecord.maximumSize)
        name = RecoveryPhase(rawValue: try fields.need(1, try fields.text(1, atMost: 64)))
        member = try fields.need(2, try fields.text(2))
        let start = try fields.time(3)
        let duration = try fields.need(4, try fields.duration(4))
        guard duration >= .zero else { throw fields.corrupt("a phase ends before it begins") }
        timing = if let start { .measured(start: start, duration: duration) } else { .declared(duration) }
        self.bytes = try fields.number(5)
        let after = try fields.take(6) { (reader) throws(HoldfastError) in
            var after: [UInt64] = []
            for _ in 0..<(try reader.count(each: 1, atMost: EvidenceRecord.maximumPhases)) {
                after.append(try reader.varint())
            }
            return after
        }
        self.after = try fields.need(6, after)
        unknown = fields.rest
    }
}

extension EvidenceCheck {
    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, id)
        fields.put(2, member)
        fields.put(3, kind)
        fields.put(4, statement)
        fields.put(5, expected)
        fields.put(6, actual)
        fields.put(7, raw: verdict)
        fields.put(8, started)
        fields.put(9, duration)
        fields.put(10, outputDigest)
        fields.put(11, outputBytes)
        return fields.bytes
    }

    init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: EvidenceRecord.maximumSize)
        let long = FieldReader.longText
        self.init(
            id: try fields.need(1, try fields.text(1)), member: try fields.need(2, try fields.text(2)),
            kind: try fields.need(3, try fields.text(3, atMost: 64)),
            statement: try fields.need(4, try fields.text(4, atMost: long)),
            expected: try fields.need(5, try fields.text(5, atMost: long)),
            actual: try fields.need(6, try fields.text(6, atMost: long)),
            verdict: try fields.need(7, try fields.meaning(7, EvidenceCheckVerdict.self)),
            outputDigest: try fields.need(10, try fields.digest(10)),
            outputBytes: try fields.need(11, try fields.number(11)))
        started = try fields.time(8)
        duration = try fields.duration(9)
        unknown = fields.rest
    }
}
