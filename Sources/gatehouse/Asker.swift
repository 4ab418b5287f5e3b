import EventLoop
import PolicyClient
import PolicyProtocol

/// Asks once on the socket at `path`.
func ask(_ request: CheckArguments, at path: String) -> Result<VerdictReport, any Error> {
    onLoop { loop in try await Asker(loop: loop).ask(request, at: path) }
}

private actor Asker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var connection: PolicyConnection?
    private var isDone = false

    /// A person is waiting, not a request: longer than a proxy would.
    private static let deadlineMilliseconds: Int64 = 2_000

    init(loop: EventLoop) { self.loop = loop }

    func ask(_ request: CheckArguments, at path: String) async throws -> VerdictReport {
        var configuration = PolicyClient.Configuration(name: "gatehouse check")
        configuration.deadlineMilliseconds = Self.deadlineMilliseconds
        let endpoint = try PolicyClient.Endpoint(socketPath: path)
        connection = try await PolicyConnection.open(endpoint, configuration, on: Waiter(loop: loop))
        return try await withThrowingDiscardingTaskGroup { group in
            group.addImmediateTask(executorPreference: loop) { await self.serve() }
            defer {
                isDone = true
                loop.wakeAll()
            }
            return try await exchange(request)
        }
    }

    private func serve() async { _ = await connection?.serve { self.isDone } }

    private func exchange(_ request: CheckArguments) async throws -> VerdictReport {
        guard let connection else { throw Failure("not connected") }
        let check = PendingCheck()
        check.waiter = Waiter(loop: loop)
        let wanted = Set(connection.session.hello.wantedHeaders)
        let headers = request.headers.filter { wanted.contains($0.name) }
        send(request, headers, try request.certificate?.field(), check, on: connection)
        await check.wait()
        guard let verdict = check.verdict else {
            if case .lost(let loss) = check.state { throw Failure("\(loss)") }
            throw Failure("no verdict")
        }
        let unsent = request.headers.map(\.name).filter { !wanted.contains($0) }
        let payload = check.payload
        return VerdictReport(verdict, payload.bytes, unsentHeaders: unsent)
    }

    private func send(
        _ request: CheckArguments, _ headers: [Header], _ certificate: [UInt8]?, _ check: PendingCheck, on connection: PolicyConnection
    ) {
        let (method, host, path) = (Array(request.method.utf8), Array(request.host.utf8), Array(request.path.utf8))
        let nobody: [UInt8] = []
        connection.send(
            check, method: method.span, scheme: .http, authority: host.span, target: path.span, peerAddress: nobody.span,
            peerPort: nil
        ) { writer in
            if let certificate { writer.certificate(certificate.span) }
            for header in headers {
                let (name, value) = (Array(header.name.utf8), Array(header.value.utf8))
                writer.header(name: name.span, value: value.span)
            }
        }
    }
}
