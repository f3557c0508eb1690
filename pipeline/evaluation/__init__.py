"""What a model is worth on held-out rows: metrics, their intervals, baselines to beat, and figures."""
