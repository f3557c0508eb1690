"""Networks: layers, encoders, heads, build and fit."""
