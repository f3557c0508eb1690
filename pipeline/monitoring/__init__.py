"""Watching rows after training: drift (distances), alarms (thresholds and verdicts), decay, evidently_report."""
