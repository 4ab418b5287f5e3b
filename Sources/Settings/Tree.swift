/// A part of a file whose keys and shape are the operator's own: what a token says, say.
public indirect enum Tree: Sendable {
    case null
    case value(TypedScalar)
    case list([Tree])
    case map([(key: String, value: Tree)])

    init(_ element: Element) {
        switch element.content {
        case _ where element.isNull: self = .null
        case .scalar(let scalar): self = .value(TypedScalar(scalar))
        case .list(let elements): self = .list(elements.map(Tree.init))
        case .map(let members): self = .map(members.map { ($0.key, Tree($0.value)) })
        }
    }
}
