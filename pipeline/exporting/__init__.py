"""A model package's network as an ONNX file that answers in probabilities or units, wherever onnxruntime runs.

Command: pipeline export OUT.onnx [--model PACKAGE].  It needs the extra `onnx`: pip install "experiment-pipeline[onnx]".

What goes in are the network's inputs by name, as `Encoder.shapes` has them; what comes out is what `pipeline predict` tells, in
double precision: `probabilities` (batch, classes), calibrated, and `class` (batch,), the place of the class that is answered, by the
threshold or the costs; for numbers `prediction` in the target's units, (batch,) or (batch, horizon, targets), and `low` and `high` of
the same shape where intervals were learnt.  Members and ensembles are averaged inside.  Outside stay the way from raw rows to inputs,
and what is said of odd rows (refused, flags).  The file's metadata hold what both need: see `graph`.

The network is converted in a process of the package's own code, by tf2onnx; calibration, units and intervals are put behind it
here.  Then onnxruntime answers the rows given and inputs at the edges, in several batch sizes, and no file is left that differs from
the package by more than TOLERANCE.  What is known to be refused: networks that compute in 16 bits (train.precision: mixed), whose
roundings no other library repeats, and operators that ONNX lacks, as an activation may have (`graph` writes those that it has
otherwise).  Every family converts, for every kind of input.
"""
