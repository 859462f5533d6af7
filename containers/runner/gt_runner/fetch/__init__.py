"""The fetch phase, the only one with the network: weights, code, inputs, checkouts. Generates nothing."""
