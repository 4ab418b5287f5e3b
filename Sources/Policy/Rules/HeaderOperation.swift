import Bytes
import JSON

/// A change to the headers of a request or a response.
public struct HeaderOperation: Sendable {
    public enum Change: Sendable {
        /// One field with this value in place of all of the name. Where the value is missing, the header is removed.
        case set(Template)
        case remove
    }

    public let name: HeaderName
    public let change: Change

    public init(_ name: HeaderName, _ change: Change) {
        self.name = name
        self.change = change
    }

    /// Whether it can come out differently for two requests of one identity.
    public var dependsOnRequest: Bool { if case .set(let template) = change { template.dependsOnRequest } else { false } }

    /// The request's headers that are needed.
    public var headerNames: [[UInt8]] { if case .set(let template) = change { template.headerNames } else { [] } }

    /// What is to be done to the header.
    ///
    /// - Parameter buffer: where the value is appended, if there is one to set.
    func evaluate(
        request: borrowing RequestView, claims: JSONObject, denial: DenialFacts? = nil, to buffer: ByteBuffer
    ) -> HeaderOutcome {
        guard case .set(let template) = change else { return .remove }
        return switch template.render(request: request, claims: claims, denial: denial, to: buffer) {
        case .value: .set
        case .missing: .remove
        case .unfit: .unfit
        }
    }
}

/// What is to be done to a header.
enum HeaderOutcome: Sendable, Equatable {
    /// It gets the value that was appended.
    case set
    /// It must not be there, whoever sent it.
    case remove
    /// Its value may not stand in a header, or is not what it should be: the request must be denied.
    case unfit
}
