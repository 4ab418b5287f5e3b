/// What is kept to be used again, as much of it as was needed lately.
///
/// A class whose elements are taken out while they change: an access that lasts would have every one checked at run time (SE-0176).
final class Spares<Element> {
    private let maximum: Int
    /// How many are kept however long nothing needs them.
    private let lasting: Int
    private var elements: [Element] = []
    /// How few there have been since ``takeSurplus()``: so many nothing has needed.
    private var fewest = 0

    init(maximum: Int, lasting: Int) {
        self.maximum = maximum
        self.lasting = lasting
    }

    /// What was given last.
    func take() -> Element? {
        var elements = exchange(&self.elements, with: [])
        defer { self.elements = elements }
        guard let element = elements.popLast() else { return nil }
        fewest = min(fewest, elements.count)
        return element
    }

    /// - Returns: false where there are as many as may be kept.
    func give(_ element: Element) -> Bool {
        guard elements.count < maximum else { return false }
        var elements = exchange(&self.elements, with: [])
        elements.append(element)
        self.elements = elements
        return true
    }

    func takeAll() -> [Element] { exchange(&elements, with: []) }

    /// Takes out half of what nothing has needed since the last call. To be called at regular times.
    func takeSurplus() -> [Element] {
        var elements = exchange(&self.elements, with: [])
        let surplus = (max(0, min(fewest, elements.count - lasting)) + 1) / 2
        defer {
            elements.removeFirst(surplus)
            fewest = elements.count
            self.elements = elements
        }
        return Array(elements.prefix(surplus))
    }
}
