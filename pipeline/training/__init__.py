"""What the stage train does around `fit`: the plan before it, several networks, and a network for each fold."""
