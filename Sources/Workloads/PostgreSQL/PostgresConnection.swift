// A connection through libpq that never blocks without looking at the clock and the cancellation.

import CLinux
import CPostgres
import Glibc
import Primitives
import Synchronization

/// A session with a PostgreSQL server.
///
/// Thread: one at a time, and none of the cooperative pool: calls wait for the network.
/// Cancellation: a raised cancellation ends the running statement on the server, and the call throws `.interrupted`.
package final class PostgresConnection: @unchecked Sendable {
    // Sendable: handed from thread to thread as a whole; libpq's handle is used by one at a time.

    /// What the session is for.
    package enum Purpose: Sendable {
        /// Statements in a database; nil means the URL's, or libpq's default.
        case database(String?)
        /// The replication protocol, without a database. In a password file its database is called `replication`.
        case replication
        /// To see whether a password logs in, which comes from nowhere else.
        case login(PostgresLogin)
    }

    /// Notices kept; more are counted.
    static let maximumNotices = 1000
    private static let nap: Int32 = 50
    private static let cancelPatience = Duration.seconds(2)
    /// What holds where the URL says nothing. A server whose machine vanished is given up after two minutes, in which
    /// it answered no probe; the system's own patience is two hours.
    static let standard = ["keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"]

    private final class Notices: Sendable {
        let state = Mutex<(kept: [PostgresReport], count: Int)>(([], 0))
    }

    package let address: PostgresAddress
    private let handle: OpaquePointer
    private let notices: Notices
    private let clock: any Clock
    private let cancellation: Cancellation

    /// Connects.
    ///
    /// - Parameter timeout: For reaching the server and logging in.
    /// - Throws: `.accessDenied` when the server lets us not in, `.sourceFailed` when it cannot be reached,
    ///   `.interrupted`.
    package init(
        _ address: PostgresAddress, for purpose: Purpose, clock: any Clock = SystemClock(),
        cancellation: Cancellation, timeout: Duration = .seconds(30)
    ) throws(HoldfastError) {
        try cancellation.check()
        var parameters = Self.standard.merging(address.parameters) { $1 }
        if parameters["application_name"] == nil { parameters["fallback_application_name"] = "holdfast" }
        parameters["client_encoding"] = "UTF8"
        var password: SecretBytes?
        switch purpose {
        case .database(let name): if let name { parameters["dbname"] = name }
        case .replication:
            parameters["dbname"] = "replication"
            parameters["replication"] = "true"
        case .login(let login):
            parameters = login.parameters(parameters)
            password = login.password
        }
        let handle = Self.start(parameters, password)
        guard let handle else { throw HoldfastError(.sourceFailed, "no memory for a connection", retry: .later) }
        self.address = address
        self.handle = handle
        self.clock = clock
        self.cancellation = cancellation
        notices = Notices()
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        let receiver = Unmanaged.passUnretained(notices).toOpaque()
        PQsetNoticeReceiver(
            handle,
            { argument, result in
                guard let argument else { return }
                let notices = Unmanaged<Notices>.fromOpaque(argument).takeUnretainedValue()
                notices.state.withLock { state in
                    state.count += 1
                    if state.kept.count < PostgresConnection.maximumNotices {
                        state.kept.append(PostgresResult.report(of: result))
                    }
                }
            }, receiver)
        // All properties are set, so `deinit` ends the connection.
        try refuseOtherServer()
        try connect(until: clock.uptime() + timeout, timeout)
    }

    deinit { PQfinish(handle) }

    // MARK: Facts

    /// Such as 150020 for 15.20.
    package var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// A setting that the server tells every client, such as `server_version`.
    package func setting(_ name: String) -> String? { PQparameterStatus(handle, name).map { String(cString: $0) } }

    /// Whether the server asked for a password, and the login went by it.
    var hasUsedPassword: Bool { PQconnectionUsedPassword(handle) == 1 }

    /// What the server remarked since the last call, and how many remarks there were in all.
    package func takeNotices() -> (kept: [PostgresReport], count: Int) {
        notices.state.withLock { state in
            defer { state = ([], 0) }
            return state
        }
    }

    /// `text` as a literal of SQL and of the replication protocol.
    package func literal(_ text: String) throws(HoldfastError) -> String {
        try escaped(text) { PQescapeLiteral(handle, $0, $1) }
    }

    /// `text` as a quoted name.
    package func identifier(_ text: String) throws(HoldfastError) -> String {
        try escaped(text) { PQescapeIdentifier(handle, $0, $1) }
    }

    private func escaped(
        _ text: String, _ escape: (UnsafePointer<CChar>, Int) -> UnsafeMutablePointer<CChar>?
    ) throws(HoldfastError) -> String {
        let count = text.utf8.count
        guard let result = text.withCString({ escape($0, count) }) else {
            throw HoldfastError(.sourceFailed, "a text cannot be quoted: \(lastMessage)")
        }
        defer { PQfreemem(result) }
        return String(cString: result)
    }

    // MARK: Statements

    /// Runs one statement and returns its rows.
    ///
    /// - Throws: see ``HoldfastError/postgres(_:during:)``.
    package func rows(_ statement: String, for action: String) throws(HoldfastError) -> [[String?]] {
        try send(statement, for: action)
        var rows: [[String?]] = []
        while let result = try nextResult(for: action) { rows = result.rows }
        return rows
    }

    /// Runs one statement and returns its rows, each of which has `columns` fields.
    ///
    /// - Throws: `.sourceFailed` for rows of another kind, see ``HoldfastError/postgres(_:during:)``.
    package func rows(
        _ statement: String, columns: Int, for action: String
    ) throws(HoldfastError) -> [[String?]] {
        let rows = try rows(statement, for: action)
        guard rows.allSatisfy({ $0.count == columns }) else {
            throw HoldfastError(
                .sourceFailed, "\(action): the server sent other columns than were asked for",
                hint: "Check that the server is PostgreSQL, and no proxy for it.")
        }
        return rows
    }

    /// One row as it came.
    package struct Fields {
        fileprivate let result: PostgresResult

        package var count: Int { result.columnCount }
        package func byteCount(_ column: Int) -> Int { result.byteCount(0, column) }
        package func text(_ column: Int) -> String? { result.text(0, column) }
    }

    /// Runs one statement and hands on each row as it comes, so that an answer of any length takes the memory of a row.
    /// After `body` has thrown the connection can only be closed.
    ///
    /// - Throws: `.usage` for a copy, which is no answer; what `body` throws; see
    ///   ``HoldfastError/postgres(_:during:)``, also for several statements in one.
    package func eachRow(
        of statement: String, for action: String, _ body: (Fields) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        // The extended protocol takes one statement alone.
        guard PQsendQueryParams(handle, statement, 0, nil, nil, nil, nil, 0) == 1, PQsetSingleRowMode(handle) == 1
        else { throw connectionFailure(action) }
        while let result = try nextResult(for: action) {
            guard result.status != PGRES_COPY_OUT else {
                throw HoldfastError(.usage, "\(action): a copy is no answer", hint: "Use SELECT.")
            }
            if result.rowCount > 0 { try body(Fields(result: result)) }
        }
    }

    /// Sends one statement, whose results come from ``nextResult(for:)``.
    package func send(_ statement: String, for action: String) throws(HoldfastError) {
        guard PQsendQuery(handle, statement) == 1 else { throw connectionFailure(action) }
    }

    /// The next result of the statement sent last; nil after its last.
    package func nextResult(for action: String) throws(HoldfastError) -> PostgresResult? {
        while PQisBusy(handle) == 1 {
            try wait(for: POLLIN)
            guard PQconsumeInput(handle) == 1 else { throw connectionFailure(action) }
        }
        guard let pointer = PQgetResult(handle) else { return nil }
        let result = PostgresResult(owning: pointer)
        switch result.status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY, PGRES_COPY_OUT, PGRES_SINGLE_TUPLE: return result
        case PGRES_FATAL_ERROR where result.report.state == nil: throw connectionFailure(action)
        default:
            try skipResults()
            throw HoldfastError.postgres(result.report, during: action)
        }
    }

    /// Takes what follows a failure, so that the next statement can be sent; a connection that breaks meanwhile says so
    /// by then.
    private func skipResults() throws(HoldfastError) {
        while PQstatus(handle) == CONNECTION_OK {
            while PQisBusy(handle) == 1 {
                try wait(for: POLLIN)
                guard PQconsumeInput(handle) == 1 else { return }
            }
            guard let pointer = PQgetResult(handle) else { return }
            let status = PQresultStatus(pointer)
            PQclear(pointer)
            // Results of copies repeat for ever unless they are read.
            if status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH { return }
        }
    }

    /// Gives the next message of a copy out to `body`; false at the copy's end, whose result is then next.
    ///
    /// - Throws: what the server ended the copy with, and what `body` throws.
    package func nextCopyMessage(
        for action: String, _ body: (UnsafeRawBufferPointer) throws(HoldfastError) -> Void
    ) throws(HoldfastError) -> Bool {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(handle, &buffer, 1)
            defer { PQfreemem(buffer) }
            switch count {
            case 0:
                try wait(for: POLLIN)
                guard PQconsumeInput(handle) == 1 else { throw connectionFailure(action) }
            case -1: return false
            case ..<0: throw connectionFailure(action)
            default:
                try body(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
                return true
            }
        }
    }

    /// Asks the server to end the running statement, over a connection of its own, for at most two seconds. Safe from
    /// any thread.
    package func cancel() {
        guard let request = PQgetCancel(handle).map({ CancelRequest(handle: $0) }) else { return }
        // A server that is off the net would keep PQcancel for minutes. The thread ends with its call.
        let asking = JoinableThread { request.send() }
        guard let asking else { return }
        let end = clock.uptime() + Self.cancelPatience
        while !request.isDone.isRaised, clock.uptime() < end { request.isDone.wait(for: end - clock.uptime()) }
        if request.isDone.isRaised { asking.join() } else { asking.leave() }
    }

    // If the server cannot be asked, closing the connection ends the statement too.
    private final class CancelRequest: @unchecked Sendable {
        // Sendable: libpq's handle is used by one thread, and freed when nobody has it any more.
        let handle: OpaquePointer
        let isDone = Cancellation()

        init(handle: OpaquePointer) { self.handle = handle }

        deinit { PQfreeCancel(handle) }

        func send() {
            var reason = [CChar](repeating: 0, count: 256)
            PQcancel(handle, &reason, Int32(reason.count))
            isDone.raise()
        }
    }

    // MARK: Waiting

    private static func start(_ parameters: [String: String], _ password: SecretBytes?) -> OpaquePointer? {
        let pairs = parameters.sorted { $0.key < $1.key }
        let keys = (pairs.map(\.key) + (password == nil ? [] : ["password"])).map { strdup($0) }
        let values = pairs.map { strdup($0.value) }
        // With the zero at its end. What libpq keeps of it for the session it wipes; what it makes of it while it reads
        // the parameters it frees as it is.
        let secret = password.map { password in
            let text = SecretBytes(count: password.count + 1)
            password.withBytes { own in text.withMutableBytes { $0.copyMemory(from: own) } }
            return text
        }
        defer { for text in keys + values { free(text) } }
        func start(_ secret: UnsafePointer<CChar>?) -> OpaquePointer? {
            let keywords: [UnsafePointer<CChar>?] = keys.map { UnsafePointer($0) } + [nil]
            var texts: [UnsafePointer<CChar>?] = values.map { UnsafePointer($0) }
            if let secret { texts.append(secret) }
            texts.append(nil)
            return PQconnectStartParams(keywords, texts, 0)
        }
        guard let secret else { return start(nil) }
        return secret.withBytes { raw in start(raw.assumingMemoryBound(to: CChar.self).baseAddress) }
    }

    private func connect(until deadline: Duration, _ timeout: Duration) throws(HoldfastError) {
        var step = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
        while step != PGRES_POLLING_OK {
            switch step {
            case PGRES_POLLING_READING: try wait(for: POLLIN, until: deadline, timeout)
            case PGRES_POLLING_WRITING: try wait(for: POLLOUT, until: deadline, timeout)
            default: throw loginFailure
            }
            step = PQconnectPoll(handle)
        }
    }

    /// libpq prefers an address of PGHOSTADDR or of a service file to the host of the URL.
    private func refuseOtherServer() throws(HoldfastError) {
        guard address.isLocal, let other = PQhostaddr(handle), other.pointee != 0 else { return }
        throw HoldfastError(
            .usage, "the URL names a socket of this machine, and PGHOSTADDR or a service file another server",
            hint: "Unset PGHOSTADDR, or give the host's name in the URL.")
    }

    private func wait(
        for events: Int32, until deadline: Duration? = nil, _ timeout: Duration = .zero
    ) throws(HoldfastError) {
        while true {
            if cancellation.isRaised {
                if deadline == nil { cancel() }
                try cancellation.check()
            }
            if let deadline, clock.uptime() >= deadline {
                throw HoldfastError(
                    .sourceFailed, "the PostgreSQL server did not answer within \(timeout)",
                    hint: "Check host and port, and what stands between here and the server.", retry: .later)
            }
            var watched = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
            // poll(2) would wait for ever for what is no descriptor.
            guard watched.fd >= 0 else {
                throw HoldfastError(
                    .sourceFailed, "the connection to the PostgreSQL server broke",
                    hint: "Check that the server is up and look into its log; nothing was committed.", retry: .later)
            }
            let ready = poll(&watched, 1, Self.nap)
            if ready > 0 { return }
            if ready < 0, errno != EINTR {
                throw HoldfastError.systemCall("wait for", errno, on: "the PostgreSQL server")
            }
        }
    }

    // MARK: Failures

    private var lastMessage: String { PQerrorMessage(handle).map { String(cString: $0) } ?? "" }

    private var loginFailure: HoldfastError {
        let report = PostgresReport(connectionText: lastMessage)
        if report.state == nil, PQconnectionNeedsPassword(handle) == 1 {
            return HoldfastError(
                .accessDenied, "the PostgreSQL server wants a password and none was given",
                hint: "Put it into a password file with mode 0600 and name that with PGPASSFILE.")
        }
        return .postgres(report, during: "log in to PostgreSQL")
    }

    private func connectionFailure(_ action: String) -> HoldfastError {
        // The reason that the server gave before it hung up, if it did, is in the last result.
        while let pointer = PQgetResult(handle) {
            let result = PostgresResult(owning: pointer)
            if result.status == PGRES_FATAL_ERROR, result.report.state != nil {
                return .postgres(result.report, during: action)
            }
            if PQstatus(handle) == CONNECTION_BAD || result.status == PGRES_COPY_OUT { break }
        }
        let text = postgresLine(PostgresReport(connectionText: lastMessage).message)
        return HoldfastError(
            .sourceFailed, "\(action): the connection to the PostgreSQL server broke: \(text)",
            hint: "Check that the server is up and look into its log; nothing was committed.", retry: .later)
    }
}
