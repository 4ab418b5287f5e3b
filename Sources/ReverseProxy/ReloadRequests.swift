import EventLoop
import Synchronization

/// Reloads that other threads ask for. They take place in the main thread, which takes a signal for it.
final class ReloadRequests: Sendable {
    private final class Request: Sendable {
        let outcome = Mutex<String?>(nil)
        let answered: Latch

        init() throws(SystemError) { answered = try Latch(1) }

        func answer(_ outcome: String?) {
            self.outcome.withLock { $0 = outcome }
            answered.arrive()
        }
    }

    private struct State {
        var waiting: [Request] = []
        var isOver = false
    }

    private static let ending = "the proxy is ending"

    private let state = Mutex(State())

    /// Has the main thread reload, and waits for what comes of it. Blocks.
    ///
    /// - Returns: nil, or why the old configuration stays.
    func ask() -> String? {
        do throws(SystemError) {
            let request = try Request()
            let isOver = state.withLock { state in
                if !state.isOver { state.waiting.append(request) }
                return state.isOver
            }
            guard !isOver else { return Self.ending }
            Signals.raise(Signals.hangUp)
            request.answered.wait()
            return request.outcome.withLock { $0 }
        } catch {
            return "\(error)"
        }
    }

    /// Answers those who have asked until now by one reload. For the main thread, and whoever else wants a reload.
    func answer(by reload: () -> String?) {
        let requests = take()
        let outcome = reload()
        for request in requests { request.answer(outcome) }
    }

    /// Nobody reloads any more.
    func end() {
        state.withLock { $0.isOver = true }
        for request in take() { request.answer(Self.ending) }
    }

    private func take() -> [Request] {
        state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
    }
}
