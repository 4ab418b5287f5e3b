"""ASN.1 by its distinguished encoding rules (X.690), as much of it as odd certificates take."""


def der(tag: int, content: bytes) -> bytes:
    count = len(content)
    if count < 0x80:
        return bytes([tag, count]) + content
    size = (count.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + count.to_bytes(size, "big") + content


def sequence(*parts: bytes) -> bytes:
    return der(0x30, b"".join(parts))


def object_identifier(*encoded: int) -> bytes:
    return der(0x06, bytes(encoded))


def attribute(tag: int, value: bytes) -> bytes:
    """A common name, in a string type of this tag."""
    return sequence(object_identifier(0x55, 0x04, 0x03), der(tag, value))


def common_name(tag: int, value: bytes) -> bytes:
    """A Name with nothing else in it."""
    return sequence(der(0x31, attribute(tag, value)))


def alternative_names(*names: bytes) -> bytes:
    """The extension (RFC 5280 §4.2.1.6) with these GeneralNames."""
    return sequence(object_identifier(0x55, 0x1D, 0x11), der(0x04, sequence(*names)))
