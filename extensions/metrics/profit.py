"""What a campaign earns a customer, when those for whom the network says yes are called.

In params.yaml:

    evaluate: {metrics: [extensions/metrics/profit.py]}
    register: {require: {profit: 1}}    # if you like: no champion earns less
"""

import numpy as np

lower_is_better = False


def metric(true, predicted):
    """Euro earned a customer: a call costs 3, a customer who was called and buys brings 10."""
    called = predicted == "yes"
    return np.where(called, np.where(true == "yes", 10, 0) - 3, 0)
