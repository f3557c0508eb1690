"""Gradient steps, many at a call: the one place that knows the backend, since Keras has no gradient of its own.

Keras' `fit` goes back to Python for each batch, or builds an input pipeline for each call.  Here a chunk of rows is handed over
at once and one compiled loop walks through its batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Probe:
    """Norms of one step that was tried and taken back, for each trainable variable."""

    gradient: np.ndarray
    update: np.ndarray
    weight: np.ndarray


class Stepper(Protocol):
    """Trains a network in place, `batch` rows a step."""

    batch: int

    def run(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None, rates: np.ndarray) -> float:
        """One step for each learning rate, over successive batches (the last may be smaller); the sum over rows of their losses."""

    def probe(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None) -> Probe:
        """What one step would do; nothing changes."""


def stepper(network: keras.Model, loss: keras.losses.Loss, optimizer: keras.optimizers.Optimizer, *, batch: int, parts: int = 1) -> Stepper:
    """The stepper of the present backend.

    Args:
        loss: gives one value a row.
        optimizer: with a learning rate that is a number, built here for the network's trainable variables.
        batch: rows per step.
        parts: pieces in which a batch goes through the network, their gradients added up: the same step in less memory.
    """
    optimizer.build(network.trainable_variables)
    made: type[TensorFlow | Jax] = Jax if keras.backend.backend() == "jax" else TensorFlow
    return made(network, loss, optimizer, batch, -(-batch // parts))


class TensorFlow:
    """Steps by tf.function, variables changed in place."""

    def __init__(self, network: keras.Model, loss: keras.losses.Loss, optimizer: Any, batch: int, piece: int) -> None:
        import tensorflow as tf

        self.tf, self.network, self.loss, self.optimizer, self.batch, self.piece = tf, network, loss, optimizer, batch, piece
        # as Keras itself decides: XLA gains on a GPU and loses on a CPU
        fuse = bool(tf.config.list_physical_devices("GPU")) and all(
            getattr(layer, "supports_jit", True) for layer in network._flatten_layers()
        )
        self._fused = tf.function(self._step, autograph=False, jit_compile=True, reduce_retracing=True) if fuse else self._step
        self._run = tf.function(self._loop, autograph=False, reduce_retracing=True)
        self._probe = tf.function(self._try, autograph=False, reduce_retracing=True)

    def run(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None, rates: np.ndarray) -> float:
        tensor = self.tf.convert_to_tensor
        return float(self._run({k: tensor(v) for k, v in x.items()}, tensor(y), None if weight is None else tensor(weight), tensor(rates)))

    def probe(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None) -> Probe:
        return Probe(*(np.asarray(norms) for norms in self._probe(x, y, weight)))

    def _loop(self, x: Any, y: Any, weight: Any, rates: Any) -> Any:
        tf, rows = self.tf, self.tf.shape(y)[0]

        def body(step: Any, total: Any) -> tuple[Any, Any]:
            self.optimizer.learning_rate.assign(rates[step])
            begin, end = step * self.batch, tf.minimum((step + 1) * self.batch, rows)
            loss = self._fused(*_cut((x, y, weight), begin, end))
            return step + 1, total + loss * tf.cast(end - begin, "float32")

        return tf.while_loop(lambda step, total: step < tf.shape(rates)[0], body, (0, 0.0), parallel_iterations=1)[1]

    def _step(self, x: Any, y: Any, weight: Any) -> Any:
        loss, gradients = self._gradients(x, y, weight)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def _gradients(self, x: Any, y: Any, weight: Any) -> tuple[Any, list[Any]]:
        if self.piece >= self.batch:
            return self._of(x, y, weight)
        tf, rows = self.tf, self.tf.shape(y)[0]

        def body(begin: Any, total: Any, sums: list[Any]) -> tuple[Any, Any, list[Any]]:
            end = tf.minimum(begin + self.piece, rows)
            share = tf.cast(end - begin, "float32") / tf.cast(rows, "float32")
            loss, gradients = self._of(*_cut((x, y, weight), begin, end))
            return (
                end,
                total + share * loss,
                [s + tf.cast(share, s.dtype) * tf.convert_to_tensor(g) for s, g in zip(sums, gradients, strict=True)],
            )

        zeros = [tf.zeros(v.shape, v.dtype) for v in self.network.trainable_variables]
        return tf.while_loop(lambda begin, *_: begin < rows, body, (0, 0.0, zeros), parallel_iterations=1)[1:]

    def _of(self, x: Any, y: Any, weight: Any) -> tuple[Any, list[Any]]:
        with self.tf.GradientTape() as tape:
            loss = _total(self.loss(y, self.network(x, training=True), sample_weight=weight), self.network.losses)
            scaled = self.optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, [v.value for v in self.network.trainable_variables])

    def _try(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        tf, trainable = self.tf, self.network.trainable_variables
        kept = [(v, tf.identity(v.value)) for v in [*self.network.variables, *self.optimizer.variables]]
        _, gradients = self._gradients(x, y, weight)
        before = [tf.identity(v.value) for v in trainable]
        self.optimizer.apply(gradients, trainable)
        updates = [v.value - b for v, b in zip(trainable, before, strict=True)]
        norms = _norms([tf.convert_to_tensor(g) for g in gradients]), _norms(updates), _norms(before)
        for variable, value in kept:
            variable.assign(value)
        return norms


class Jax:
    """Steps by jax.jit over values that are put back into the variables after each chunk."""

    def __init__(self, network: keras.Model, loss: keras.losses.Loss, optimizer: Any, batch: int, piece: int) -> None:
        import jax

        self.jax, self.network, self.loss, self.optimizer, self.batch, self.piece = jax, network, loss, optimizer, batch, piece
        self.variables = network.trainable_variables, network.non_trainable_variables, optimizer.variables
        self.rate = next(at for at, v in enumerate(optimizer.variables) if v is optimizer.learning_rate)
        self.rows = 0  # of a chunk, those after the first being filled up to it, so that one compilation serves all
        self._run, self._last = jax.jit(self._loop), jax.jit(self._step)  # nothing donated: variables may share a buffer
        self._probe = jax.jit(self._try)

    def run(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None, rates: np.ndarray) -> float:
        whole = len(y) // self.batch
        self.rows = max(self.rows, whole * self.batch)
        state, total = self._values(), 0.0
        if whole:
            chunk = self.jax.tree.map(lambda block: _filled(block[: whole * self.batch], self.rows), (x, y, weight))
            state, loss = self._run(state, *chunk, _filled(rates[:whole], self.rows // self.batch), whole)
            total += float(loss)
        if rest := len(y) - whole * self.batch:
            state, loss = self._last(
                state, *self.jax.tree.map(lambda block: block[whole * self.batch :], (x, y, weight)), rate=rates[whole]
            )
            total += float(loss) * rest
        for variables, values in zip(self.variables, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return total

    def probe(self, x: Inputs, y: np.ndarray, weight: np.ndarray | None) -> Probe:
        return Probe(*(np.asarray(norms) for norms in self._probe(self._values(), x, y, weight)))

    def _values(self) -> Any:
        return tuple([v.value for v in variables] for variables in self.variables)

    def _loop(self, state: Any, x: Any, y: Any, weight: Any, rates: Any, steps: Any) -> Any:
        def body(step: Any, carried: Any) -> Any:
            state, total = carried
            cut = lambda block: self.jax.lax.dynamic_slice_in_dim(block, step * self.batch, self.batch)  # noqa: E731
            state, loss = self._step(state, *self.jax.tree.map(cut, (x, y, weight)), rate=rates[step])
            return state, total + loss * self.batch

        return self.jax.lax.fori_loop(0, steps, body, (state, 0.0))

    def _step(self, state: Any, x: Any, y: Any, weight: Any, *, rate: Any) -> Any:
        trainable, other, kept = state
        (loss, other), gradients = self._gradients(trainable, other, kept, x, y, weight)
        kept = [ops.cast(rate, value.dtype) if at == self.rate else value for at, value in enumerate(kept)]
        trainable, kept = self.optimizer.stateless_apply(kept, gradients, trainable)
        return (list(trainable), list(other), list(kept)), loss

    def _gradients(self, trainable: Any, other: Any, kept: Any, x: Any, y: Any, weight: Any) -> Any:
        def of(trainable: Any, other: Any, x: Any, y: Any, weight: Any) -> Any:
            answer, other, penalties = self.network.stateless_call(trainable, other, x, training=True, return_losses=True)
            loss = _total(self.loss(y, answer, sample_weight=weight), penalties)
            return self._scaled(loss, kept), (loss, list(other))

        graded, rows = self.jax.grad(of, has_aux=True), y.shape[0]
        sums, total, piece = None, 0.0, self.piece if self.piece < self.batch else rows
        for begin in range(0, rows, piece):
            end = min(begin + piece, rows)
            gradients, (loss, other) = graded(trainable, other, *_cut((x, y, weight), begin, end))
            share = (end - begin) / rows
            gradients = gradients if share == 1 else [share * g for g in gradients]
            sums = gradients if sums is None else [s + g for s, g in zip(sums, gradients, strict=True)]
            total += share * loss
        return (total, other), sums

    def _scaled(self, loss: Any, kept: Any) -> Any:
        """The loss times the loss scale of half precision, read from the optimizer's state."""
        with keras.StatelessScope(state_mapping=list(zip(self.optimizer.variables, kept, strict=True))):
            return self.optimizer.scale_loss(loss)

    def _try(self, state: Any, x: Any, y: Any, weight: Any) -> Any:
        trainable, other, kept = state
        _, gradients = self._gradients(trainable, other, kept, x, y, weight)
        after, _ = self.optimizer.stateless_apply(kept, gradients, trainable)
        return _norms(gradients), _norms([a - b for a, b in zip(after, trainable, strict=True)]), _norms(trainable)


def _total(loss: Any, penalties: list[Any]) -> Any:
    return loss + sum(ops.cast(penalty, loss.dtype) for penalty in penalties)


def _norms(values: list[Any]) -> Any:
    return ops.stack([ops.sqrt(ops.sum(ops.square(ops.cast(value, "float32")))) for value in values])


def _cut(blocks: tuple[Any, Any, Any], begin: Any, end: Any) -> tuple[Any, Any, Any]:
    x, y, weight = blocks
    return {name: block[begin:end] for name, block in x.items()}, y[begin:end], None if weight is None else weight[begin:end]


def _filled(block: Any, rows: int) -> Any:
    missing = rows - len(block)
    return np.concatenate([block, np.zeros((missing, *block.shape[1:]), block.dtype)]) if missing else block
