"""The audit as one page."""

from __future__ import annotations

from pipeline.data.leakage.finding import Audit


def page(audit: Audit) -> str:
    """reports/split/leakage.html: no script, no other file."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("leakage.html").render(
        findings=audit.findings, rows=audit.looked_at["rows"], sampled=audit.looked_at["sampled"]
    )
