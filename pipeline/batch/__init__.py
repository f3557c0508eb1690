"""Batches of any size through a model package: read in blocks, answered in a process of the package's own, written in order.

Two packages must never be loaded in one process, so the package runs in a child (`pipeline/child.py`): blocks go to it and answers
come back over pipes, each as an Arrow stream behind its length.  Meanwhile the parent reads the next block and writes the last answer.
A server takes the place of the child where its URL is given (`remote.py`).
"""
