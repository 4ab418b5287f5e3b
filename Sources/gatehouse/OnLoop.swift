import EventLoop
import Synchronization

/// Does something on a loop of its own, which runs on this thread meanwhile.
func onLoop<Value: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> Value) -> Result<Value, any Error> {
    do {
        let loop = try EventLoop()
        let outcome = Outcome<Value>()
        Task(executorPreference: loop) {
            do {
                let value = try await body(loop)
                outcome.value.withLock { $0 = .success(value) }
            } catch {
                outcome.value.withLock { $0 = .failure(error) }
            }
            loop.stop()
        }
        loop.run()
        return outcome.value.withLock { $0 }
    } catch {
        return .failure(error)
    }
}

/// What a task brings home from its loop.
private final class Outcome<Value: Sendable>: Sendable {
    let value = Mutex<Result<Value, any Error>>(.failure(Failure("nothing was asked")))
}
