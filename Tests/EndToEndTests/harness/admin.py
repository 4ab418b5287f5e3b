"""A client of the admin listeners."""

import http.client


class Admin:
    """The admin listener of a daemon, or of a proxy."""

    def __init__(self, port: int, prefix: str = "gatehouse_policyd_"):
        self.port = port
        self.prefix = prefix

    @property
    def yaml(self) -> str:
        return f"admin: {{listen: 127.0.0.1:{self.port}}}\n"

    def ask(self, method: str, path: str, headers=None, body=None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[tuple, float]:
        """Sample names and labels to values, by Prometheus' own reader."""
        status, text = self.ask("GET", "/metrics")
        assert status == 200
        # Here, since the benchmarks use this package without that module.
        from prometheus_client.parser import text_string_to_metric_families
        families = list(text_string_to_metric_families(text))
        assert len({family.name for family in families}) == len(families)
        return {(sample.name.removeprefix(self.prefix), *sorted(sample.labels.items())): sample.value
                for family in families for sample in family.samples}
