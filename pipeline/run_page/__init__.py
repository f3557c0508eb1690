"""The parts of reports/index.html, the page of a run."""
